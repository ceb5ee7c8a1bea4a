from __future__ import annotations

import http.client
import re
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from tests.sandbox.dialects import path_of


def test_the_crm_creates_updates_and_deletes(sandbox, crm):
    made = crm.say("POST", "/v1/users", {"full_name": "王芳", "email": "fang.wang@hailan.example", "employee_id": "U000077"})
    key = made.json["id"]
    changed = crm.say("PATCH", f"/v1/users/{key}", {"phone": "+86 21 5555 0101"})
    deleted = crm.say("DELETE", f"/v1/users/{key}")

    assert (made.status, changed.status, deleted.status) == (201, 200, 204)
    assert (changed.json["full_name"], changed.json["phone"]) == ("王芳", "+86 21 5555 0101")
    assert changed.json["updated_at"] >= made.json["updated_at"]
    assert crm.say("GET", f"/v1/users/{key}").status == 404
    assert sandbox.crm.applied() == {"users.create": 1, "users.update": 1, "users.delete": 1}


def test_a_nested_object_is_changed_field_by_field(sandbox, crm):
    account = sandbox.records("crm", "accounts")[0]

    changed = crm.say("PATCH", f"/v1/accounts/{account['id']}", {"address": {"city": "Dalian"}}).json

    assert changed["address"] == {**account["address"], "city": "Dalian"}


@pytest.mark.parametrize(
    ("values", "problems"),
    [
        ({}, {("full_name", "required"), ("email", "required")}),
        ({"full_name": "x" * 81, "email": "a@b.example"}, {("full_name", "too_long")}),
        ({"full_name": "x", "email": "no address"}, {("email", "invalid")}),
        ({"full_name": 5, "email": "a@b.example"}, {("full_name", "invalid")}),
        ({"full_name": "x", "email": "a@b.example", "locale": "tlh"}, {("locale", "not_allowed")}),
        ({"full_name": "x", "email": "a@b.example", "nick": "y"}, {("nick", "unknown_field")}),
    ],
)
def test_a_bad_record_is_refused_with_every_problem(sandbox, crm, values, problems):
    reply = crm.say("POST", "/v1/users", values)

    assert (reply.status, reply.headers["content-type"]) == (422, "application/problem+json")
    assert {(problem["field"], problem["code"]) for problem in reply.json["errors"]} == problems
    assert sandbox.crm.applied() == {}


def test_null_clears_a_field_but_not_a_required_one(crm):
    assert crm.say("PATCH", "/v1/users/usr_000001", {"phone": None}).json["phone"] is None
    assert crm.say("PATCH", "/v1/users/usr_000001", {"email": None}).status == 422


def test_an_upsert_by_external_id_twice_makes_one_record(sandbox, crm):
    first = crm.say("PUT", f"/v1/accounts/external/{path_of('C/1 %2F')}", {"name": "海岚仪器"})
    second = crm.say("PUT", f"/v1/accounts/external/{path_of('C/1 %2F')}", {"name": "Hailan"})

    assert (first.status, second.status, first.json["external_id"]) == (201, 200, "C/1 %2F")
    assert first.json["id"] == second.json["id"]
    assert [a["name"] for a in sandbox.records("crm", "accounts") if a["external_id"] == "C/1 %2F"] == ["Hailan"]


def test_a_batch_of_the_crm_answers_each_operation(crm):
    operations = [
        {"method": "create", "record": {"full_name": "A", "email": "a@b.example"}},
        {"method": "create", "record": {"full_name": "B"}},
        {"method": "update", "id": "usr_000001", "record": {"title": "CEO"}},
        {"method": "upsert", "record": {"external_id": "E-1", "full_name": "C", "email": "c@b.example"}},
        {"method": "delete", "id": "usr_999999"},
    ]

    reply = crm.say("POST", "/v1/users/batch", {"operations": operations})

    assert reply.status == 207
    assert [result["status"] for result in reply.json["results"]] == [201, 422, 200, 201, 404]


def test_the_oa_answers_200_whatever_is_wrong(sandbox, oa):
    made = oa.say("POST", "/api/user/create", {"name": "李雷", "email": "lei.li@hailan.example"}).json
    key = made["result"]["userId"]

    assert (made["errcode"], made["errmsg"]) == (0, "ok")
    assert oa.say("POST", "/api/user/update", {"userId": key, "position": "工程师"}).json["errcode"] == 0
    assert oa.say("GET", f"/api/user/get?userId={key}").json["result"]["position"] == "工程师"
    assert oa.say("POST", "/api/user/delete", {"userId": key}).json["errcode"] == 0
    for reply, code in (
        (oa.say("POST", "/api/user/create", {"email": "x"}), 40035),
        (oa.say("GET", f"/api/user/get?userId={key}"), 60121),
        (oa.say("POST", "/api/user/create", b"{"), 47001),
    ):
        assert (reply.status, reply.json["errcode"]) == (200, code)


