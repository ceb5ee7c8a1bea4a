"""Writing: what is sent, and what became of each record, one by one and in batches."""

from __future__ import annotations

import json

import polars as pl
import pytest

from connectors.base import CHANGE_COLUMNS, KEY, Changes, Result, SettingsError, SystemBusy
from connectors.canonical import canonical_key
from tests.connectors.odata_service import ODataService, customer, lost
from tests.connectors.shop import fails, raw
from tests.connectors.test_odata_looking_up import WEIRD

WRITTEN, REFUSED, UNKNOWN = ("written", False, True), ("refused", False, True), ("unknown", False, True)
REFUSED_AGAIN, NOT_SENT = ("refused", True, True), ("refused", True, False)
ONE = {"in_flight": 1, "tries": 1}
BATCHES = {"json": {"batches": {"format": "json", "size": 10}}, "multipart": {"batches": {"format": "multipart", "size": 10}}}
WAYS = {"one by one": {}, **BATCHES}


def entity(connector, name="Customers"):
    return next(e for e in connector.discover() if e.name == name)


def write(connector, *rows, name="Customers"):
    """Rows of (operation, key, values), sent as the hub hands them over."""
    found = entity(connector, name)
    names = list(dict.fromkeys(n for _operation, _key, values in rows for n in values))
    columns = {n: [values.get(n) for _operation, _key, values in rows] for n in names}
    about = [(number, operation, key, f"key-{number}") for number, (operation, key, _values) in enumerate(rows)]
    schema = found.frame_schema(names)
    values = pl.DataFrame({n: columns[n] for n in schema}, schema=schema)
    outcomes = connector.write(found, Changes(pl.DataFrame(about, schema=CHANGE_COLUMNS, orient="row"), values))
    assert sorted(o.row for o in outcomes) == list(range(len(rows)))
    return sorted(outcomes, key=lambda o: o.row)


def create(number, **more):
    return "create", None, {"Name": f"N{number}", "Email": f"n{number}@x", **more}


def results(outcomes):
    return [(o.result.value, o.again, o.sent) for o in outcomes]


@pytest.fixture(params=list(WAYS))
def way(request):
    return {"connection": ONE, **WAYS[request.param]}


# --- what is sent ---


def test_creates_updates_and_deletes_each_have_an_outcome(service: ODataService, odata, way):
    service.has(3)
    service.refuses["bad@x"] = "VAT number"

    outcomes = write(
        odata(**way),
        create(1),
        ("update", "2", {"Name": "Ünal", "Email": "u@x"}),
        ("delete", "3", {}),
        create(2, Email="bad@x"),
        ("update", "77", {"Name": "Nobody", "Email": "n@x"}),
        ("delete", "78", {}),
        create(3),
    )

    assert results(outcomes) == [WRITTEN, WRITTEN, WRITTEN, REFUSED, REFUSED, WRITTEN, WRITTEN]
    assert [outcomes[0].key, outcomes[1].key, outcomes[6].key] == ["4", None, "5"]
    assert str(outcomes[3].reason) == "ERP refused it with status 422: [VAT] VAT number"
    assert str(outcomes[4].reason) == "ERP has no such record: [Bad] there is no such record"
    assert outcomes[1].record["Name"] == "Ünal"
    assert outcomes[1].record["Address.City"] == "Köln"
    assert [r["Name"] for r in service.sets["Customers"].values()] == ["Customer 1", "Ünal", "N1", "N3"]


def test_records_with_keys_of_any_characters_are_changed(service: ODataService, odata, way):
    for code in WEIRD:
        service.put("Parts", {"Code": code, "Name": "old"})
        service.put("Items", {"Order": 7, "Code": code, "Quantity": "1.0"})
    connector = odata(**way)

    parts = write(connector, *[("update", code, {"Name": f"new {code}"}) for code in WEIRD], name="Parts")
    items = write(connector, *[("delete", canonical_key([7, code]), {}) for code in WEIRD], name="Items")

    assert results([*parts, *items]) == [WRITTEN] * (2 * len(WEIRD))
    assert {code: r["Name"] for (code,), r in service.sets["Parts"].items()} == {code: f"new {code}" for code in WEIRD}
    assert service.sets["Items"] == {}


