"""Lookups: every value quoted by its type, many by one request, none lost and none invented."""

from __future__ import annotations

from urllib.parse import unquote

import pytest

from connectors.base import KEY, BadAnswer
from connectors.canonical import canonical_key
from tests.connectors.odata_service import ODataService, customer, dumps

WEIRD = [
    "O'Brien",
    "''",
    "a/b",
    "50 %",
    "100%25",
    "你好",
    "a&b=c",
    "a+b",
    "a#b?c",
    "a,b",
    "(a)",
    "x' or 'a' eq 'a",
    "$count",
    "null",
    "a;b",
    "é\U0001f389",
    "\\",
    '"',
]


def entity(connector, name):
    return next(e for e in connector.discover() if e.name == name)


def filters(service: ODataService):
    return [unquote(t.partition("$filter=")[2]) for t in service.targets("GET") if "$filter=" in t]


@pytest.mark.parametrize("version", ["4.0", "4.01"])
@pytest.mark.parametrize("restriction", ["", "Filterable"])
def test_keys_of_any_characters_find_their_records(service: ODataService, odata, version, restriction):
    service.version = version
    if restriction:
        service.more = f"""<Annotations Target="Shop.Container/Parts"><Annotation Term="Capabilities.FilterRestrictions"><Record>
            <PropertyValue Property="{restriction}" Bool="false"/></Record></Annotation></Annotations>"""
    for code in WEIRD:
        service.put("Parts", {"Code": code, "Name": f"Part {code}"})
    connector = odata()

    found = connector.lookup(entity(connector, "Parts"), KEY, [*WEIRD, "x", "or 1 eq 1"])

    assert sorted(found.rows()) == sorted((code, f"Part {code}") for code in WEIRD)


def test_keys_of_several_parts_find_their_records(service: ODataService, odata):
    for order in (1, 2):
        for code in WEIRD:
            service.put("Items", {"Order": order, "Code": code, "Quantity": "1.5"})
    connector = odata()
    wanted = [canonical_key([2, code]) for code in WEIRD]

    found = connector.lookup(entity(connector, "Items"), KEY, [*wanted, canonical_key([3, "a/b"]), "[1]", "no JSON"], ["Order", "Code"])

    assert sorted(found.rows()) == sorted((2, code) for code in WEIRD)


@pytest.mark.parametrize(
    ("by", "values", "v4", "v2"),
    [
        ("ID", ["7", "-1"], "ID eq 7 or ID eq -1", "ID eq 7 or ID eq -1"),
        ("Name", ["O'Brien"], "Name eq 'O''Brien'", "Name eq 'O''Brien'"),
        ("Big", ["9007199254740993"], "Big eq 9007199254740993", "Big eq 9007199254740993L"),
        ("Price", ["12.5", "NaN", "much"], "Price eq 12.5", "Price eq 12.5M"),
        ("Active", ["true", "maybe"], "Active eq true", "Active eq true"),
        ("Born", ["1990-01-31", "1990-02-31"], "Born eq 1990-01-31", "Born eq datetime'1990-01-31T00:00:00'"),
        ("ModifiedAt", ["2026-11-22T10:00:00.000000Z"], "ModifiedAt eq 2026-11-22T10:00:00Z", "ModifiedAt eq datetime'2026-11-22T10:00:00'"),
        (
            "Ref", ["00000000-0000-4000-8000-000000000001", "1 or true"],
            "Ref eq 00000000-0000-4000-8000-000000000001", "Ref eq guid'00000000-0000-4000-8000-000000000001'",
        ),
        ("Address.City", ["Köln"], "Address/City eq 'Köln'", "Address/City eq 'Köln'"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("version", ["v4", "v2"])
def test_a_value_is_written_as_its_type_asks_and_one_that_is_none_not_at_all(service: ODataService, odata, version, by, values, v4, v2):
    expected = v4 if version == "v4" else v2
    service.version = "4.0"
    connector = odata(version)

    connector.lookup(entity(connector, "Customers"), by, values)

    assert filters(service) == [expected]


def test_one_of_an_enumeration_is_written_with_its_type(service: ODataService, odata):
    connector = odata()

    connector.lookup(entity(connector, "Customers"), "Color", ["Red", "Green", "Red'"])

    assert filters(service) == ["Color eq Shop.Color'Red'"]


@pytest.mark.parametrize("value", ["2147483648", "1e3", "٣", "five", "1.0", "true", " 1 or 1 eq 1"])
def test_a_text_that_is_no_whole_number_of_its_size_is_not_asked_for(service: ODataService, odata, value):
    connector = odata()

    assert connector.lookup(entity(connector, "Customers"), "ID", [value]).is_empty()

    assert filters(service) == []


def test_many_values_are_one_request_up_to_a_number_and_a_length(service: ODataService, odata):
    service.has(30)
    service.page_size = 100
    connector = odata(lists={"values_per_request": 12}, connection={"in_flight": 1})
    found = entity(connector, "Customers")

    assert connector.lookup(found, KEY, [str(n) for n in range(1, 31)], ["ID"]).height == 30
    assert [len(f.split(",")) for f in filters(service)] == [12, 12, 6]
    assert filters(service)[2] == "ID in (25,26,27,28,29,30)"

    service.asked.clear()
    connector.lookup(found, "Name", ["好" * 50 for _ in range(2)] + ["美" * 50, "丽" * 50, "x" * 200], ["ID"])
    assert [len(f.split(",")) for f in filters(service)] == [2, 2]


def test_a_lookup_follows_its_answers_pages_and_tells_all_that_match(service: ODataService, odata):
    service.page_size = 2
    for number in range(1, 8):
        service.put("Customers", customer(number, Name="Twin"))
    connector = odata()

    assert connector.lookup(entity(connector, "Customers"), "Name", ["Twin"], ["ID"])["ID"].to_list() == [1, 2, 3, 4, 5, 6, 7]


def test_a_service_that_ignores_the_filter_is_told(service: ODataService, odata):
    connector = odata()
    found = entity(connector, "Customers")
    service.answers["Customers"] = (200, {"Content-Type": "application/json"}, dumps({"value": [customer(1)]}))

    with pytest.raises(BadAnswer, match="with records other than those looked up by ID"):
        connector.lookup(found, KEY, ["7"])


def test_a_record_found_that_cannot_be_read_is_told(service: ODataService, odata):
    service.put("Customers", customer(1, Amount="INF"))
    connector = odata()

    with pytest.raises(BadAnswer, match="with a record whose Amount is not finite"):
        connector.lookup(entity(connector, "Customers"), KEY, ["1"])