def test_the_erp_writes_many_and_answers_each(sandbox, erp):
    items = [
        {"EXT_REF": "acc_000004", "NAME": "Renamed", "COUNTRY": "CN"},
        {"EXT_REF": "acc_000999", "NAME": "New", "COUNTRY": "DE"},
        {"EXT_REF": "acc_000998", "NAME": "Nowhere", "COUNTRY": "Atlantis"},
        {"NAME": "No reference", "COUNTRY": "DE"},
    ]

    reply = erp.say("POST", "/api/customers/bulk", {"MODE": "UPSERT", "KEY": "EXT_REF", "ITEMS": items})

    results = reply.json["RESULTS"]
    assert reply.status == 207
    assert [result["STATUS"] for result in results] == ["UPDATED", "CREATED", "REJECTED", "REJECTED"]
    assert results[0]["CUSTOMER_NO"] == "0000000004"
    assert results[2]["ERROR"]["DETAILS"] == [{"FIELD": "COUNTRY", "CODE": "INVALID", "MESSAGE": "COUNTRY: 'Atlantis' is no country."}]
    assert sandbox.erp.applied() == {"customers.update": 1, "customers.create": 1}


@pytest.mark.parametrize(("mode", "status"), [("CREATE", ["CREATED", "CREATED"]), ("UPDATE", ["UPDATED", "REJECTED"])])
def test_a_bulk_that_creates_or_updates_does_only_that(erp, mode, status):
    items = [{"CUSTOMER_NO": "0000000001", "NAME": "A", "COUNTRY": "CN"}, {"CUSTOMER_NO": "0000009999", "NAME": "B", "COUNTRY": "CN"}]

    results = erp.say("POST", "/api/customers/bulk", {"MODE": mode, "ITEMS": items}).json["RESULTS"]

    assert [result["STATUS"] for result in results] == status


def test_a_create_under_the_same_idempotency_key_takes_effect_once(sandbox, erp):
    order = {"NAME": "Once", "COUNTRY": "CN"}

    first = erp.say("POST", "/api/customers", order, **{"Idempotency-Key": "k-1"})
    again = erp.say("POST", "/api/customers", order, **{"Idempotency-Key": "k-1"})
    other = erp.say("POST", "/api/customers", {"NAME": "Other", "COUNTRY": "CN"}, **{"Idempotency-Key": "k-1"})

    assert (first.status, again.status, other.status) == (201, 201, 422)
    assert again.body == first.body
    assert again.headers["idempotency-replayed"] == "true"
    assert other.json["ERROR"]["CODE"] == "IDEMPOTENCY_KEY_REUSED"
    assert sandbox.erp.applied() == {"customers.create": 1}


def test_a_refused_create_may_be_tried_again_under_its_key(erp):
    assert erp.say("POST", "/api/customers", {"NAME": "Once"}, **{"Idempotency-Key": "k-2"}).status == 422
    assert erp.say("POST", "/api/customers", {"NAME": "Once", "COUNTRY": "CN"}, **{"Idempotency-Key": "k-2"}).status == 201


def test_an_item_of_a_bulk_has_an_idempotency_key_of_its_own(sandbox, erp):
    first = {"ITEMS": [{"NAME": "A", "COUNTRY": "CN", "IDEMPOTENCY_KEY": "i-1"}], "MODE": "CREATE"}
    second = {"ITEMS": [*first["ITEMS"], {"NAME": "B", "COUNTRY": "CN", "IDEMPOTENCY_KEY": "i-2"}], "MODE": "CREATE"}

    made = erp.say("POST", "/api/customers/bulk", first).json["RESULTS"]
    again = erp.say("POST", "/api/customers/bulk", second).json["RESULTS"]

    assert again[0] == {**made[0], "REPLAYED": "X"}
    assert sandbox.erp.applied() == {"customers.create": 2}


def test_an_external_reference_is_unique_and_a_tax_number_is_not(erp):
    record = {"NAME": "A", "COUNTRY": "CN", "TAX_NO": "T-1", "EXT_REF": "X-1"}

    assert erp.say("POST", "/api/customers", record).status == 201
    assert erp.say("POST", "/api/customers", record).status == 409
    assert erp.say("POST", "/api/customers", {**record, "EXT_REF": "X-2"}).status == 201
    ambiguous = erp.say("POST", "/api/customers/bulk", {"KEY": "TAX_NO", "ITEMS": [{**record, "EXT_REF": "X-3"}]}).json["RESULTS"][0]
    assert ambiguous["ERROR"]["CODE"] == "AMBIGUOUS"


