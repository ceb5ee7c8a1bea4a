from __future__ import annotations

import base64
import time
from datetime import UTC, datetime, timedelta, timezone

import pytest

from tests.sandbox.dialects import DIALECTS, ENTITIES


@pytest.mark.parametrize("system", DIALECTS)
def test_who_has_credentials_comes_in_and_no_one_else(speak, system):
    dialect = speak(system)

    assert dialect.say("GET", dialect.ping).status == 200
    assert not dialect.refusal(dialect.say("GET", dialect.ping))
    assert dialect.refusal(dialect.ask("GET", dialect.ping))


WRONG = {
    "crm": {"authorization": "Bearer nonsense"},
    "erp": {"X-API-Key": "nonsense"},
    "mrp": {"X-Key-Id": "hub", "X-Timestamp": str(int(time.time())), "X-Signature": "0" * 64},
    "helpdesk": {"authorization": "Basic " + base64.b64encode(b"hub@hailan.example:nonsense").decode()},
    "marketing": {"authorization": "Bearer nonsense"},
}


@pytest.mark.parametrize(("system", "headers"), WRONG.items())
def test_wrong_credentials_are_refused(speak, system, headers):
    dialect = speak(system)

    assert dialect.refusal(dialect.ask("GET", dialect.ping, **headers))


def test_the_oa_refuses_a_wrong_secret_and_a_wrong_token_with_status_200(oa):
    refused = oa.ask("POST", "/gettoken", {"appkey": "hub", "appsecret": "nonsense"})

    assert (refused.status, refused.json["errcode"]) == (200, 40089)
    assert oa.ask("POST", "/gettoken", {"appkey": "hub", "appsecret": "oa-demo-secret"}).json["expires_in"] == 7200
    assert oa.refusal(oa.ask("GET", "/api/user/list?access_token=nonsense"))


def test_a_signature_holds_for_its_request_alone_and_for_five_minutes(mrp, monkeypatch):
    past = time.time() - 301
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: past)
        old = mrp.say("GET", "/v2/plant")

    assert (old.status, old.json["Fault"]["Reason"]) == (401, "X-Timestamp is more than 300 seconds off.")
    assert mrp.say("GET", "/v2/production-orders?size=3&Status=Planned").status == 200


