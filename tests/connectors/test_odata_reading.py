"""Reading: what is asked for, how one page leads to the next, and what becomes of answers that are none."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from urllib.parse import unquote

import pytest

from connectors.base import AddressRefused, BadAnswer, Cursor, PositionExpired, SettingsError, SystemBusy
from tests.connectors.odata_service import V4, ODataService, customer, dumps
from tests.connectors.shop import Shop, answer, fails

JSON = {"Content-Type": "application/json"}


def customers(connector):
    return next(e for e in connector.discover() if e.name == "Customers")


def keys(pages):
    return [key for page in pages for key in page.frame["ID"].to_list()]


def targets(service: ODataService):
    """What was asked of the list, readable."""
    return [unquote(target).partition("/Customers?")[2] for target in service.targets("GET") if "/Customers?" in target]


def replied(value, status=200):
    return status, JSON, value if isinstance(value, bytes) else dumps(value)


# --- what is asked for ---


def test_only_the_wanted_properties_are_asked_for_in_the_order_of_the_key(service: ODataService, odata):
    service.has(3)
    connector = odata(lists={"page_size": 500})

    page = next(connector.read(customers(connector), fields=["Address.City", "ID", "Name"]))

    assert targets(service) == ["$select=ID,Name,Address&$orderby=ID"]
    assert service.headers[-1]["prefer"] == "odata.maxpagesize=500"
    assert service.headers[-1]["odata-maxversion"] == "4.01"
    assert page.frame.rows() == [(1, "Customer 1", "Köln"), (2, "Customer 2", "Köln"), (3, "Customer 3", "Köln")]


def test_what_changed_is_asked_for_between_bounds_in_the_order_of_the_change(service: ODataService, odata):
    service.has(30)
    connector = odata(entities=[{"name": "Customers", "label": "Clients"}])

    since = Cursor("2026-11-22T10:00:07.500000Z", "3")
    found = keys(connector.read(customers(connector), since, until="2026-11-22T10:00:09.100000Z", fields=["ID"]))

    assert found == [7, 8, 9, 10]
    assert targets(service) == ["$select=ID&$filter=ModifiedAt ge 2026-11-22T10:00:07Z and ModifiedAt le 2026-11-22T10:00:10Z&$orderby=ModifiedAt,ID"]


def test_what_never_changed_is_part_of_a_whole_reading_up_to_a_bound(service: ODataService, odata):
    service.has(3)
    service.put("Customers", customer(4, ModifiedAt=None))
    connector = odata()

    assert keys(connector.read(customers(connector), until="2026-11-22T10:00:02.000000Z")) == [1, 2, 4]
    assert keys(connector.read(customers(connector), Cursor("2026-11-22T10:00:02.000000Z", ""))) == [2, 3]


def test_of_what_is_never_empty_no_empty_ones_are_asked_for(service: ODataService, odata):
    service.metadata = V4.format(version="4.0", more="").replace('Precision="6"', 'Precision="6" Nullable="false"')
    connector = odata()

    next(connector.read(customers(connector), until="2026-11-22T10:00:02.000000Z", fields=["ID"]))

    assert targets(service) == ["$select=ID&$filter=ModifiedAt le 2026-11-22T10:00:02Z&$orderby=ID"]


def test_a_number_that_rises_may_be_the_cursor(service: ODataService, odata):
    service.has(5)
    connector = odata(entities=[{"name": "Customers", "cursor_field": "Big"}])

    assert keys(connector.read(customers(connector), Cursor(str(9007199254740993 + 4), ""))) == [4, 5]
    with pytest.raises(SettingsError, match=r"The cursor yesterday is no value of Big in Customers of ERP\. Set the cursor of the sync back"):
        next(connector.read(customers(connector), Cursor("yesterday", "")))


def test_version_2_is_asked_in_its_own_words_and_its_moments_are_of_the_settings_zone(service: ODataService, odata):
    service.has(3)
    connector = odata("v2", zone="Asia/Shanghai")

    page = next(connector.read(customers(connector), Cursor("2026-11-22T02:00:02.000000Z", ""), fields=["ID", "ModifiedAt", "Born"]))

    assert page.frame.rows() == [
        (2, dt.date(1990, 1, 31), dt.datetime(2026, 11, 22, 2, 0, 2, tzinfo=dt.UTC)),
        (3, dt.date(1990, 1, 31), dt.datetime(2026, 11, 22, 2, 0, 3, tzinfo=dt.UTC)),
    ]
    assert targets(service) == ["$select=ID,Born,ModifiedAt&$filter=ModifiedAt ge datetime'2026-11-22T10:00:02'&$orderby=ModifiedAt,ID"]


def test_where_clocks_were_put_back_what_changed_is_asked_for_from_an_hour_earlier(service: ODataService, odata):
    connector = odata("v2", zone="Europe/Berlin")

    next(connector.read(customers(connector), Cursor("2026-10-25T00:50:00.000000Z", ""), fields=["ID"]))

    assert "ge datetime'2026-10-25T01:50:00'" in targets(service)[-1]  # 02:50 came twice, and what came second is called the same


def test_what_cannot_be_sorted_is_not_asked_to_be(service: ODataService, odata):
    service.more = """<Annotations Target="Shop.Container/Customers"><Annotation Term="Capabilities.SortRestrictions"><Record>
        <PropertyValue Property="Sortable" Bool="false"/></Record></Annotation></Annotations>"""
    connector = odata()

    next(connector.read(customers(connector), fields=["ID"]))

    assert targets(service) == ["$select=ID"]


def test_of_very_many_properties_all_are_asked_for(service: ODataService, odata):
    many = "".join(f'<Property Name="A_property_with_a_long_name_{n}" Type="Edm.String"/>' for n in range(50))
    service.metadata = V4.format(version="4.01", more="").replace('<Property Name="Email" Type="Edm.String"/>', many)
    service.has(1)
    connector = odata()

    page = next(connector.read(customers(connector)))
    found = connector.lookup(customers(connector), "#key", ["1"])

    assert targets(service) == ["$orderby=ID", "$filter=ID eq 1"]
    assert page.frame["Name"].to_list() == found["Name"].to_list() == ["Customer 1"]
    assert all(len(target) < 2048 for target in service.targets("GET"))


def test_a_record_without_a_key_is_read_as_it_is(service: ODataService, odata):
    connector = odata()
    found = customers(connector)
    service.answers["Customers"] = replied({"value": [{"ID": None, "Name": "x"}, {"Name": "y"}]})

    page = next(connector.read(found, fields=["ID", "Name"]))

    assert page.frame.rows() == [(None, "x"), (None, "y")]
    assert page.absent["ID"].to_list() == [False, True]


def test_pages_are_skipped_to_until_one_is_empty(service: ODataService, odata):
    service.has(12)
    connector = odata(lists={"paging": "skip", "page_size": 6})

    assert keys(connector.read(customers(connector), fields=["ID"])) == list(range(1, 13))
    assert [t.partition("$top=")[2] for t in targets(service)] == ["6&$skip=0", "6&$skip=6", "6&$skip=12"]


# --- values ---


def test_numbers_keep_their_digits_however_they_are_written(service: ODataService, odata):
    connector = odata()
    found = customers(connector)
    rows = b'{"value": [{"ID": 1, "Big": 9223372036854775807, "Price": 12345678901234567890.123}, {"ID": 2, "Big": "-9223372036854775808", "Price": "0.1"}]}'
    service.answers["Customers"] = replied(rows)

    page = next(connector.read(found, fields=["ID", "Big", "Price"]))

    assert page.misfits == []
    assert page.frame["Big"].to_list() == [2**63 - 1, -(2**63)]
    assert page.frame["Price"].to_list() == [Decimal("12345678901234567890.123"), Decimal("0.1")]


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("Amount", "NaN", "is not finite"), ("Amount", "-INF", "is not finite"), ("Big", "9223372036854775808", "is too large"),
        ("Born", "2026-02-30", "is no date"), ("ModifiedAt", "yesterday", "is no date and time"), ("Active", "yes", "is neither of true/false"),
        ("Address", "Köln", "is not inside an object"), ("Name", 5, "is a number, not text"),
    ],
)  # fmt: skip
def test_a_value_that_does_not_fit_is_told_and_leaves_the_others(service: ODataService, odata, name, value, reason):
    connector = odata()
    found = customers(connector)
    service.answers["Customers"] = replied({"value": [customer(1), {**customer(2), name: value}]})

    page = next(connector.read(found))

    assert {(m.row, m.field.split(".")[0]) for m in page.misfits} == {(1, name)}
    assert reason in str(page.misfits[0].reason)
    assert page.frame["ID"].to_list() == [1, 2]


def test_a_value_too_large_is_told(service: ODataService, odata):
    service.has(1)
    service.put("Customers", customer(2, Name="x" * 100))
    connector = odata(answers={"max_field_bytes": 64})

    assert [(m.row, str(m.reason)) for m in next(connector.read(customers(connector))).misfits] == [(1, "is 100 bytes long; the limit is 64")]


# --- from page to page ---


@pytest.mark.parametrize(
    "link", ["Customers?$skiptoken=1", "/v4/Customers?$skiptoken=1", "{url}/v4/Customers?$skiptoken=1"], ids=["relative", "absolute path", "whole"]
)
@pytest.mark.parametrize("name", ["@odata.nextLink", "@nextLink"])
def test_a_next_page_may_be_named_in_each_way(service: ODataService, odata, link, name):
    service.has(2)
    connector = odata(auth={"type": "bearer", "token": "s3cret-token"})
    found = customers(connector)

    async def first(_request):
        service.faults.clear()
        return answer({"value": [{"ID": 1}], name: link.format(url=service.url)})

    service.faults.append(first)

    assert keys(connector.read(found, fields=["ID"])) == [1, 2]
    assert service.headers[-1]["authorization"] == "Bearer s3cret-token"
    assert service.headers[-1]["prefer"] == "odata.maxpagesize=1000"


def test_a_next_page_at_another_host_is_not_followed(service: ODataService, odata, shop: Shop):
    connector = odata(auth={"type": "bearer", "token": "s3cret-token"})
    found = customers(connector)
    service.answers["Customers"] = replied({"value": [{"ID": 1}], "@odata.nextLink": f"{shop.url}/v4/Customers"})

    with pytest.raises(AddressRefused, match=r"ERP points to http://127\.0\.0\.1:\d+, which is not its own address"):
        list(connector.read(found, fields=["ID"]))

    assert shop.asked == []


@pytest.mark.parametrize(
    ("pages", "said"),
    [
        ([("A", "?$skiptoken=a"), ("B", "?$skiptoken=a")], "has a page of Customers whose next page was read before"),
        ([("A", "?$skiptoken=a"), ("B", "?$skiptoken=b"), ("C", "?$skiptoken=a")], "whose next page was read before"),
    ],
)
def test_a_list_that_leads_back_to_itself_is_an_error(service: ODataService, odata, pages, said):
    connector = odata()
    found = customers(connector)
    service.faults.extend(fails(200, {"value": [{"ID": 1, "Name": name}], "@odata.nextLink": "Customers" + link}) for name, link in pages)

    with pytest.raises(BadAnswer, match=said):
        list(connector.read(found, fields=["ID", "Name"]))


def test_a_page_that_repeats_the_one_before_is_an_error(service: ODataService, odata):
    connector = odata(lists={"paging": "skip", "page_size": 1})
    found = customers(connector)
    service.answers["Customers"] = replied({"value": [{"ID": 1}]})

    with pytest.raises(BadAnswer, match="ERP answered two pages of Customers with the same records: the list has no end"):
        list(connector.read(found, fields=["ID"]))


def test_a_next_page_that_is_gone_asks_to_read_again(service: ODataService, odata):
    service.has(25)
    connector = odata()
    found = customers(connector)
    position = json.loads(json.dumps(next(connector.read(found)).position))
    service.faults.append(fails(410, {"error": {"code": "Gone", "message": "skiptoken"}}))

    with pytest.raises(PositionExpired, match="ERP no longer knows the page of Customers"):
        next(connector.read(found, position=position))


# --- answers that are none ---


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>Sign in", "answered GET /v4/Customers with a web page instead of JSON"),
        (b'{"value": [{"ID": 1}, {"I', "with JSON that ends in the middle"),
        (b"", "with an empty body"),
        (b'{"value": {"ID": 1}}', "without a list of records, as no OData service does"),
        (b'{"value": "none"}', "without a list of records"),
        (b"[]", "without a list of records"),
        (b'{"error": {"code": "X1", "message": "the database is away"}}', r"answered GET /v4/Customers with an error: [X1] the database is away"),
        (b'{"value": [{"ID": 1}], "@odata.nextLink": "Customers"', "with JSON that ends in the middle"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_an_answer_that_is_no_list_is_one_clear_sentence(service: ODataService, odata, body, said):
    connector = odata()
    found = customers(connector)
    service.answers["Customers"] = replied(body)

    with pytest.raises(BadAnswer) as caught:
        next(connector.read(found, fields=["ID"]))

    assert said in str(caught.value)


def test_a_record_that_is_none_is_told_as_a_misfit(service: ODataService, odata):
    connector = odata()
    found = customers(connector)
    service.answers["Customers"] = replied({"value": [{"ID": 1}, 7]})

    page = next(connector.read(found, fields=["ID"]))

    assert [(m.row, m.field, m.text) for m in page.misfits] == [(1, "", "7")]


def test_a_service_that_asks_to_wait_is_heeded(service: ODataService, odata):
    connector = odata()
    found = customers(connector)
    service.faults.append(fails(429, {"error": {"code": "Busy", "message": "slow down"}}, Retry_After="7"))

    with pytest.raises(SystemBusy) as caught:
        next(connector.read(found))

    assert caught.value.retry_after == 7


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_service_that_does_not_count_says_nothing(service: ODataService, odata, status):
    connector = odata()
    found = customers(connector)
    service.answers["Customers/$count"] = replied({"error": {"code": "X", "message": "no $count"}}, status)

    assert connector.count(found) is None


@pytest.mark.parametrize("body", [b"many", b"", b"-1", b"<html>"])
def test_a_count_that_is_no_number_is_an_error(service: ODataService, odata, body):
    connector = odata()
    found = customers(connector)
    service.answers["Customers/$count"] = (200, {"Content-Type": "text/plain"}, body)

    with pytest.raises(BadAnswer, match=r"ERP answered GET /v4/Customers/\$count without a number"):
        connector.count(found)
