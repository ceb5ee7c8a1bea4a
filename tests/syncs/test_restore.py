"""A hub that is lost in the middle of a load and put back from a backup goes on, and nothing of what it wrote since the backup gets a twin."""

import shutil

import pytest
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.db import connection

from integration_hub.approvals import services as approvals
from integration_hub.approvals.models import Decision
from integration_hub.core import texts
from integration_hub.syncs import changesets, services, write
from integration_hub.syncs.models import ChangeSet, Link, OpenRow, Run, Sync
from integration_hub.syncs.states import OpenState
from tests.syncs.conftest import TARGETS, finish
from tests.syncs.equal import assert_each_once, assert_equal, reasons
from tests.syncs.killing import SOME_POINTS, carry_until_killed, let_the_lease_run_out

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def backup(tmp_path):
    """A function that makes a backup now and returns one that loses the hub with all its files and puts that backup back."""
    if connection.vendor == "postgresql" and not (shutil.which("pg_dump") and shutil.which("psql")):
        pytest.skip("pg_dump and psql are not installed")

    def make():
        file = tmp_path / "hub.zip"
        call_command("backup", str(file))

        def put_back():
            shutil.rmtree(default_storage.path("runs"), ignore_errors=True)
            call_command("restore", str(file), "--replace")

        return put_back

    return make


@pytest.mark.parametrize("times", [1, pytest.param(2, marks=pytest.mark.faults)])
@pytest.mark.parametrize("point", SOME_POINTS)
def test_a_first_load_that_was_lost_in_the_middle_goes_on_without_a_twin(sandbox, users_sync, by, backup, point, times):
    sandbox.crm.has(users=0)
    run = services.start_run(users_sync, by=by)
    assert carry_until_killed(run.partitions.get(), point, at=times)
    put_back = backup()
    let_the_lease_run_out(run.partitions.get())
    finish(run)  # the hub of before went on to the end, and then was lost
    assert run.first_load

    put_back()
    taken_up = finish(Run.objects.get(pk=run.pk))
    again = finish(services.start_run(Sync.objects.get(pk=users_sync.pk), by=by))

    assert taken_up.balanced
    assert again.balanced
    assert_equal(sandbox)
    assert Sync.objects.get(pk=users_sync.pk).restored_at is None


@pytest.mark.parametrize("point", [pytest.param("before send", marks=pytest.mark.faults), "after commit"])
@pytest.mark.parametrize("name", TARGETS)
def test_whatever_the_target_offers_against_twins_none_is_made(name, point, spoilt, by, backup):
    sync, system, entity = spoilt(name)
    run = services.start_run(sync, by=by)
    assert carry_until_killed(run.partitions.get(), point, at=1)
    put_back = backup()
    let_the_lease_run_out(run.partitions.get())
    finish(run)
    there = len(system.records(entity))

    put_back()
    finish(Run.objects.get(pk=run.pk))
    again = finish(services.start_run(Sync.objects.get(pk=sync.pk), by=by))

    assert again.state == "succeeded", [texts.render(row.reason) for row in OpenRow.objects.open()]
    assert_each_once(sync, system, entity, again)
    assert len(system.records(entity)) == there


def test_records_that_came_after_the_backup_are_linked_again(few, users_sync, run_now, backup):
    run_now(users_sync)
    put_back = backup()
    few.oa.has(user=90)
    run_now(users_sync, full=True)
    there = len(few.records("crm", "users"))

    put_back()
    sync = Sync.objects.get(pk=users_sync.pk)
    run = run_now(sync)

    assert run.mode == "full"
    assert (run.sums()["created"], len(few.records("crm", "users"))) == (0, there)
    assert_equal(few)
    assert Sync.objects.get(pk=sync.pk).restored_at is None


