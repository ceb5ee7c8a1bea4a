from __future__ import annotations

import http.client
import json
import time
from email.utils import parsedate_to_datetime

import pytest

from sandbox.testing import ControlRefused
from tests.sandbox.dialects import DIALECTS

CUT = (http.client.RemoteDisconnected, http.client.IncompleteRead, ConnectionResetError)
NEW_CUSTOMER = {"NAME": "A", "COUNTRY": "CN"}


def test_429_says_in_three_ways_how_long_to_wait(sandbox, erp):
    sandbox.fault("erp", "rate_limit", times=1, retry_after=7)
    sandbox.fault("erp", "rate_limit", times=1, retry_after=7, form="date")
    sandbox.fault("erp", "rate_limit", times=1, form="none")

    seconds, date, none = (erp.say("GET", "/api/ping") for _ in range(3))

    assert [reply.status for reply in (seconds, date, none)] == [429, 429, 429]
    assert seconds.headers["retry-after"] == "7"
    assert 4 <= parsedate_to_datetime(date.headers["retry-after"]).timestamp() - time.time() <= 8
    assert "retry-after" not in none.headers
    assert erp.say("GET", "/api/ping").status == 200


@pytest.mark.parametrize(("kind", "more", "status"), [("error", {}, 500), ("unavailable", {"retry_after": 3}, 503), ("status", {"status": 410}, 410)])
@pytest.mark.parametrize("system", DIALECTS)
def test_an_ordered_status_stands_until_it_is_cleared(sandbox, speak, system, kind, more, status):
    dialect = speak(system)
    dialect.say("GET", dialect.ping)
    sandbox.fault(system, kind, **more)

    assert [dialect.say("GET", dialect.ping).status for _ in range(3)] == [status] * 3
    sandbox.clear_faults()
    assert dialect.say("GET", dialect.ping).status == 200


def test_a_fault_waits_for_its_request(sandbox, erp):
    sandbox.fault("erp", "error", times=1, path="/sales_orders", method="GET", skip=1)

    replies = [erp.say("GET", path).status for path in ("/api/customers", "/api/sales_orders", "/api/sales_orders", "/api/sales_orders")]

    assert replies == [200, 200, 500, 200]


def test_a_fault_with_a_probability_comes_now_and_then(sandbox, erp):
    sandbox.fault("erp", "error", probability=0.5)

    assert {erp.say("GET", "/api/ping").status for _ in range(40)} == {200, 500}


def test_a_slow_answer_and_a_latency_for_all(sandbox, erp):
    sandbox.fault("erp", "slow", ms=150, times=1)
    started = time.monotonic()
    erp.say("GET", "/api/ping")
    assert time.monotonic() - started >= 0.15

    sandbox.latency(60)
    started = time.monotonic()
    erp.say("GET", "/api/ping")
    assert time.monotonic() - started >= 0.06


def test_an_answer_is_cut_short(sandbox, erp):
    sandbox.fault("erp", "cut", times=1)

    with pytest.raises(CUT):
        erp.say("GET", "/api/customers")
    assert erp.say("GET", "/api/customers").status == 200


def test_a_connection_dropped_before_the_request_writes_nothing_and_after_it_has_written(sandbox, erp):
    sandbox.fault("erp", "drop_before", times=1)
    with pytest.raises(CUT):
        erp.say("POST", "/api/customers", NEW_CUSTOMER, **{"Idempotency-Key": "k-1"})
    assert sandbox.erp.applied() == {}

    sandbox.fault("erp", "drop_after", times=1)
    with pytest.raises(CUT):
        erp.say("POST", "/api/customers", NEW_CUSTOMER, **{"Idempotency-Key": "k-1"})
    assert sandbox.erp.applied() == {"customers.create": 1}

    assert erp.say("POST", "/api/customers", NEW_CUSTOMER, **{"Idempotency-Key": "k-1"}).headers["idempotency-replayed"] == "true"


def test_bodies_that_are_no_json(sandbox, erp):
    for kind, error in (("login_page", json.JSONDecodeError), ("truncated_json", json.JSONDecodeError), ("broken_utf8", UnicodeDecodeError)):
        sandbox.fault("erp", kind, times=1)
        reply = erp.say("GET", "/api/customers")
        assert reply.status == 200
        with pytest.raises(error):
            assert reply.json
    sandbox.fault("erp", "huge", times=1, bytes=3_000_000)
    assert len(erp.say("GET", "/api/ping").body) > 3_000_000


@pytest.mark.parametrize("system", DIALECTS)
def test_a_listing_is_empty_by_order(sandbox, speak, system):
    dialect = speak(system)
    entity = next(iter(dialect.entities))
    dialect.say("GET", dialect.ping)
    sandbox.fault(system, "empty")

    assert dialect.records(entity) == []


@pytest.mark.parametrize("system", DIALECTS)
def test_a_page_holds_a_record_twice_by_order(sandbox, speak, system):
    dialect = speak(system)
    entity, key = next(iter(dialect.entities.items()))
    dialect.say("GET", dialect.ping)
    sandbox.fault(system, "duplicate", times=1)

    keys = (
        [record[key] for record in dialect.records(entity)]
        if system != "erp"
        else [r[key] for r in dialect.say("GET", "/api/customers").json["ITEMS"]]
    )

    assert len(keys) == len(set(keys)) + 1


