"""How an incremental sync sees what is gone: on a schedule of its own the source's keys alone are read, and what is missing goes the way of all deletes."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from connectors.rest import RestConnector
from integration_hub.approvals import services as approvals
from integration_hub.approvals.models import Decision
from integration_hub.syncs import carrying, due, reading, services
from integration_hub.syncs.models import Link, OpenRow, Run, Sync, SyncCursor
from integration_hub.syncs.services import NotPossible
from integration_hub.syncs.work import Work
from tests.syncs.conftest import finish
from tests.syncs.equal import assert_books, told, users_of_crm
from tests.syncs.killing import SOME_POINTS, carry_until_killed, let_the_lease_run_out

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def changes(full, by):
    """An incremental sync of eighty users that has run once, follows deletes and looks for them every hour."""
    return services.change_sync(full, by=by, mode="incremental", roster_interval_seconds=3600)


def lose(sandbox, count):
    """Delete so many of the OA's users; returns them."""
    users = sandbox.records("oa", "user")[:count]
    for user in users:
        sandbox.oa.delete("user", user["userId"])
    return users


def keys_of(users):
    return {user["userId"] for user in users}


def is_due(sync):
    Sync.objects.filter(pk=sync.pk).update(roster_due_at=timezone.now() - timedelta(minutes=1))


def test_only_the_keys_are_read_and_what_is_gone_is_deleted(changes, sandbox, run_now, monkeypatch):
    asked, read = [], RestConnector.read
    monkeypatch.setattr(RestConnector, "read", lambda self, *given, **named: asked.append(named.get("keys_only")) or read(self, *given, **named))
    before, gone = users_of_crm(sandbox), lose(sandbox, 3)
    renamed = sandbox.records("oa", "user")[5]
    sandbox.oa.change("user", renamed["userId"], name="Not Looked At")

    run = run_now(changes, keys_only=True)

    assert asked[0] is True
    assert (run.state, run.keys_only) == ("succeeded", True)
    assert {name: run.counts[name] for name in ("read", "missing", "deleted", "updated")} == {"read": 77, "missing": 3, "deleted": 3, "updated": 0}
    assert_books(run)
    assert before - users_of_crm(sandbox) == keys_of(gone)
    assert not Link.objects.filter(a_key__in=keys_of(gone), ended_at=None).exists()
    assert run_now(changes).counts["updated"] == 1, "the changed record is left to the next run of the sync"


def test_no_cursor_is_moved_and_the_sync_is_no_fresher(changes, sandbox, run_now):
    cursor, success = str(SyncCursor.objects.get()), changes.last_success_at
    sandbox.oa.add("user", name="New Person", email="new@example.com")

    run = run_now(changes, keys_only=True)

    changes.refresh_from_db()
    assert (str(SyncCursor.objects.get()), changes.last_success_at) == (cursor, success)
    assert changes.roster_read_at == run.started_at
    assert run_now(changes).counts["created"] == 1


@pytest.mark.parametrize("turns", ["in one turn", "a page a turn"])
def test_the_keys_are_read_on_from_where_the_turn_ended(changes, sandbox, run_now, monkeypatch, turns):
    monkeypatch.setattr(reading, "FIRST_ROWS", 1)
    ends = Work.turn_is_over
    if turns == "a page a turn":
        monkeypatch.setattr(Work, "turn_is_over", lambda work: (work.run.state == "comparing" and not work.partition.read_done) or ends(work))
    before, gone = users_of_crm(sandbox), lose(sandbox, 3)

    run = run_now(changes, keys_only=True)

    assert (run.state, run.counts["read"], run.counts["deleted"]) == ("succeeded", 77, 3)
    assert before - users_of_crm(sandbox) == keys_of(gone)


def test_what_would_delete_too_many_waits_for_a_decision(changes, sandbox, run_now, by):
    before, gone = users_of_crm(sandbox), lose(sandbox, 40)

    run = run_now(changes, keys_only=True)

    assert (run.state, run.counts["withheld"], users_of_crm(sandbox)) == ("awaiting_decision", 40, before)
    assert_books(run)
    approvals.decide(Decision.objects.open().get(), "accept", by=by, reason="The branch was closed")
    assert finish(Run.objects.latest("pk")).counts["deleted"] == 40
    assert before - users_of_crm(sandbox) == keys_of(gone)


def test_an_empty_answer_empties_no_target(changes, sandbox, run_now, by):
    before = users_of_crm(sandbox)
    lose(sandbox, 80)

    run = run_now(services.change_sync(changes, by=by, most_deletes_percent=None), keys_only=True)

    assert (run.state, run.counts["withheld"], users_of_crm(sandbox)) == ("awaiting_decision", 80, before)


def test_what_is_there_again_needs_no_decision_any_more(changes, sandbox, run_now):
    gone = lose(sandbox, 40)
    run_now(changes, keys_only=True)
    for user in gone[:30]:
        sandbox.oa.add("user", **user)

    run_now(changes, keys_only=True)

    assert OpenRow.objects.open().count() == 0
    assert {decision.state for decision in Decision.objects.all()} == {"lapsed"}
    assert Link.objects.filter(a_key__in=keys_of(gone), ended_at=None).count() == 30, "ten are no longer too many"