@pytest.mark.parametrize(("system", "entity"), ENTITIES)
def test_every_record_is_read_exactly_once(sandbox, speak, system, entity):
    dialect = speak(system)
    size = {"crm": "limit", "oa": "pageSize", "erp": "LIMIT", "mrp": "size", "helpdesk": "limit", "marketing": "per_page"}[system]

    pages = dialect.walk(entity, **{size: 7})

    kept = sandbox.records(system, entity)
    key = dialect.entities[entity]
    found = [record[key] for page in pages for record in page]
    assert len(pages) == -(-len(kept) // 7)
    assert sorted(found) == sorted(record[key] for record in kept)


@pytest.mark.parametrize(("system", "entity"), ENTITIES)
def test_an_empty_entity_is_one_empty_page(sandbox, speak, system, entity):
    sandbox.control("has", system=system, entity=entity, count=0)

    assert speak(system).walk(entity) == [[]]


@pytest.mark.parametrize(("system", "entity"), [("crm", "contacts"), ("mrp", "production-orders"), ("helpdesk", "tickets")])
def test_cursor_pages_come_in_the_order_of_change_then_key(sandbox, speak, system, entity):
    dialect = speak(system)
    changed = {"crm": "updated_at", "mrp": "ChangedAt", "helpdesk": "updated-at"}[system]
    if system == "mrp":
        sandbox.mrp.has(production_orders=300)

    records = dialect.records(entity)

    def moment(record):
        value = record[changed]
        return datetime.strptime(value, "%d/%m/%Y %H:%M").replace(tzinfo=UTC).timestamp() if system == "mrp" else value

    places = [(moment(record), record[dialect.entities[entity]]) for record in records]
    assert places == sorted(places)


@pytest.mark.parametrize("system", ["oa", "erp", "marketing"])
def test_numbered_pages_do_not_move_while_records_change(sandbox, speak, system):
    dialect = speak(system)
    entity = {"oa": "user", "erp": "sales_orders", "marketing": "subscribers"}[system]
    before = [record[dialect.entities[entity]] for record in dialect.records(entity)]

    sandbox.control("change", system=system, entity=entity, key=before[0], values={})

    assert [record[dialect.entities[entity]] for record in dialect.records(entity)] == before


SINCE = {
    "crm": ("accounts", "updated_since", lambda t: t.strftime("%Y-%m-%dT%H:%M:%SZ")),
    "oa": ("user", "modifiedSince", lambda t: t.astimezone(timezone(timedelta(hours=8))).strftime("%Y-%m-%d %H:%M:%S")),
    "erp": ("sales_orders", "CHANGED_SINCE", lambda t: t.strftime("%Y%m%d%H%M%S")),
    "mrp": ("production-orders", "changedSince", lambda t: t.strftime("%d/%m/%Y %H:%M")),
    "helpdesk": ("tickets", "updated-since", lambda t: str(int(t.timestamp()))),
    "marketing": ("subscribers", "since", lambda t: t.astimezone(timezone(timedelta(hours=-5))).isoformat(timespec="seconds")),
}


@pytest.mark.parametrize("system", SINCE)
def test_what_changed_since_a_moment_is_found_and_nothing_else(sandbox, speak, system):
    entity, parameter, write = SINCE[system]
    dialect = speak(system)
    key = dialect.entities[entity]
    start = datetime.now(UTC) - timedelta(seconds=2)
    keys = [record[key] for record in sandbox.records(system, entity)]

    assert dialect.records(entity, **{parameter: write(start)}) == []
    for chosen in (keys[7], keys[3]):
        sandbox.control("change", system=system, entity=entity, key=chosen, values={})

    assert sorted(record[key] for record in dialect.records(entity, **{parameter: write(start)})) == sorted([keys[3], keys[7]])


@pytest.mark.parametrize("system", SINCE)
def test_a_moment_that_is_none_is_refused(speak, system):
    entity, parameter, _ = SINCE[system]
    dialect = speak(system)
    path = {"crm": f"/v1/{entity}", "oa": f"/api/{entity}/list", "erp": f"/api/{entity}", "mrp": f"/v2/{entity}"}
    path |= {"helpdesk": f"/api/{entity}", "marketing": f"/v3/{entity}"}

    reply = dialect.say("GET", f"{path[system]}?{parameter}=yesterday")

    assert parameter in reply.body.decode()
    assert reply.json["errcode"] == 40035 if system == "oa" else reply.status == 422


@pytest.mark.parametrize("cursor", ["nonsense", "WyJhIiwxXQ", "WzFd", "WzEseyJhIjoxfV0"])
def test_a_cursor_that_is_none_of_theirs_is_refused(crm, helpdesk, cursor):
    assert crm.say("GET", f"/v1/users?cursor={cursor}").status == 422
    assert helpdesk.say("GET", f"/api/tickets?cursor={cursor}").status == 422


LOOKUPS = [
    ("crm", "users", "employee_id", "U000001,U000002,nobody", 2),
    ("crm", "users", "id", "usr_000001,usr_000003", 2),
    ("oa", "user", "userId", "U000001,U000009", 2),
    ("erp", "customers", "EXT_REF", "acc_000004,acc_000008,acc_999999", 2),
    ("mrp", "production-orders", "SalesOrderRef", "4500000001,4500000002", 2),
    ("helpdesk", "tickets", "id", "100001,100002,7,x", 2),
    ("marketing", "subscribers", "email", "nobody@nowhere.example", 0),
]


@pytest.mark.parametrize(("system", "entity", "field", "values", "count"), LOOKUPS)
def test_many_records_are_looked_up_at_once(speak, system, entity, field, values, count):
    records = speak(system).records(entity, **{field: values})

    assert len(records) == count
    assert all(str(record[field]) in values.split(",") for record in records)


def test_several_filters_must_all_hold(sandbox, erp):
    customer = sandbox.records("erp", "customers")[3]

    assert erp.records("customers", TAX_NO=customer["TAX_NO"], EXT_REF="acc_000004") == [customer]
    assert erp.records("customers", TAX_NO=customer["TAX_NO"], EXT_REF="acc_000008") == []


def test_a_filter_that_does_not_exist_is_refused(erp):
    assert erp.say("GET", "/api/customers?TAX=1").status == 400


def test_the_crm_counts_and_leaves_out_fields(crm):
    assert crm.say("GET", "/v1/contacts/count").json == {"count": 400}
    assert crm.say("GET", "/v1/users?fields=id,email&limit=1").json["data"][0].keys() == {"id", "email"}


def test_the_same_seed_makes_the_same_records_and_another_seed_others(sandbox):
    from sandbox.world import World

    for world, is_same in ((World(seed=1), True), (World(seed=2), False)):
        for system, entity in ENTITIES:
            if entity != "lists":
                records = list(world.systems[system].tables[entity].rows.values())
                assert (records == sandbox.records(system, entity)) == is_same, (system, entity)


def test_a_few_percent_of_the_sources_are_dirty_and_good_ones_can_be_had(sandbox):
    users = sandbox.records("oa", "user")
    accounts = sandbox.records("crm", "accounts")

    assert 2 <= sum(not user["email"] or "@" not in user["email"] for user in users) <= 15
    assert 1 <= sum(account["address"]["country"] == "Atlantis" for account in accounts) <= 15
    sandbox.oa.has(user=200)
    assert all("@" in user["email"] for user in sandbox.records("oa", "user"))


def test_most_employees_are_no_users_of_the_crm_yet(sandbox):
    employees = {user["email"] for user in sandbox.records("oa", "user")}
    users = {user["email"] for user in sandbox.records("crm", "users")}

    assert len(users) == 12
    assert len(employees & users) >= 10
