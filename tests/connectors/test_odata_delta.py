"""Delta links: everything once, then what changed and what is gone, however the service tells it."""

from __future__ import annotations

import pytest

from connectors.base import AddressRefused, BadAnswer, Cursor, PositionExpired, SettingsError
from tests.connectors.odata_service import ODataService, customer, dumps
from tests.connectors.shop import Shop, fails

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def follow(service: ODataService, odata):
    """A function that reads the customers since a cursor, or all: follow("", fields=…)."""
    connector = odata(entities=[{"name": "Customers", "delta": True}])
    entity = next(e for e in connector.discover() if e.name == "Customers")

    def read(cursor="", **more):
        return list(connector.read(entity, Cursor(cursor, "") if cursor else None, **more))

    read.entity = entity
    return read


def keys(pages):
    return [key for page in pages for key in page.frame["ID"].to_list()]


def deleted(pages):
    return [key for page in pages for key in page.deleted]


def answered(service: ODataService, cursor: str, *entries, **more):
    """What the service says behind this cursor."""
    whole = {"value": list(entries), "@odata.deltaLink": cursor, **more}
    service.answers[cursor.partition("/v4/")[2].partition("?")[0]] = (200, JSON, dumps(whole))


def test_it_is_declared_where_the_settings_say_so_and_the_service_does_not_deny_it(service: ODataService, follow, odata):
    can = follow.entity.capabilities
    assert (can.incremental, can.own_cursor, can.tombstones, can.upper_bound, follow.entity.cursor_field) == (True, True, True, False, None)

    service.more = """<Annotations Target="Shop.Container/Customers"><Annotation Term="Capabilities.ChangeTracking"><Record>
        <PropertyValue Property="Supported" Bool="false"/></Record></Annotation></Annotations>"""
    denied = next(e for e in odata(entities=[{"name": "Customers", "delta": True}]).discover() if e.name == "Customers")
    assert (denied.capabilities.own_cursor, denied.cursor_field) == (False, "ModifiedAt")


@pytest.mark.parametrize("version", ["4.0", "4.01"])
def test_what_changed_and_what_is_gone_is_told_once(service: ODataService, follow, version):
    service.version = version
    service.has(25)

    whole = follow()
    for number in range(1, 13):
        service.put("Customers", customer(number, Name="Changed"))
    del service.sets["Customers"][13,]
    service.touch("Customers", (13,))
    changed = follow(whole[-1].cursor)

    assert (keys(whole), deleted(whole)) == (list(range(1, 26)), [])
    assert (keys(changed), deleted(changed)) == (list(range(1, 13)), ["13"])
    assert [bool(page.cursor) for page in changed] == [False, True]
    assert keys(follow(changed[-1].cursor)) == []


def test_all_properties_are_asked_for_and_the_wanted_ones_come(service: ODataService, follow):
    service.has(3)

    first = follow(fields=["ID", "Name"])
    service.put("Customers", customer(2, Name="Changed"))
    changed = follow(first[-1].cursor, fields=["ID", "Email"])

    assert service.targets("GET")[1:] == ["/v4/Customers", "/v4/Customers?$deltatoken=3&$select="]
    assert service.headers[1]["prefer"] == "odata.track-changes,odata.maxpagesize=1000"
    assert changed[0].frame.rows() == [(2, "c2@example.com")]


def test_a_record_of_which_only_a_part_is_told_is_read_whole(service: ODataService, follow):
    service.has(3)
    cursor = follow()[-1].cursor
    service.sets["Customers"][3,]["Amount"] = "INF"
    told = [{"ID": 1, "Name": "A"}, customer(9), {"ID": 3}, {"ID": 77, "Name": "gone meanwhile"}, {"Name": "no key"}]
    service.faults.append(fails(200, {"value": told, "@odata.deltaLink": cursor}))

    (page,) = follow(cursor, fields=["ID", "Name", "Amount"])

    assert page.frame.rows() == [(9, "Customer 9", 9.5), (None, "no key", None), (1, "Customer 1", 1.5), (3, "Customer 3", None)]
    assert [(m.row, m.field, m.text) for m in page.misfits] == [(3, "Amount", "INF")]
    assert page.absent is None


