"""Writing: what became of each record, and what is sent."""

from __future__ import annotations

import time

import orjson
import polars as pl
import pytest

from connectors.base import CHANGE_COLUMNS, Changes, FreeHost, Result, SettingsError, Stopped, SystemBusy, SystemDown
from tests.connectors.conftest import FIELDS
from tests.connectors.shop import Shop, fails, raw, slow


def portion(*rows, send=None):
    """Rows of (operation, key, values) as the hub hands them over."""
    names = list(dict.fromkeys(name for _operation, _key, values in rows for name in values))
    columns = {name: [values.get(name) for _operation, _key, values in rows] for name in names}
    about = [(number, operation, key, f"key-{number}") for number, (operation, key, _values) in enumerate(rows)]
    return Changes(pl.DataFrame(about, schema=CHANGE_COLUMNS, orient="row"), pl.DataFrame(columns), send)


def creates(count, **more):
    return portion(*[("create", None, {"name": f"N{n}", "email": f"n{n}@x", **more}) for n in range(count)])


def write(connector, changes):
    outcomes = connector.write(connector.discover()[0], changes)
    assert sorted(o.row for o in outcomes) == list(range(len(changes)))
    return sorted(outcomes, key=lambda o: o.row)


def results(outcomes):
    return [(o.result.value, o.again, o.sent) for o in outcomes]


WRITTEN, REFUSED, UNKNOWN = ("written", False, True), ("refused", False, True), ("unknown", False, True)
REFUSED_AGAIN, NOT_SENT = ("refused", True, True), ("refused", True, False)
ONE = {"in_flight": 1, "tries": 1}


# --- what became of a record ---


@pytest.mark.parametrize(
    ("fault", "result", "reason"),
    [
        (fails(422, {"error": {"message": "VAT number"}}), REFUSED, "Shop refused it with status 422: VAT number"),
        (fails(400), REFUSED, "Shop refused it with status 400: as ordered"),
        (fails(403), REFUSED, "with status 403"),
        (fails(404), REFUSED, "with status 404"),
        (fails(409), REFUSED_AGAIN, "with status 409"),
        (fails(423), REFUSED_AGAIN, "with status 423"),
        (fails(500, b"<html>"), REFUSED_AGAIN, "Shop failed with status 500"),
        (fails(502), UNKNOWN, "A gateway before Shop gave up with status 502; the record may have arrived"),
        (fails(504), UNKNOWN, "status 504"),
        (fails(302, Location="/login"), REFUSED, "status 302"),
        (fails(200, b"<html>Sign in"), UNKNOWN, "a web page instead of JSON"),
        (fails(200, {}), UNKNOWN, "accepted the record but did not tell its key"),
        (raw(b"", then="reset"), UNKNOWN, "closed the connection before it answered POST /contacts"),
        (raw(b"HTTP/1.1 201 Created\r\nContent-Length: 99\r\n\r\n{"), UNKNOWN, "The answer of Shop to POST /contacts was cut short"),
        (slow(1.0), UNKNOWN, "Shop did not answer POST /contacts in time"),
    ],
)
def test_a_bad_answer_concerns_its_record_alone(shop: Shop, connect, fault, result, reason):
    shop.faults.extend([None, fault])

    outcomes = write(connect(connection={**ONE, "connect_seconds": 0.1, "read_seconds": 0.3}), creates(3))

    assert results(outcomes) == [WRITTEN, result, WRITTEN]
    assert reason in str(outcomes[1].reason)


def test_an_error_inside_a_200_refuses_the_record(shop: Shop, connect):
    shop.answers["/contacts"] = (200, {"errcode": 40035, "errmsg": "bad mail"})

    outcomes = write(connect(answers={"success_path": "errcode", "success_values": ["0"]}), creates(1))

    assert results(outcomes) == [REFUSED]
    assert str(outcomes[0].reason) == "Shop refused it: [40035] bad mail"


def test_what_was_deleted_before_counts_as_deleted(shop: Shop, connect):
    assert results(write(connect(), portion(("delete", "77", {})))) == [WRITTEN]


def test_what_is_certainly_not_through_is_told_as_not_sent(shop: Shop, connect):
    """The system asks for a long wait after the second record: what is behind is as if it had not been handed over."""
    shop.faults.extend([None, fails(429, Retry_After="90")])
    connector = connect(connection=ONE)

    outcomes = write(connector, creates(5))

    assert results(outcomes) == [WRITTEN, NOT_SENT, NOT_SENT, NOT_SENT, NOT_SENT]
    with pytest.raises(SystemBusy) as caught:
        write(connector, creates(1))
    assert caught.value.retry_after == pytest.approx(90, abs=2)
    assert len(shop.asked) == 2


