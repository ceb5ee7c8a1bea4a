"""The demo's four syncs, each target with other means against twins: a lookup, an idempotency key in bulk, nothing but a lookup, an upsert."""

import pytest

from integration_hub.core import texts
from integration_hub.syncs import services, undo
from integration_hub.syncs.models import Link, OpenRow
from tests.syncs.conftest import TARGETS, finish
from tests.syncs.equal import assert_books, assert_each_once
from tests.syncs.killing import carry_until_killed, let_the_lease_run_out

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("kind", ["drop_after", "cut", "rate_limit"])
@pytest.mark.parametrize("name", TARGETS)
def test_trouble_with_the_target_makes_no_twin(name, kind, spoilt, run_now):
    sync, system, entity = spoilt(name)
    for method in ("POST", "PUT"):
        system.fault(kind, method=method, times=2)

    run = run_now(sync)

    assert run.state == "succeeded", [texts.render(row.reason) for row in OpenRow.objects.open()]
    assert_each_once(sync, system, entity, run)


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("name", TARGETS)
def test_a_target_that_denies_what_it_has_makes_no_twin(name, times, spoilt, run_now):
    sync, system, entity = spoilt(name)
    run_now(sync)
    there = len(system.records(entity))
    Link.objects.all().delete()
    system.fault("empty", times=times, method="GET")

    run = run_now(sync, full=True)

    assert run.state == "succeeded", [texts.render(row.reason) for row in OpenRow.objects.open()]
    assert_each_once(sync, system, entity, run)
    assert len(system.records(entity)) == there


@pytest.mark.parametrize("point", ["after send", "after the answer"])
@pytest.mark.parametrize("name", TARGETS)
def test_a_worker_killed_between_remote_write_and_local_commit_makes_no_twin(name, point, spoilt, by):
    sync, system, entity = spoilt(name)
    run = services.start_run(sync, by=by)
    assert carry_until_killed(run.partitions.get(), point, at=1)
    let_the_lease_run_out(run.partitions.get())

    finish(run)

    assert run.state == "succeeded", [texts.render(row.reason) for row in OpenRow.objects.open()]
    assert_each_once(sync, system, entity, run)


@pytest.mark.parametrize("name", TARGETS)
def test_what_a_cancelled_run_left_makes_no_twin(name, spoilt, run_now, by):
    sync, system, entity = spoilt(name)
    run = services.start_run(sync, by=by)
    assert carry_until_killed(run.partitions.get(), "after the answer", at=1)
    let_the_lease_run_out(run.partitions.get())
    services.cancel_run(run, by=by)
    finish(run)

    after = run_now(sync)

    assert after.state == "succeeded", [texts.render(row.reason) for row in OpenRow.objects.open()]
    assert_books(run)
    assert_each_once(sync, system, entity, after)


def test_an_undo_that_is_planned_sends_nothing_to_find_out_what_a_cancelled_run_left(spoilt, run_now, by):
    """Under an idempotency key it would take a create to be told of one."""
    sync, system, entity = spoilt("CRM accounts → ERP customers")
    run = services.start_run(sync, by=by)
    assert carry_until_killed(run.partitions.get(), "before send", at=1)
    let_the_lease_run_out(run.partitions.get())
    services.cancel_run(run, by=by)
    finish(run)
    there = system.records(entity)

    plan = finish(undo.plan_undo(run, by=by))

    assert system.records(entity) == there
    said = [texts.render(line.text) for line in plan.log.filter(level="warning")]
    assert any(f"records that run {run.pk} had sent is found out by the next run that writes" in text for text in said)
    after = run_now(sync)
    assert after.state == "succeeded", [texts.render(row.reason) for row in OpenRow.objects.open()]
    assert_each_once(sync, system, entity, after)


def test_a_bulk_write_that_is_partly_accepted_commits_what_was_and_rejects_the_others_one_by_one(spoilt, run_now, by):
    sync, system, entity = spoilt("CRM accounts → ERP customers")
    system.fault("partial", path="/bulk", times=1, rows=[3])

    run = run_now(sync)

    assert (run.state, run.counts["refused"]) == ("with_rejects", 1)
    assert {texts.render(row.reason) for row in OpenRow.objects.open()} == {"ERP refused it: REFUSED: Refused by order."}
    assert_books(run)
    services.replay_rejects(OpenRow.objects.all(), by=by)
    assert_each_once(sync, system, entity, finish(sync.runs.latest("pk")))


# --- a source whose answers are spoilt ---------------------------------------------------------------------------------


@pytest.mark.parametrize("spoilt_runs", [1, 2])
@pytest.mark.parametrize("later", [False, True], ids=["in its first run", "in a later one"])
def test_a_record_whose_key_came_spoilt_is_read_again_by_the_next_run(spoilt, sandbox, run_now, later, spoilt_runs):
    sync, system, entity = spoilt("CRM contacts → Marketing subscribers")
    if later:
        run_now(sync)
        sandbox.crm.change("contacts", sandbox.crm.records("contacts")[7]["id"], last_name="Changed")
    for _run in range(spoilt_runs):
        sandbox.crm.fault("broken_utf8", method="GET", path="/contacts?", times=1)
        run = run_now(sync)
        assert (run.state, run.counts["rejected"]) == ("with_rejects", 1)

    run = run_now(sync)

    assert run.state == "succeeded"
    assert not OpenRow.objects.open().exists()
    assert_each_once(sync, system, entity, run)


def test_a_record_whose_key_is_never_readable_holds_the_cursor_for_three_runs(spoilt, sandbox, run_now):
    sync, *_ = spoilt("CRM contacts → Marketing subscribers")
    sandbox.crm.fault("broken_utf8", method="GET", path="/contacts?", times=3)
    modes = [run_now(sync).mode for _run in range(4)]

    assert modes == ["full", "full", "full", "incremental"]
    assert OpenRow.objects.open().count() == 1