def test_what_the_list_lacks_but_the_source_still_finds_is_kept(changes, sandbox, run_now):
    sandbox.oa.fault("empty", path="pageNo=2", times=2)
    before = users_of_crm(sandbox)

    run = run_now(changes, keys_only=True)

    assert (run.counts["missing"], run.counts["kept"], run.counts["deleted"]) == (30, 30, 0)
    assert_books(run)
    assert users_of_crm(sandbox) == before


def test_keys_that_are_not_read_to_their_end_delete_nothing(changes, sandbox, run_now):
    before = users_of_crm(sandbox)
    lose(sandbox, 1)
    sandbox.oa.fault("error", path="pageNo=2")

    run = run_now(changes, keys_only=True)

    assert (run.state, run.counts["missing"], run.counts["deleted"]) == ("failed", 0, 0)
    assert told(run)
    assert users_of_crm(sandbox) == before
    assert Sync.objects.get().roster_read_at is None


def test_a_dry_run_over_the_keys_shows_what_would_be_deleted(changes, sandbox, run_now):
    before = users_of_crm(sandbox)
    lose(sandbox, 1)

    run = run_now(changes, keys_only=True, dry=True)

    assert (run.state, run.balanced, run.counts["missing"], run.counts["not_sent"]) == ("succeeded", True, 1, 1)
    assert users_of_crm(sandbox) == before


@pytest.mark.parametrize("point", SOME_POINTS)
def test_a_worker_killed_while_it_deletes_is_taken_over(changes, sandbox, by, point):
    before, gone = users_of_crm(sandbox), lose(sandbox, 10)
    run = services.start_run(changes, by=by, keys_only=True)
    partition = run.partitions.get()
    while run.state != "closing":
        carrying.carry_partition(partition.pk)
        run.refresh_from_db()

    assert carry_until_killed(partition, point, at=1)
    let_the_lease_run_out(partition)
    run = finish(run)

    assert (run.state, run.balanced, run.counts["deleted"]) == ("succeeded", True, 10)
    assert before - users_of_crm(sandbox) == keys_of(gone)


# --- the schedule -----------------------------------------------------------------------------------------------------


def test_a_sync_that_is_due_has_its_keys_read_beside_its_own_schedule(changes, sandbox):
    lose(sandbox, 1)
    is_due(changes)

    due.start_due_syncs()
    assert not Run.objects.live().exists(), "its own schedule is another"
    due.start_due_rosters()
    run = finish(Run.objects.live().get())

    changes.refresh_from_db()
    assert (run.keys_only, run.trigger, run.counts["deleted"]) == (True, "schedule", 1)
    assert changes.roster_due_at > timezone.now() + timedelta(minutes=59)


def test_one_that_finds_its_pair_busy_stays_due(changes, by):
    run = services.start_run(changes, by=by)
    is_due(changes)
    then = Sync.objects.get().roster_due_at

    due.start_due_rosters()
    assert (Run.objects.live().count(), Sync.objects.get().roster_due_at) == (1, then)

    finish(run)
    due.start_due_rosters()
    assert Run.objects.live().get().keys_only


def test_a_paused_sync_reads_no_keys_until_it_is_resumed(changes, by):
    is_due(changes)
    services.pause_sync(changes, by=by)

    due.start_due_rosters()
    assert not Run.objects.live().exists()

    services.resume_sync(changes, by=by)
    due.start_due_rosters()
    assert Run.objects.live().get().keys_only


@pytest.mark.parametrize(
    ("settings", "field", "problem"),
    [
        ({"roster_interval_seconds": 1}, "roster_interval_seconds", "The shortest interval is 5 seconds."),
        ({"roster_crontab": "never", "roster_interval_seconds": None}, "roster_crontab", "“never” is no crontab"),
        ({"roster_crontab": "0 3 * * *"}, "roster_crontab", "Give an interval or a crontab, not both."),
        ({"mode": "full"}, "roster_interval_seconds", "Every run of this sync reads everything, and so sees what is gone."),
        ({"deletes": "ignore"}, "roster_interval_seconds", "Deleted records are left as they are"),
    ],
)
def test_a_schedule_that_is_of_no_use_is_refused(changes, by, settings, field, problem):
    with pytest.raises(ValidationError) as refused:
        services.change_sync(changes, by=by, **settings)

    assert refused.value.message_dict[field][0].startswith(problem)


def test_a_run_is_over_the_keys_of_all_or_over_some_records(changes, by):
    with pytest.raises(NotPossible, match="not both"):
        services.start_run(changes, by=by, keys=["1"], keys_only=True)


def test_where_nobody_can_tell_what_is_gone_no_keys_are_read(changes, by):
    changes.source.schema["capabilities"] |= {"lookup_by_key": False, "stable_order": False}
    changes.source.save()

    with pytest.raises(NotPossible, match="cannot be asked for single records"):
        services.start_run(Sync.objects.get(), by=by, keys_only=True)
    is_due(changes)
    due.start_due_rosters()

    assert not Run.objects.live().exists()
    assert Sync.objects.get().refusal["template"].startswith("{entity} cannot be asked for single records")