def test_a_short_wait_is_waited_within_the_portion(shop: Shop, connect):
    shop.faults.extend([None, fails(429, Retry_After="0.05"), fails(503, Retry_After="0.05")])

    assert results(write(connect(connection={"in_flight": 1}), creates(4))) == [WRITTEN] * 4


def test_credentials_that_stop_working_stop_the_portion(shop: Shop, connect):
    shop.faults.extend([None, fails(401), None])

    outcomes = write(connect(connection=ONE), creates(4))

    assert results(outcomes) == [WRITTEN, NOT_SENT, NOT_SENT, NOT_SENT]
    assert "does not accept our credentials" in str(outcomes[1].reason)


def test_credentials_that_never_worked_are_an_error(shop: Shop, connect):
    shop.faults.append(fails(401, {"message": "no"}))

    with pytest.raises(SettingsError, match="does not accept our credentials for POST /contacts: no"):
        write(connect(connection=ONE), creates(2))


def test_a_system_that_cannot_be_reached_is_down_and_nothing_was_sent(connect):
    connector = connect(base_url="http://127.0.0.1:9", connection={"tries": 2})

    with pytest.raises(SystemDown, match=r"127\.0\.0\.1 \(Shop\) could not be connected to: nothing listens"):
        write(connector, creates(2))


def test_an_open_circuit_halfway_leaves_the_rest_unsent(shop: Shop, connect):
    class Breaking(FreeHost):
        def before_request(self) -> None:
            if len(shop.asked) >= 2:
                raise SystemDown("The circuit to {system} is open.", system=self.system, retry_after=30)

    assert results(write(connect(host=Breaking("Shop"), connection=ONE), creates(4))) == [WRITTEN, WRITTEN, NOT_SENT, NOT_SENT]


def test_a_request_still_going_at_the_deadline_is_cut(shop: Shop, connect):
    class Ending(FreeHost):
        until = time.monotonic() + 60

        def deadline(self) -> float:
            return self.until

    shop.faults.extend([None, slow(5)])
    host = Ending("Shop")
    connector = connect(host=host, connection=ONE)
    connector.discover()
    host.until = time.monotonic() + 0.4
    started = time.monotonic()

    outcomes = write(connector, creates(4))

    assert time.monotonic() - started < 2
    assert results(outcomes) == [WRITTEN, UNKNOWN, NOT_SENT, NOT_SENT]
    assert "was over before it answered" in str(outcomes[1].reason)
    with pytest.raises(Stopped):
        write(connector, creates(1))


def test_a_deadline_that_moves_cuts_nothing(shop: Shop, connect):
    class Renewed(FreeHost):
        def deadline(self) -> float:
            return time.monotonic() + 0.3

    shop.faults.append(slow(0.8))

    assert results(write(connect(host=Renewed("Shop")), creates(1))) == [WRITTEN]


def test_permits_are_drawn_in_blocks_and_waited_for(shop: Shop, connect):
    class Limited(FreeHost):
        drawn = 0
        granted = 0

        def permit(self, wanted: int = 1) -> tuple[int, float]:
            self.drawn += 1
            if self.drawn % 2:
                return 0, 0.05
            self.granted += min(wanted, 10)
            return min(wanted, 10), 0.0

    host = Limited("Shop")

    assert results(write(connect(host=host), creates(40))) == [WRITTEN] * 40
    assert host.granted >= 40
    assert host.drawn < 40


def test_no_more_requests_are_in_flight_than_allowed_and_as_many_are(shop: Shop, connect):
    shop.delay = 0.02

    write(connect(connection={"in_flight": 7}), creates(40))

    assert shop.peak == 7


def test_connections_are_kept_over_calls_and_one_that_the_server_closed_is_not_taken(shop: Shop, connect):
    connector = connect(connection=ONE)
    write(connector, creates(1))
    first = shop.asked[-1].transport
    write(connector, creates(1))
    assert shop.asked[-1].transport is first

    assert first is not None
    first.get_loop().call_soon_threadsafe(first.close) if hasattr(first, "get_loop") else first._loop.call_soon_threadsafe(first.close)
    time.sleep(0.1)

    assert results(write(connector, creates(1))) == [WRITTEN]