@pytest.mark.parametrize("system", ["crm", "mrp", "helpdesk", "marketing"])
def test_the_next_page_is_the_same_again_by_order(sandbox, speak, system):
    dialect = speak(system)
    sandbox.fault(system, "stuck_page")
    path = {
        "crm": "/v1/contacts?limit=5",
        "mrp": "/v2/production-orders?size=5",
        "helpdesk": "/api/tickets?limit=5",
        "marketing": "/v3/subscribers?per_page=5",
    }[system]

    def following(path):
        reply = dialect.say("GET", path)
        if system == "helpdesk":
            return f"/api/tickets?limit=5&cursor={reply.json['meta']['next-cursor']}"
        if system == "mrp":
            return dialect.behind(reply.json["next"])
        link = next(part for part in reply.headers["link"].split(", ") if 'rel="next"' in part)
        return dialect.behind(link[1 : link.index(">")])

    second = following(path)
    third = following(second)

    assert dialect.say("GET", second).body == dialect.say("GET", third).body


def test_some_rows_of_a_bulk_are_refused_by_order(sandbox, erp, crm):
    sandbox.fault("erp", "partial", times=1, rows=[1])
    sandbox.fault("crm", "partial")
    batch = {"operations": [{"method": "create", "record": {"full_name": "A", "email": "a@b.example"}}] * 3}

    results = erp.say("POST", "/api/customers/bulk", {"MODE": "CREATE", "ITEMS": [NEW_CUSTOMER] * 3}).json["RESULTS"]

    assert [result["STATUS"] for result in results] == ["CREATED", "REJECTED", "CREATED"]
    assert [result["status"] for result in crm.say("POST", "/v1/users/batch", batch).json["results"]] == [201, 201, 422]


def test_a_record_is_refused_because_of_its_value(sandbox, erp):
    sandbox.erp.refuses("customers", field="NAME", value="A", because="VAT number", times=1)

    refused = erp.say("POST", "/api/customers", NEW_CUSTOMER)

    assert refused.json["ERROR"]["MESSAGE"] == "VAT number"
    assert erp.say("POST", "/api/customers", NEW_CUSTOMER).status == 201


def test_tokens_expire_by_order_and_by_time(sandbox, crm, oa):
    crm.say("GET", "/v1/me"), oa.say("GET", "/api/user/list")
    sandbox.crm.expire_tokens()
    sandbox.oa.expire_tokens()
    assert crm.refusal(crm.say("GET", "/v1/me"))
    assert oa.refusal(oa.say("GET", "/api/user/list"))

    crm.token = oa.token = ""
    sandbox.crm.set(token_seconds=0)
    sandbox.oa.set(token_seconds=0)
    assert crm.refusal(crm.say("GET", "/v1/me"))
    assert oa.say("GET", "/api/user/list").json["errcode"] == 42001


@pytest.mark.parametrize("system", DIALECTS)
def test_an_expired_token_is_said_in_the_system_s_own_words(sandbox, speak, system):
    dialect = speak(system)
    dialect.say("GET", dialect.ping)
    sandbox.fault(system, "expired_token", times=1)

    reply = dialect.say("GET", dialect.ping)

    assert reply.json["errcode"] == 42001 if system == "oa" else reply.status == 401


def test_a_token_call_fails_only_when_a_fault_names_it(sandbox, crm):
    sandbox.fault("crm", "error", times=1)
    assert crm.call_token(grant_type="client_credentials").status == 200
    sandbox.fault("crm", "error", times=1, path="/oauth/token")
    assert crm.call_token(grant_type="client_credentials").status == 500


def test_a_limit_of_requests_a_minute_is_held_and_told(sandbox, crm):
    crm.say("GET", "/v1/me")
    sandbox.crm.set(per_minute=2)
    replies = [crm.say("GET", "/v1/me") for _ in range(5)]

    assert replies[0].headers["x-ratelimit-limit"] == "2"
    assert replies[-1].status == 429
    assert int(replies[-1].headers["retry-after"]) <= 60


def test_an_order_that_cannot_be_carried_out_says_why(sandbox):
    with pytest.raises(ControlRefused, match="There is no fault 'earthquake'"):
        sandbox.fault("crm", "earthquake")
    with pytest.raises(ControlRefused, match="system must be one of crm, oa, erp, mrp, helpdesk, marketing"):
        sandbox.fault("sap", "error")
    with pytest.raises(ControlRefused, match="entity must be one of customers, products, sales_orders"):
        sandbox.records("erp", "users")
    with pytest.raises(ControlRefused, match=r"There is no 'acc_x' in crm\.accounts"):
        sandbox.crm.delete("accounts", "acc_x")


def test_the_log_tells_what_was_asked_and_what_became_of_it(sandbox, erp):
    sandbox.fault("erp", "error", times=1)
    erp.say("GET", "/api/customers")
    erp.say("POST", "/api/customers", NEW_CUSTOMER)

    assert sandbox.requests()["counts"] == {"erp GET": 1, "erp create customers": 1}
    assert [(entry["status"], entry["what"], entry["fault"]) for entry in sandbox.erp.log()] == [(500, "", "error"), (201, "create customers", None)]


def test_records_are_put_as_they_are(sandbox, erp):
    sandbox.erp.has(customers=2)
    sandbox.erp.add("customers", NAME="NUL \u0000 and 😀", COUNTRY=7)
    sandbox.erp.add("customers", bare=True, CUSTOMER_NO="bare")
    sandbox.erp.change("customers", "0000000001", NAME="Changed")
    sandbox.erp.delete("customers", "0000000002")

    changed, added, bare = erp.records("customers")
    assert changed["NAME"] == "Changed"
    assert (added["CUSTOMER_NO"], added["NAME"], added["COUNTRY"]) == ("0000000003", "NUL \u0000 and 😀", 7)
    assert bare.keys() == {"CUSTOMER_NO", "CHANGED_AT"}