def test_the_key_of_a_created_record_is_taken_from_its_address_where_no_record_comes_back(service: ODataService, odata, way):
    service.is_silent = True

    outcomes = write(odata(**way), *[("create", None, {"Code": code, "Name": "new"}) for code in WEIRD], name="Parts")
    items = write(odata(**way), *[("create", None, {"Order": 7, "Code": code}) for code in WEIRD], name="Items")

    assert [(o.key, o.record) for o in outcomes] == [(code, None) for code in WEIRD]
    assert [o.key for o in items] == [canonical_key([7, code]) for code in WEIRD]


def test_what_a_record_holds_is_written_as_its_types_ask(service: ODataService, odata):
    service.has(1)
    found = {"Price": "12.50", "Big": 2**63 - 1, "Amount": 0.1, "Active": True, "Tags": '["x","y"]', "Address.Zip": "1010", "Email": None}

    assert results(write(odata(), ("update", "1", found))) == [WRITTEN]

    held = service.sets["Customers"][1,]
    assert {n: held[n] for n in ("Price", "Big", "Amount", "Active", "Tags", "Email")} == {
        "Price": 12.5, "Big": 2**63 - 1, "Amount": 0.1, "Active": True, "Tags": ["x", "y"], "Email": None,
    }  # fmt: skip
    assert held["Address"] == {"City": "Köln", "Zip": "1010"}


def test_a_record_that_brings_its_key_is_created_once_by_it(service: ODataService, odata, way):
    connector = odata(entities=[{"name": "Parts", "create_by_key": True}], **way)
    new = ("create", None, {"Code": "a'b", "Name": "one"})

    first, second = write(connector, new, name="Parts"), write(connector, new, ("create", None, {"Code": None, "Name": "x"}), name="Parts")

    assert entity(connector, "Parts").capabilities.upsert
    assert [o.key for o in (*first, *second)] == ["a'b", "a'b", None]
    assert str(second[1].reason) == "has no Code, which the address it is written to needs"
    assert list(service.sets["Parts"]) == [("a'b",)]


# --- ETags ---


def test_what_has_changed_since_it_was_looked_up_is_not_overwritten(service: ODataService, odata, way):
    service.has(2)
    connector = odata(**way)
    connector.lookup(entity(connector), KEY, ["1", "2"], ["ID"])
    service.sets["Customers"][1,]["Name"] = "Changed there"
    service.touch("Customers", (1,))

    outcomes = write(connector, ("update", "1", {"Name": "Ours"}), ("update", "2", {"Name": "Ours"}))
    again = write(connector, ("update", "1", {"Name": "Ours"}), ("update", "2", {"Name": "Ours too"}), ("delete", "1", {}))

    assert results(outcomes) == [REFUSED_AGAIN, WRITTEN]
    assert results(again) == [REFUSED_AGAIN, WRITTEN, REFUSED_AGAIN]
    assert str(outcomes[0].reason) == "ERP has changed the record since it was looked up: [ETag] it has another ETag"
    assert [r["Name"] for r in service.sets["Customers"].values()] == ["Changed there", "Ours too"]


def test_what_was_not_looked_up_is_changed_if_it_is_there(service: ODataService, odata):
    service.has(1)

    write(odata(), ("update", "1", {"Name": "Ours"}))

    assert service.headers[-1]["if-match"] == "*"


# --- what became of a record ---