# --- what is sent ---


def sent(shop: Shop, connector, changes):
    write(connector, changes)
    return [(r.method, str(r.rel_url), orjson.loads(b) if b else None) for r, b in zip(shop.asked, shop.bodies, strict=True)]


def endpoint(**more):
    return {"path": "/contacts", "record_path": "", **more}


def test_a_record_is_nested_wrapped_and_renamed(shop: Shop, connect):
    shop.answers["/make"] = (200, {"data": {"id": 9}})
    fields = [f if f["name"] != "email" else {**f, "write_as": "contact.mail"} for f in FIELDS]
    way = endpoint(
        path="/make?source={name}", body={"data": {"attributes": "{record}", "tag": "hub-{idempotency_key}", "n": "{amount}"}}, record_path="data"
    )
    changes = portion(("create", None, {"name": "A & Ü", "email": "a@x", "address.city": "Köln", "amount": 1.5}))

    assert sent(shop, connect(entity={"create": way, "fields": fields}), changes) == [
        (
            "POST",
            "/make?source=A%20%26%20%C3%9C",
            {
                "data": {
                    "attributes": {"name": "A & Ü", "contact": {"mail": "a@x"}, "address": {"city": "Köln"}, "amount": 1.5},
                    "tag": "hub-key-0",
                    "n": 1.5,
                }
            },
        )
    ]
    assert shop.asked[-1].headers["Idempotency-Key"] == "key-0"


def test_dotted_names_can_stay_flat(shop: Shop, connect):
    shop.has(1)
    way = endpoint(method="PATCH", path="/contacts/{key}", nest=False, with_key=True)

    assert sent(shop, connect(entity={"update": way}), portion(("update", "1", {"address.city": "Köln"}))) == [
        ("PATCH", "/contacts/1", {"id": 1, "address.city": "Köln"})
    ]


def test_masked_fields_are_not_sent_and_nulls_are(shop: Shop, connect):
    shop.has(2)
    mask = pl.DataFrame({"address.city": [True, False]})
    changes = portion(("update", "1", {"name": None, "address.city": None}), ("update", "2", {"name": "x", "address.city": "y"}), send=mask)

    assert sent(shop, connect(connection=ONE), changes) == [
        ("PATCH", "/contacts/1", {"name": None, "address": {"city": None}}),
        ("PATCH", "/contacts/2", {"name": "x"}),
    ]


def test_a_key_is_quoted_in_a_path(shop: Shop, connect):
    fields = [{"name": "code"}, {"name": "name"}]
    way = endpoint(method="DELETE", path="/things/{key}/x", body=None)
    shop.answers["/things/a/../b c?#%/x"] = (204, b"")
    shop.answers["/things/a/b"] = (204, b"")
    connector = connect(entity={"key": ["code"], "fields": fields, "cursor_field": None, "delete": way, "lookups": []})

    outcomes = write(connector, portion(("delete", "a/../b c?#%", {})))

    assert str(shop.asked[-1].raw_path if hasattr(shop.asked[-1], "raw_path") else shop.asked[-1].path_qs) == "/things/a%2F..%2Fb%20c%3F%23%25/x"
    assert outcomes[0].result == Result.WRITTEN


def test_a_composite_key_goes_by_its_fields(shop: Shop, connect):
    fields = [{"name": "shop"}, {"name": "no", "type": "integer"}, {"name": "name"}]
    shop.answers["/things/a,b/7"] = (200, {})
    way = {"method": "PUT", "path": "/things/{shop}/{no}", "with_key": True}
    connector = connect(entity={"key": ["shop", "no"], "fields": fields, "cursor_field": None, "update": way, "lookups": []})

    assert sent(shop, connector, portion(("update", '["a,b","7"]', {"name": "x"}))) == [
        ("PUT", "/things/a%2Cb/7", {"shop": "a,b", "no": 7, "name": "x"})
    ]


def test_a_record_without_what_its_address_needs_is_refused_and_not_sent_elsewhere(shop: Shop, connect):
    way = endpoint(method="PUT", path="/contacts/{email}")
    changes = portion(("create", None, {"name": "x", "email": None}), ("update", "five", {"name": "y"}))

    outcomes = write(connect(entity={"create": way}), changes)

    assert results(outcomes) == [REFUSED, REFUSED]
    assert [str(o.reason) for o in outcomes] == ["has no email, which the address it is written to needs", "five is no key of contacts"]
    assert shop.asked == []


