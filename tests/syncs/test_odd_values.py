"""Values as they are found in life: nothing of three kinds, texts of all scripts and sizes, keys that nearly are the same, words that nobody has heard of."""

import pytest

from integration_hub.syncs import services
from integration_hub.syncs.models import Link, OpenRow, Sync
from tests.syncs.answers import shop_sync
from tests.syncs.conftest import USERS_TO_USERS, finish
from tests.syncs.equal import assert_books, assert_equal, reasons, told
from tests.syncs.linked import accounts_sync, company, contacts_sync

__all__ = ["accounts_sync", "company", "contacts_sync", "shop_sync"]
pytestmark = pytest.mark.django_db(transaction=True)


def publish(sync, *fields):
    """A version of the sync's mapping that takes these fields along."""
    version = sync.mapping.latest
    definition = {**USERS_TO_USERS, "fields": [*USERS_TO_USERS["fields"], *fields]}
    sync.mapping.versions.create(
        number=version.number + 1,
        definition=definition,
        source_schema=version.source_schema,
        target_schema=version.target_schema,
        published_by="test",
    )


def phones(sandbox):
    return {user["employee_id"]: user["phone"] for user in sandbox.crm.records("users")}


# --- nothing, of three kinds --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("on_null", "nulled"), [("leave", "+49 30 1"), ("clear", None)])
def test_null_absent_and_empty_are_three_things_and_null_erases_only_where_the_mapping_says_so(few, users_sync, run_now, on_null, nulled):
    publish(users_sync, {"target": "phone", "source": "mobile", "on_null": on_null})
    null, absent, empty = few.oa.records("user")[:3]
    for user in (null, absent, empty):
        few.oa.change("user", user["userId"], mobile="+49 30 1")
    run_now(users_sync)
    few.oa.change("user", null["userId"], mobile=None)
    few.oa.change("user", empty["userId"], mobile="")
    few.oa.delete("user", absent["userId"])
    few.oa.add("user", bare=True, **{name: value for name, value in absent.items() if name not in ("mobile", "modifiedTime")})

    run = run_now(users_sync, full=True)

    assert run.state == "succeeded"
    assert_books(run)
    after = phones(few)
    assert [after[user["userId"]] for user in (null, absent, empty)] == [nulled, "+49 30 1", ""]


# --- texts --------------------------------------------------------------------------------------------------------------

TEXTS = {
    "emoji": "Zoë 👩‍👩‍👧 🚀",
    "right to left": "مرحبا עולם",
    "turned around": "a\u202eb\u2066c",
    "combining": "Zoe\u0308 e\u0301",
    "rare Chinese": "𠮷田 㐂",
    "spaces inside": "a\u00a0b\u3000c",
}


def test_text_of_every_script_arrives_as_it_is_and_is_found_unchanged(few, users_sync, run_now):
    for user, name in zip(few.oa.records("user"), TEXTS.values(), strict=False):
        few.oa.change("user", user["userId"], name=name)

    run = run_now(users_sync)
    again = run_now(users_sync, full=True)

    assert (run.state, again.state, again.counts["unchanged"]) == ("succeeded", "succeeded", 80)
    names = {user["full_name"] for user in few.crm.records("users")}
    assert set(TEXTS.values()) <= names
    assert_equal(few)


GOOD = b'{"id": 1, "name": "Good", "email": "g@shop.example"}'
BODIES = {
    "nested 10,000 deep": (b'{"total": 1, "items": [' + GOOD + b', {"id": 2, "tags": ' + b"[" * 10_000 + b"]" * 10_000 + b"}]}", "nested too deeply"),
    "5 MB in one name": (b'{"total": 1, "items": [{"' + b"x" * 5_000_000 + b'": 1}]}', "The record has no id"),
    "5 MB line": (b'{"total": 1, "items": [' + b", ".join([GOOD] * 80_000) + b"]}", ""),
    "a name twice": (b'{"total": 1, "items": [{"id": 1, "name": "First", "name": "Last", "email": "g@shop.example"}]}', ""),
}


@pytest.mark.parametrize("what", BODIES)
def test_json_that_is_deep_long_or_names_something_twice_is_read_or_refused_within_bounds(few, shop_sync, run_now, what):
    body, sentence = BODIES[what]
    shop_sync.shop.answers["/contacts"] = (200, body)

    run = run_now(shop_sync)

    assert_books(run)
    if sentence:
        assert sentence in told(run) + "".join(reasons(OpenRow.objects.open()).values())
        assert run.counts["created"] == 0
    else:
        assert (run.state, run.counts["created"]) == ("succeeded", 1)
        assert {u["full_name"] for u in few.crm.records("users")} >= {"Last" if what == "a name twice" else "Good"}


# --- keys ---------------------------------------------------------------------------------------------------------------


def test_ids_that_differ_by_case_or_a_leading_zero_are_different_records(few, users_sync, run_now):
    keys = ["abc1", "ABC1", "Abc1", "7", "07", "007", "7.0", "é", "e\u0301"]
    for number, key in enumerate(keys):
        few.oa.add("user", userId=key, name=f"Person {number}", email=f"p{number}@hailan.example")

    run = run_now(users_sync)
    again = run_now(users_sync, full=True)

    assert (run.state, again.state, again.counts["created"]) == ("succeeded", "succeeded", 0)
    assert set(keys) <= set(Link.objects.values_list("a_key", flat=True))
    assert Link.objects.filter(a_key__in=keys).values("b_key").distinct().count() == len(keys)
    assert_equal(few)


# --- words and references that are not known yet ------------------------------------------------------------------------


def test_a_picklist_value_that_is_not_known_is_an_open_reject_and_arrives_once_the_mapping_knows_it(few, users_sync, run_now, by):
    few.oa.has(user=10)
    table = {"1": "true", "2": "true"}
    field = {"target": "is_active", "source": "status"}
    steps = [{"transform": "to_text"}, {"transform": "value_map", "table": table}, {"transform": "parse_boolean"}]
    publish(users_sync, {**field, "steps": steps})
    user, *others = few.oa.records("user")
    few.oa.change("user", user["userId"], status=3)
    for other in others:
        few.oa.change("user", other["userId"], status=1)

    run = run_now(users_sync)

    assert (run.state, run.counts["rejected"]) == ("with_rejects", 1)
    assert reasons(OpenRow.objects.open()) == {user["userId"]: "“3” is not in the value map."}
    steps[1] = {"transform": "value_map", "table": {**table, "3": "false"}}
    publish(users_sync, {**field, "steps": steps})
    services.replay_rejects(OpenRow.objects.open(), by=by)
    finish(Sync.objects.get().runs.latest("pk"))
    assert not OpenRow.objects.open().exists()
    assert next(u for u in few.crm.records("users") if u["employee_id"] == user["userId"])["is_active"] is False