@pytest.mark.parametrize(
    ("entry", "key"),
    [
        ({"@removed": {"reason": "deleted"}, "ID": 5}, ["5"]),
        ({"@odata.removed": {"reason": "changed"}, "ID": 5}, ["5"]),
        ({"@removed": {}, "@id": "Customers(5)"}, ["5"]),
        ({"@odata.removed": {}, "@odata.id": "http://elsewhere/v4/Customers(5)"}, ["5"]),
        ({"@odata.context": "#Customers/$deletedEntity", "id": "Customers(5)", "reason": "deleted"}, ["5"]),
        ({"@context": "http://x/$metadata#Customers/$deletedEntity", "id": "http://x/v4/Customers(ID=5)"}, ["5"]),
        ({"@odata.context": "http://x/$metadata#Customers/$deletedEntity", "id": "5", "reason": "deleted"}, ["5"]),
        ({"@odata.context": "#Customers/$link", "source": "Customers(5)", "relationship": "Items", "target": "Items(1)"}, []),
        ({"@context": "#Customers/$deletedLink", "source": "Customers(5)", "relationship": "Items", "target": "Items(1)"}, []),
    ],
)  # fmt: skip
def test_each_way_to_say_that_a_record_is_gone_is_understood(service: ODataService, follow, entry, key):
    cursor = follow()[-1].cursor
    answered(service, cursor, customer(1), entry, customer(2))

    pages = follow(cursor)

    assert (keys(pages), deleted(pages)) == ([1, 2], key)


KEY_IS_ID = """<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx"><edmx:DataServices>
 <Schema Namespace="Shop" xmlns="http://docs.oasis-open.org/odata/ns/edm">
  <EntityType Name="Customer"><Key><PropertyRef Name="id"/></Key><Property Name="id" Type="Edm.String" Nullable="false"/></EntityType>
  <EntityContainer Name="Container"><EntitySet Name="Customers" EntityType="Shop.Customer"/></EntityContainer>
 </Schema></edmx:DataServices></edmx:Edmx>"""


@pytest.mark.parametrize(
    "entry",
    [
        {"@odata.context": "#Customers/$deletedEntity", "id": "Customers('A-5')", "reason": "deleted"},
        {"@odata.context": "#Customers/$deletedEntity", "id": "A-5", "reason": "deleted"},
        {"@removed": {"reason": "deleted"}, "id": "A-5"},
        {"@removed": {"reason": "deleted"}, "@id": "Customers('A-5')", "id": "A-5"},
    ],
)
def test_where_the_key_is_called_id_too_its_address_is_no_key(service: ODataService, odata, entry):
    service.metadata = KEY_IS_ID
    connector = odata(entities=[{"name": "Customers", "delta": True}])
    [entity] = connector.discover()
    cursor = f"{service.url}/v4/Customers?$deltatoken=1"
    answered(service, cursor, entry)

    assert deleted(connector.read(entity, Cursor(cursor, ""))) == ["A-5"]


@pytest.mark.parametrize(
    "entry",
    [
        {"@removed": {}},
        {"@removed": {}, "@id": "Customers(five)"},
        {"@removed": {}, "ID": "x"},
        {"@removed": {}, "@id": 5},
        {"@odata.context": "#Customers/$deletedEntity", "id": "five"},
    ],
)
def test_a_record_that_is_gone_but_not_which_is_an_error(service: ODataService, follow, entry):
    cursor = follow()[-1].cursor
    answered(service, cursor, entry)

    with pytest.raises(BadAnswer, match="ERP told in GET /v4/Customers of a record that is gone, but not which"):
        follow(cursor)


def test_a_link_that_has_expired_asks_to_read_everything(service: ODataService, follow):
    service.has(3)
    cursor = follow()[-1].cursor
    service.forgotten = 4

    with pytest.raises(PositionExpired, match="ERP no longer knows the page of Customers"):
        follow(cursor)
    with pytest.raises(PositionExpired, match=r"is no delta link\. Everything is read"):
        follow("2026-11-22T10:00:00.000000Z")


def test_a_service_that_does_not_keep_track_is_told(service: ODataService, follow):
    service.has(1)
    service.tracks_changes = False

    with pytest.raises(SettingsError, match=r"ERP gave no delta link for Customers.*Switch that off under Entities"):
        follow()


def test_a_link_to_another_host_is_not_followed(service: ODataService, follow, shop: Shop):
    service.faults.append(fails(200, {"value": [], "@odata.deltaLink": f"{shop.url}/v4/Customers?$deltatoken=1"}))

    with pytest.raises(AddressRefused, match="which is not its own address"):
        follow()
    with pytest.raises(AddressRefused, match="which is not its own address"):
        follow(f"{shop.url}/v4/Customers?$deltatoken=1")

    assert shop.asked == []


@pytest.mark.parametrize("body", [b'{"value": "@removed"}', b'{"@removed": {}, "value": [', b"<html>@removed"])
def test_an_answer_that_is_no_list_is_an_error(service: ODataService, follow, body):
    cursor = follow()[-1].cursor
    service.answers["Customers"] = (200, JSON, body)

    with pytest.raises(BadAnswer):
        follow(cursor)


def test_what_is_gone_or_has_no_key_is_not_looked_up(service: ODataService, follow):
    service.has(5)
    cursor = follow()[-1].cursor
    answered(service, cursor, {"@removed": {}, "ID": 5}, {"Name": "no key"})

    (page,) = follow(cursor, fields=["ID", "Name"])

    assert (page.frame.rows(), page.deleted) == ([(None, "no key")], ["5"])
    assert [t for t in service.targets("GET") if "$filter" in t] == []