@pytest.mark.parametrize(
    ("fault", "result", "reason"),
    [
        (fails(400, {"error": {"code": "10", "message": "bad"}}), REFUSED, "ERP refused it with status 400: [10] bad"),
        (fails(400, b"<html>"), REFUSED, "ERP refused it with status 400: HTTP 400"),
        (fails(409), REFUSED_AGAIN, "with status 409"),
        (fails(500), REFUSED_AGAIN, "ERP failed with status 500"),
        (fails(502), UNKNOWN, "A gateway before ERP gave up with status 502"),
        (fails(200, b"<html>Sign in"), UNKNOWN, "a web page instead of JSON"),
        (fails(200, b'{"ID": 5'), UNKNOWN, "JSON that ends in the middle"),
        (fails(201, {"Name": "x"}), UNKNOWN, "accepted the record but did not tell its key"),
        (fails(204, b"", OData_EntityId="Customers(x"), UNKNOWN, "accepted the record but did not tell its key"),
        (lost, UNKNOWN, "closed the connection before it answered POST /v4/Customers"),
        (raw(b"HTTP/1.1 201 Created\r\nContent-Length: 99\r\n\r\n{"), UNKNOWN, "was cut short"),
    ],
)  # fmt: skip
def test_a_bad_answer_concerns_its_record_alone(service: ODataService, odata, fault, result, reason):
    connector = odata(connection=ONE)
    entity(connector)
    service.faults.extend([None, None, fault])  # the first is for the description, which is asked for once more

    outcomes = write(connector, create(1), create(2), create(3))

    assert results(outcomes) == [WRITTEN, result, WRITTEN]
    assert reason in str(outcomes[1].reason)


def test_a_service_that_asks_to_wait_leaves_the_rest_unsent(service: ODataService, odata):
    connector = odata(connection=ONE)
    service.faults.extend([None, None, fails(429, Retry_After="30")])

    outcomes = write(connector, create(1), create(2), create(3))

    assert results(outcomes) == [WRITTEN, NOT_SENT, NOT_SENT]
    with pytest.raises(SystemBusy):
        write(connector, create(4))


@pytest.mark.parametrize(
    ("rows", "said"),
    [([("update", "no number", {"Name": "x"})], "no number is no key of Customers"), ([("delete", "99999999999", {})], "is no key of Customers")],
)
def test_a_key_that_is_none_is_refused_without_being_sent(service: ODataService, odata, way, rows, said):
    outcomes = write(odata(**way), *rows, create(1, Email=None) if rows[0][0] == "update" else create(1))

    assert results(outcomes) == [REFUSED, WRITTEN]
    assert said in str(outcomes[0].reason)


@pytest.mark.parametrize(("version", "operation"), [("v2", "create"), ("v2", "delete"), ("v4", "delete")])
def test_what_the_service_does_not_allow_is_not_sent(service: ODataService, odata, version, operation):
    service.more = """<Annotations Target="Shop.Container/Customers"><Annotation Term="Capabilities.DeleteRestrictions"><Record>
        <PropertyValue Property="Deletable" Bool="false"/></Record></Annotation></Annotations>"""

    with pytest.raises(SettingsError, match=f"Customers of ERP cannot be written by {operation}: the service does not allow it"):
        write(odata(version), (operation, "1", {"Name": "x"}))


def test_a_repeated_request_has_one_id(service: ODataService, odata):
    connector = odata(repeatable=True)

    write(connector, create(1))
    write(connector, create(1))

    ids = [h["repeatability-request-id"] for h in service.headers if "repeatability-request-id" in h]
    assert len(ids) == 2
    assert len(set(ids)) == 1
    assert len(service.sets["Customers"]) == 1


# --- batches ---


@pytest.mark.parametrize("way", list(BATCHES))
def test_a_batch_carries_many_and_asks_to_go_on_after_an_error(service: ODataService, odata, way):
    write(odata(**BATCHES[way]), *[create(n) for n in range(25)])

    sent = [h for h, (method, target) in zip(service.headers, service.asked, strict=True) if target == "/v4/$batch"]
    assert [h["prefer"] for h in sent] == [{"json": "continue-on-error", "multipart": "odata.continue-on-error"}[way]] * 3
    assert len(service.sets["Customers"]) == 25


@pytest.mark.parametrize("way", list(BATCHES))
def test_what_a_batch_does_not_answer_is_unknown(service: ODataService, odata, way):
    service.stops_at_error = True
    service.refuses["bad@x"] = "VAT number"

    outcomes = write(odata(**BATCHES[way]), create(1), create(2, Email="bad@x"), create(3))

    assert results(outcomes) == [WRITTEN, REFUSED, UNKNOWN]
    assert "did not say what became of this record" in str(outcomes[2].reason)