def test_a_line_break_that_would_go_into_a_header_is_refused_with_its_record(shop: Shop, connect):
    create = endpoint(headers={"X-Name": "{name}"})

    outcomes = write(
        connect(entity={"create": create}), portion(*[("create", None, {"name": name, "email": "a@x"}) for name in ("A\nX-Admin: 1", "B")])
    )

    assert results(outcomes)[0] == REFUSED
    assert str(outcomes[0].reason) == "has a line break in what goes into the header X-Name"
    assert [request.headers["X-Name"] for request in shop.asked] == ["B"]


def test_a_value_that_would_lead_to_another_address_is_refused_with_its_record(shop: Shop, connect):
    """Quoted or not, `..` is the folder above: deleting it would delete something else."""
    rows = portion(*[("update", key, {"name": key}) for key in ("a/b", ".", "..")])

    outcomes = write(connect(entity={"fields": [{"name": "id"}, {"name": "name"}], "cursor_field": None}), rows)

    assert [str(outcome.reason) for outcome in outcomes[1:]] == [f"has “{dots}” as key, which no address can hold" for dots in (".", "..")]
    assert shop.paths == ["/contacts/a%2Fb"]


def test_an_unknown_placeholder_is_named(shop: Shop, connect):
    with pytest.raises(SettingsError, match=r"A template of contacts in Shop uses \{mail\}, which is neither a field nor a known placeholder"):
        write(connect(entity={"create": endpoint(body={"x": "{mail}"})}), creates(1))


def test_what_has_no_endpoint_cannot_be_written(connect):
    with pytest.raises(SettingsError, match="contacts of Shop cannot be written by delete"):
        write(connect(entity={"delete": None}), portion(("delete", "1", {})))


# --- many at once ---

BULK = {
    "path": "/contacts/bulk",
    "body": {"items": "{records}"},
    "size": 4,
    "results": {"path": "results", "matched_by": "index", "match_path": "index", "success_path": "ok", "key_path": "id", "error_path": "error"},
}


def bulk(**more):
    return {"bulk": [{**BULK, **more}]}


@pytest.mark.parametrize("order", ["same", "mixed"])
def test_each_record_of_a_bulk_has_its_own_result(shop: Shop, connect, order):
    shop.refuses["n2@x"] = "VAT number"

    outcomes = write(connect(entity=bulk(path=f"/contacts/bulk?order={order}"), connection=ONE), creates(6))

    assert results(outcomes) == [WRITTEN, WRITTEN, REFUSED, WRITTEN, WRITTEN, WRITTEN]
    assert str(outcomes[2].reason) == "Shop refused it: VAT number"
    assert [shop.contacts[int(o.key)]["email"] for o in outcomes if o.key] == ["n0@x", "n1@x", "n3@x", "n4@x", "n5@x"]
    assert len(shop.asked) == 2


@pytest.mark.parametrize(
    ("results_", "expected"),
    [
        ([{"index": 0, "ok": True, "id": 1}], [WRITTEN, UNKNOWN, UNKNOWN]),
        ([{"index": 0, "ok": True, "id": 1}, {"index": 1, "ok": True}, {"index": 9, "ok": True, "id": 3}], [WRITTEN, UNKNOWN, UNKNOWN]),
        ("nothing", [UNKNOWN] * 3),
    ],
)
def test_a_record_without_a_result_is_unknown(shop: Shop, connect, results_, expected):
    shop.answers["/contacts/bulk"] = (207, {"results": results_})

    assert results(write(connect(entity=bulk()), creates(3))) == expected


def test_results_by_order_need_one_for_each(shop: Shop, connect):
    shop.answers["/contacts/bulk"] = (200, {"results": [{"ok": True, "id": 1}, {"ok": True, "id": 2}]})
    by_order = {**BULK["results"], "matched_by": "order"}

    assert results(write(connect(entity=bulk(results=by_order)), creates(3))) == [UNKNOWN] * 3


