"""Finding the target's record of a source record: by which match key, and what is believed of a system that says it has none."""

import pytest

from integration_hub.core import texts
from integration_hub.syncs import services
from integration_hub.syncs.models import Link, LogLine, OpenRow
from tests.syncs.conftest import finish
from tests.syncs.equal import assert_equal
from tests.syncs.killing import carry_until_killed, let_the_lease_run_out

pytestmark = pytest.mark.django_db(transaction=True)


def users_with(sandbox, **values):
    return [user for user in sandbox.crm.records("users") if all(user[name] == value for name, value in values.items())]


def told(run):
    return [texts.render(text) for text in LogLine.objects.filter(run=run).values_list("text", flat=True)]


# --- one match key after the other ------------------------------------------------------------------------------------


@pytest.mark.parametrize("first_load", [True, False])
def test_a_record_that_the_target_knows_by_another_match_key_alone_is_linked_not_created(few, users_sync, run_now, first_load):
    user = few.oa.records("user")[20]
    if first_load:
        few.crm.has(users=0)
        few.oa.change("user", few.oa.records("user")[70]["userId"], email=user["email"])
    else:
        few.crm.add("users", full_name="Known by e-mail", email=user["email"].lower())

    run = run_now(users_sync)

    assert run.first_load is first_load
    assert run.balanced
    (known,) = users_with(few, email=user["email"].lower())
    assert (known["employee_id"], known["full_name"]) == (user["userId"], user["name"].strip())
    assert Link.objects.get(b_key=known["id"]).a_key == user["userId"]


def test_a_record_found_by_an_earlier_match_key_goes_before_one_found_by_a_later(few, users_sync, run_now):
    one, other = few.oa.records("user")[20:22]
    few.oa.change("user", one["userId"], email=other["email"])
    few.crm.add("users", employee_id=other["userId"], full_name="Known by both", email=other["email"].lower())

    run = run_now(users_sync)

    (row,) = OpenRow.objects.open()
    assert (row.key, row.state, row.step) == (one["userId"], "rejected", "match")
    assert f"which already belongs to record {other['userId']} of the source" in texts.render(row.reason)
    assert len(users_with(few, email=other["email"].lower())) == 1
    assert run.balanced


def test_an_empty_match_key_matches_nothing(few, users_sync, run_now):
    few.crm.add("users", bare=True, employee_id="", full_name="Nobody", email="")

    run = run_now(users_sync)

    assert run.state == "succeeded"
    assert users_with(few, full_name="Nobody")


# --- a system that says it has nothing --------------------------------------------------------------------------------


@pytest.mark.parametrize("times", [1, 2, 3, 5, 6])
@pytest.mark.parametrize("path", ["employee_id=", "users?", ""], ids=["look-ups", "all but its count", "all that it is asked"])
def test_what_a_target_denies_to_have_is_not_created_again(few, users_sync, run_now, path, times):
    few.crm.fault("empty", times=times, method="GET", path=path)

    run = run_now(users_sync)

    assert run.state == "succeeded", told(run)
    assert_equal(few)


def test_a_target_that_never_finds_what_it_lists_is_not_written_to(few, users_sync, run_now):
    run_now(users_sync)
    before = few.crm.applied()
    few.oa.add("user", name="New", email="new@hailan.example")
    few.crm.fault("empty", method="GET", path="employee_id=")

    run = run_now(users_sync)

    assert run.state == "failed"
    assert "CRM lists Users" in texts.render(run.error)
    assert "but does not find it by employee_id" in texts.render(run.error)
    assert few.crm.applied() == before


@pytest.mark.parametrize("times", [1, 2, 3])
def test_what_a_target_that_cannot_count_denies_to_have_is_not_created_again(sandbox, demo_sync, run_now, times):
    sandbox.erp.has(sales_orders=40)
    sandbox.mrp.has(production_orders=20)
    sandbox.mrp.fault("empty", times=times, method="GET", path="production-orders?")
    sync = demo_sync("ERP sales orders → MRP production orders")

    run = run_now(sync)

    assert run.state == "succeeded", told(run)
    orders = [order["SalesOrderRef"] for order in sandbox.mrp.records("production-orders")]
    assert len(orders) == len(set(orders))


@pytest.mark.parametrize("times", [1, 2, 3, 4])
def test_what_was_on_its_way_and_is_listed_but_not_found_is_not_sent_again(few, users_sync, by, times):
    few.crm.has(users=0)
    run = services.start_run(users_sync, by=by)
    partition = run.partitions.get()
    assert carry_until_killed(partition, "after the answer", at=1)
    let_the_lease_run_out(partition)
    for match in ("employee_id=", "email="):
        few.crm.fault("empty", times=times, method="GET", path=match)

    run = finish(run)

    assert run.state == "succeeded", told(run)
    numbers = [user["employee_id"] for user in few.crm.records("users")]
    assert len(numbers) == len(set(numbers))
    assert_equal(few)


def test_a_target_that_seems_to_have_lost_all_is_not_filled_anew(few, users_sync, run_now):
    run_now(users_sync)
    before = few.crm.applied()
    few.oa.add("user", name="New", email="new@hailan.example")
    few.crm.fault("empty", method="GET")

    run = run_now(users_sync)

    assert run.state == "failed"
    assert "CRM says that it has no Users at all, although some are linked here." in texts.render(run.error)
    assert few.crm.applied() == before


def test_a_linked_record_that_a_target_denies_once_is_not_called_gone(few, users_sync, run_now):
    run_now(users_sync)
    few.oa.change("user", few.oa.records("user")[3]["userId"], name="Changed")
    few.crm.fault("empty", times=1, method="GET", path="/v1/users?id=")

    run = run_now(users_sync)

    assert (run.state, run.counts["updated"]) == ("succeeded", 1)
    assert_equal(few)


def test_an_open_row_is_not_closed_because_its_source_denies_the_record_once(few, users_sync, run_now, by):
    few.crm.refuses("users", field="full_name", value="Refused", because="not him", times=1)
    user = few.oa.records("user")[4]
    few.oa.change("user", user["userId"], name="Refused")
    run_now(users_sync)
    few.oa.fault("empty", times=1, path="/api/user/get")

    services.replay_rejects(OpenRow.objects.open(), by=by)
    finish(users_sync.runs.latest("pk"))

    assert OpenRow.objects.get().closed_note == ""
    assert users_with(few, employee_id=user["userId"])


def test_a_record_that_is_told_twice_is_there_once(few, users_sync, run_now):
    few.crm.fault("duplicate", times=2, method="GET", path="employee_id=")

    run = run_now(users_sync)

    assert run.state == "succeeded", told(run)
    assert_equal(few)