def multipart(*parts: bytes) -> bytes:
    return b"".join(b"--a\r\nContent-Type: application/http\r\n\r\n" + part + b"\r\n" for part in parts) + b"--a--\r\n"


@pytest.mark.parametrize(
    ("way", "body", "kind", "expected", "reason"),
    [
        ("json", b'{"responses": [{"id": "0", "status": 429, "headers": {"retry-after": "20"}}]}', "", [NOT_SENT, UNKNOWN], "asks us to wait"),
        ("json", b'{"responses": [{"id": "1", "status": 204}, {"id": "9", "status": 204}]}', "", [UNKNOWN, UNKNOWN], "did not say"),
        ("json", b'{"responses": [{"id": 0, "status": 201}]}', "", [UNKNOWN, UNKNOWN], "is no $batch answer. Choose another format"),
        ("json", b"<html>", "", [UNKNOWN, UNKNOWN], "a web page instead of JSON"),
        ("json", b'{"responses": [{"id": "0", "sta', "", [UNKNOWN, UNKNOWN], "ends in the middle"),
        ("multipart", multipart(b"HTTP/1.1 204 No\r\nOData-EntityId: Customers(9)\r\n\r\n"), "multipart/mixed; boundary=a", [WRITTEN, UNKNOWN], "None"),
        ("multipart", multipart(b"HTTP/1.1 500 No\r\n\r\n", b"HTTP/1.1 400 No\r\n\r\n"), "Multipart/Mixed;boundary=a", [REFUSED_AGAIN, REFUSED], "failed"),
        ("multipart", multipart(b"nonsense"), "multipart/mixed; boundary=a", [UNKNOWN, UNKNOWN], "is no $batch answer"),
        ("multipart", b"--b\r\n", "multipart/mixed; boundary=a", [UNKNOWN, UNKNOWN], "did not say"),
        ("multipart", b"{}", "application/json", [UNKNOWN, UNKNOWN], "is no $batch answer"),
    ],
)  # fmt: skip
def test_an_answer_to_a_batch_that_tells_little_leaves_the_rest_unknown(service: ODataService, odata, way, body, kind, expected, reason):
    service.answers["$batch"] = (200, {"Content-Type": kind or "application/json"}, body)

    outcomes = write(odata(connection=ONE, **BATCHES[way]), create(1), create(2))

    assert results(outcomes) == expected
    assert reason in str(outcomes[0].reason)


@pytest.mark.parametrize(("status", "expected"), [(404, REFUSED), (500, REFUSED_AGAIN), (504, UNKNOWN)])
def test_a_batch_that_fails_as_a_whole_tells_so_of_each(service: ODataService, odata, status, expected):
    service.answers["$batch"] = (status, {"Content-Type": "application/json"}, b'{"error": {"code": "B", "message": "no batches"}}')

    assert results(write(odata(**BATCHES["json"]), create(1), create(2))) == [expected, expected]


@pytest.mark.parametrize("way", list(BATCHES))
def test_a_batch_whose_answer_never_comes_is_unknown(service: ODataService, odata, way):
    connector = odata(connection=ONE, **BATCHES[way])
    service.faults.extend([None, lost])

    outcomes = write(connector, create(1), create(2))

    assert [o.result for o in outcomes] == [Result.UNKNOWN] * 2
    assert len(service.sets["Customers"]) == 2


def test_a_json_batch_holds_records_as_json(service: ODataService, odata):
    service.put("Customers", customer(1))
    seen: list[bytes] = []

    async def look(request):
        seen.append(await request.read())

    connector = odata(**BATCHES["json"])
    service.faults.extend([None, look])

    write(connector, ("update", "1", {"Name": "Ü", "Address.City": "Wien"}))

    (request,) = json.loads(seen[0])["requests"]
    assert (request["method"], request["url"], request["body"]) == ("patch", "Customers(1)", {"Name": "Ü", "Address": {"City": "Wien"}})
    assert request["headers"]["If-Match"] == "*"