def test_what_no_one_can_look_for_waits_for_a_person(few, users_sync, run_now, by, backup):
    entity = users_sync.target
    entity.schema["capabilities"] |= {"lookup_by": [], "upsert": False, "idempotency_key": False}
    entity.save()
    few.oa.has(user=2)
    run_now(users_sync)
    put_back = backup()
    few.oa.has(user=4)
    run_now(users_sync, full=True)
    there = len(few.records("crm", "users"))

    put_back()
    sync = Sync.objects.get(pk=users_sync.pk)
    run = run_now(sync)

    waiting = OpenRow.objects.open().filter(state=OpenState.UNKNOWN)
    assert (run.sums()["unknown"], len(few.records("crm", "users"))) == (2, there)
    assert set(reasons(waiting).values()) == {
        "The hub was restored from a backup, and CRM cannot be asked whether it was created since. Replay it if it is not there."
    }
    assert run.balanced

    services.replay_rejects(OpenRow.objects.filter(pk=waiting[0].pk), by=by)
    replayed = finish(Run.objects.live().get())
    assert replayed.sums()["created"] == 1


def test_what_was_withheld_before_the_backup_is_not_accepted_until_the_records_were_looked_for(few, users_sync, run_now, by, backup):
    entity = users_sync.target
    entity.schema["capabilities"] |= {"lookup_by": [], "upsert": False, "idempotency_key": False}
    entity.save()
    few.oa.has(user=3)
    sync = services.change_sync(users_sync, by=by, mode="full")
    run_now(sync)
    sync = services.change_sync(sync, by=by, most_creates=2)
    few.oa.has(user=8)
    assert run_now(sync).state == "awaiting_decision"
    put_back = backup()
    approvals.decide(Decision.objects.open().get(), "accept", by=by, reason="Bring them")
    finish(Run.objects.live().get())
    there = len(few.records("crm", "users"))

    put_back()
    decision = Decision.objects.open().get()
    with pytest.raises(services.NotPossible, match="A backup was put back after these changes were planned"):
        approvals.decide(decision, "accept", by=by, reason="Bring them")

    assert Decision.objects.open().get() == decision
    run = run_now(Sync.objects.get(pk=sync.pk))
    assert (run.counts["unknown"], run.counts["created"], run.balanced) == (5, 0, True)
    assert not Decision.objects.open().exists()
    assert len(few.records("crm", "users")) == there


def test_a_reject_that_is_replayed_after_a_restore_is_not_created_without_looking(few, users_sync, run_now, by, backup):
    entity = users_sync.target
    entity.schema["capabilities"] |= {"lookup_by": [], "upsert": False, "idempotency_key": False}
    entity.save()
    few.oa.has(user=3)
    (user, *_rest) = few.oa.records("user")
    few.oa.change("user", user["userId"], email=None)
    run_now(users_sync)
    put_back = backup()
    few.oa.change("user", user["userId"], email=user["email"])
    services.replay_rejects(OpenRow.objects.open(), by=by)
    assert finish(Run.objects.live().get()).counts["created"] == 1
    there = len(few.records("crm", "users"))

    put_back()
    services.replay_rejects(OpenRow.objects.open(), by=by)
    finish(Run.objects.live().get())

    row = OpenRow.objects.open().get()
    assert (row.state, len(few.records("crm", "users"))) == (OpenState.UNKNOWN, there), "somebody has to look first"
    services.replay_rejects(OpenRow.objects.open(), by=by)
    assert finish(Run.objects.live().get()).counts["created"] == 1, "who replays that has looked"


def test_files_come_back_with_the_database(few, users_sync, run_now, backup, monkeypatch):
    monkeypatch.setattr(changesets, "INLINE_BYTES", 0)
    run = run_now(users_sync)
    put_back = backup()
    before = [changesets.frame_of(change_set) for change_set in ChangeSet.objects.filter(run=run).order_by("pk")]
    Link.objects.all().delete()

    put_back()

    after = [changesets.frame_of(change_set) for change_set in ChangeSet.objects.filter(run=run).order_by("pk")]
    assert all(change_set.file for change_set in ChangeSet.objects.filter(run=run))
    assert all(one.equals(other) for one, other in zip(before, after, strict=True))


def test_a_change_set_made_after_a_restore_shares_no_idempotency_key_with_one_made_before(few, users_sync, run_now, backup):
    keys = []
    put_back = backup()
    for __ in range(2):
        run = run_now(Sync.objects.get(pk=users_sync.pk))
        change_set = ChangeSet.objects.filter(run=run).order_by("pk").first()
        keys.append((change_set.pk, set(write.changes_of(None, change_set, changesets.frame_of(change_set)).about["idempotency_key"])))
        put_back()

    assert keys[0][0] == keys[1][0]
    assert keys[0][1].isdisjoint(keys[1][1])