def test_the_mrp_takes_one_at_a_time_and_tells_twins_not_apart(sandbox, mrp):
    order = {"SalesOrderRef": "45-new", "ItemCode": "HL-00001", "Quantity": 4, "DueDate": "24/12/2026 08:00"}

    made = [mrp.say("POST", "/v2/production-orders", order) for _ in range(2)]
    changed = mrp.say("PUT", f"/v2/production-orders/{made[0].json['OrderNo']}", {"Quantity": 5.5})
    bad = mrp.say("POST", "/v2/production-orders", {**order, "DueDate": "12/24/2026 08:00", "Quantity": -1})

    assert [reply.status for reply in made] == [201, 201]
    assert (changed.json["Quantity"], changed.json["Status"]) == (5.5, "Planned")
    assert len(mrp.records("production-orders", SalesOrderRef="45-new")) == 2
    assert bad.json["Fault"]["Fields"].keys() == {"DueDate", "Quantity"}


def test_the_help_desk_wraps_its_records(helpdesk):
    made = helpdesk.say("POST", "/api/tickets", {"ticket": {"subject": "Broken", "external-id": "4500000001"}})
    key = made.json["ticket"]["id"]

    assert (made.status, made.json["ticket"]["status"]) == (201, "new")
    assert helpdesk.say("PUT", f"/api/tickets/{key}", {"ticket": {"status": "solved"}}).json["ticket"]["status"] == "solved"
    assert helpdesk.records("tickets", **{"external-id": "4500000001"})[0]["id"] == key
    refused = helpdesk.say("POST", "/api/tickets", {"ticket": {"subject": ""}})
    assert refused.json["errors"] == [
        {"status": "422", "code": "required", "detail": "subject must not be empty.", "source": {"pointer": "/subject"}}
    ]


def test_a_subscriber_is_put_under_its_address(sandbox, marketing):
    path = f"/v3/subscribers/{path_of('New+Reader@Mail.example')}"

    first = marketing.say("PUT", path, {"status": "subscribed", "merge": {"FNAME": "New"}, "tags": ["crm"]})
    second = marketing.say("PUT", path, {"merge": {"LNAME": "Reader"}})

    assert (first.status, second.status) == (201, 200)
    assert second.json["email"] == "new+reader@mail.example"
    assert second.json["merge"] == {"FNAME": "New", "LNAME": "Reader", "COMPANY": None}
    assert marketing.say("POST", "/v3/subscribers", {"email": "new+reader@mail.example"}).status == 409
    assert marketing.say("PUT", "/v3/subscribers/nonsense", {}).json["errors"].keys() == {"email"}
    assert marketing.say("PATCH", path, {"email": "other@mail.example"}).status == 422


def authorize(crm, **changed: str) -> str:
    """Press Allow on the consent page; returns where the browser is sent."""
    asked = {"response_type": "code", "client_id": "hub", "redirect_uri": "http://hub.example/return", "state": "s-1", **changed}
    page = crm.ask("GET", f"/oauth/authorize?{urlencode(asked)}")
    assert page.status == 200
    fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.body.decode()))
    connection = http.client.HTTPConnection(crm.address)
    connection.request(
        "POST", "/crm/oauth/authorize", urlencode({**fields, "decision": "allow"}), {"content-type": "application/x-www-form-urlencoded"}
    )
    answer = connection.getresponse()
    connection.close()
    assert answer.status == 303
    return answer.headers["location"]


def test_a_connection_is_allowed_on_the_consent_page_and_its_refresh_token_rotates(crm):
    back = parse_qs(urlsplit(authorize(crm)).query)
    exchange = {"grant_type": "authorization_code", "code": back["code"][0], "redirect_uri": "http://hub.example/return"}

    first = crm.call_token(**exchange).json
    second = crm.call_token(grant_type="refresh_token", refresh_token=first["refresh_token"]).json

    assert back["state"] == ["s-1"]
    assert crm.call_token(**exchange).json["error"] == "invalid_grant"
    crm.token = second["access_token"]
    assert crm.say("GET", "/v1/me").status == 200
    reused = crm.call_token(grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert (reused.status, reused.json["error"]) == (400, "invalid_grant")
    assert crm.say("GET", "/v1/me").status == 401


def test_the_code_verifier_must_fit_its_challenge(crm):
    challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"  # RFC 7636, appendix B
    for verifier, status in (("wrong", 400), ("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", 200)):
        code = parse_qs(urlsplit(authorize(crm, code_challenge=challenge, code_challenge_method="S256")).query)["code"][0]
        reply = crm.call_token(grant_type="authorization_code", code=code, redirect_uri="http://hub.example/return", code_verifier=verifier)
        assert reply.status == status


def test_a_wrong_client_gets_no_token(crm):
    assert crm.call_token(grant_type="client_credentials", client_secret="nonsense").json["error"] == "invalid_client"
    assert crm.call_token(grant_type="password").json["error"] == "unsupported_grant_type"
    assert crm.ask("GET", "/oauth/authorize?client_id=other").status == 400