def test_a_list_of_failures_leaves_the_others_written(shop: Shop, connect):
    shop.answers["/contacts/bulk"] = (
        200,
        {"errors": [{"key": "key-1", "why": "no", "code": "E7"}, {"key": "key-2", "why": "busy", "code": "LOCKED"}]},
    )
    way = {"path": "errors", "matched_by": "idempotency_key", "match_path": "key", "only_failures": True, "error_path": "why", "code_path": "code"}

    outcomes = write(connect(entity=bulk(results={**way, "again_codes": ["LOCKED"]})), creates(3))

    assert results(outcomes) == [WRITTEN, REFUSED, REFUSED_AGAIN]
    assert str(outcomes[1].reason) == "Shop refused it: E7: no"


FAILURES = {"path": "errors", "matched_by": "index", "match_path": "index", "only_failures": True, "error_path": "why"}


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, {"code": 0, "errors": []}, [WRITTEN] * 3),
        (200, {"code": 0}, [WRITTEN] * 3),
        (200, {"code": 0, "errors": {"1": "no"}}, [UNKNOWN] * 3),
        (200, {"code": 0, "errors": [{"index": 1, "why": "no"}, {"index": 1, "why": "nor that"}]}, [WRITTEN, REFUSED, WRITTEN]),
        (200, {"code": 0, "errors": [{"why": "the batch is too long"}]}, [UNKNOWN] * 3),
        (200, {"code": 0, "errors": [{"index": 0, "why": "no"}, {"index": 77, "why": "no"}]}, [REFUSED, UNKNOWN, UNKNOWN]),
        (200, {"code": 7, "errors": []}, [REFUSED] * 3),
        (200, {"code": 7, "errors": [{"index": 0, "why": "no"}]}, [REFUSED, UNKNOWN, UNKNOWN]),
        (400, {"code": 7, "errors": []}, [REFUSED] * 3),
        (422, {"code": 7, "errors": ["the batch is too long"]}, [UNKNOWN] * 3),
        (422, {"code": 7, "errors": [{"index": 0, "why": "no"}]}, [REFUSED, UNKNOWN, UNKNOWN]),
        (500, {"code": 7, "errors": []}, [REFUSED_AGAIN] * 3),
    ],
)
def test_only_an_answer_that_succeeded_and_can_be_read_whole_leaves_the_others_written(shop: Shop, connect, status, body, expected):
    shop.answers["/contacts/bulk"] = (status, body)

    outcomes = write(connect(entity=bulk(results=FAILURES), answers={"success_path": "code", "success_values": ["0"]}), creates(3))

    assert results(outcomes) == expected


@pytest.mark.parametrize(
    ("fault", "result"),
    [(fails(500), REFUSED_AGAIN), (fails(400), REFUSED), (fails(502), UNKNOWN), (raw(b"", then="reset"), UNKNOWN), (fails(200, b"<html>"), UNKNOWN)],
)
def test_a_bulk_that_fails_as_a_whole_concerns_its_records_alone(shop: Shop, connect, fault, result):
    shop.faults.append(fault)

    assert results(write(connect(entity=bulk(), connection=ONE), creates(6))) == [result] * 4 + [WRITTEN] * 2


@pytest.mark.parametrize("keys", [["1", "two", "3"], ["two", "1"], ["1", "two"], ["two", "1", "three"]])
def test_malformed_records_do_not_spoil_their_bulk(shop: Shop, connect, keys):
    shop.has(3)
    good = [key for key in keys if key.isdigit()]
    shop.answers["/contacts/bulk"] = (200, {"results": [{"index": n, "ok": True} for n in range(len(good))]})

    outcomes = write(connect(entity=bulk(operation="update", with_key=True)), portion(*[("update", key, {"name": "x"}) for key in keys]))

    assert results(outcomes) == [WRITTEN if key in good else REFUSED for key in keys]
    assert orjson.loads(shop.bodies[-1]) == {"items": [{"id": int(key), "name": "x"} for key in good]}


def test_each_record_of_a_bulk_can_carry_its_own_key_and_shape(shop: Shop, connect):
    shop.answers["/contacts/bulk"] = (200, {})
    shape = {"results": None, "item": {"method": "create", "record": "{record}"}, "body": {"operations": "{records}", "atomic": False}}

    write(connect(entity=bulk(**shape)), creates(1))
    write(connect(entity=bulk(results=None, idempotency_field="once")), creates(1))

    assert [orjson.loads(b) for b in shop.bodies] == [
        {"operations": [{"method": "create", "record": {"name": "N0", "email": "n0@x"}}], "atomic": False},
        {"items": [{"name": "N0", "email": "n0@x", "once": "key-0"}]},
    ]
