"""What is too old goes, in steps that leave whole rows; what something still needs stays."""

import os
import time
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.urls import reverse
from django.utils import timezone

from integration_hub.approvals import services as approvals
from integration_hub.approvals.models import Decision
from integration_hub.core.models import Backup
from integration_hub.syncs import changesets, plans, retention, services, stages, undo
from integration_hub.syncs.models import ChangeSet, Link, LogLine, OpenRow, OutcomeFile, PageRow, Run
from tests.syncs.conftest import ended, finish

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _each_in_a_file(monkeypatch):
    monkeypatch.setattr(changesets, "INLINE_BYTES", 0)
    cache.clear()


@pytest.fixture
def past(few, users_sync, run_now):
    """A run of eighty creates, as it is after some days; past(100, days=…) makes it that old. Another one has come since."""
    first = run_now(users_sync)
    run_now(users_sync)

    def days_ago(days):
        Run.objects.filter(pk=first.pk).update(ended_at=timezone.now() - timedelta(days=days))
        LogLine.objects.filter(run=first).update(at=timezone.now() - timedelta(days=days))
        return Run.objects.get(pk=first.pk)

    return days_ago


def to_the_end(step):
    while step():
        pass


def sweep():
    for step in retention.STEPS:
        to_the_end(step)


def files(run):
    try:
        return default_storage.listdir(f"runs/{run.pk}")[1]
    except FileNotFoundError:
        return []


def test_record_changes_go_after_their_days_and_the_run_stays(past, settings):
    run = past(settings.KEEP_CHANGES_DAYS - 1)
    sweep()
    assert ChangeSet.objects.filter(run=run).exists()
    assert Run.objects.get(pk=run.pk).changes_size == sum(default_storage.size(f"runs/{run.pk}/{name}") for name in files(run))

    run = past(settings.KEEP_CHANGES_DAYS + 1)
    sweep()

    run.refresh_from_db()
    assert not ChangeSet.objects.filter(run=run).exists()
    assert not OutcomeFile.objects.filter(change_set__run=run).exists()
    assert files(run) == []
    assert (run.changes_kept, run.changes_size, run.sums()["created"]) == (False, 0, 75)
    assert PageRow.objects.filter(partition__run=run).exists()


def test_pages_say_that_changes_were_removed(past, settings, client, person):
    run = past(settings.KEEP_CHANGES_DAYS + 1)
    sweep()
    client.force_login(person("operator"))

    for page in ("runs:detail", "runs:changes"):
        shown = client.get(reverse(page, args=[run.pk])).content.decode()
        assert "Removed: record changes are kept for a limited time only." in shown


def test_a_record_whose_older_changes_are_gone_ends_its_story_with_a_sentence(past, settings, few, users_sync, run_now, client, person):
    key = Link.objects.order_by("pk").last().a_key
    few.oa.change("user", key, name="Another Name")
    later = run_now(users_sync, full=True)
    change_set = ChangeSet.objects.get(run=later)
    page = reverse("runs:change", args=[later.pk, change_set.pk, 0])
    client.force_login(person("operator"))
    assert "The change before this one" in client.get(page).content.decode()

    past(settings.KEEP_CHANGES_DAYS + 1)
    sweep()

    shown = client.get(page).content.decode()
    assert "The change before this one" not in shown
    assert "Its changes before this one were removed, for they are kept for a limited time only." in shown


def test_the_oldest_go_where_they_take_too_much(past, settings, monkeypatch):
    run = past(2)
    sweep()
    monkeypatch.setattr(retention, "GIGABYTE", 1)

    settings.KEEP_CHANGES_GB = Run.objects.get(pk=run.pk).changes_size
    assert not retention.changes_are_too_many()

    settings.KEEP_CHANGES_GB -= 1
    retention.sweep()

    assert not ChangeSet.objects.filter(run=run).exists()
    assert files(run) == []


def test_a_sweep_that_is_killed_at_any_step_leaves_nothing_that_the_next_does_not_take(past, settings, monkeypatch):
    run = past(settings.KEEP_RUNS_DAYS + 1)
    monkeypatch.setattr(retention, "AT_ONCE", 1)
    sweeps = 0
    while any(step() for step in retention.STEPS):  # each time only the first that has something to do, as if it were killed after it
        sweeps += 1
        assert all(default_storage.exists(name) for name in ChangeSet.objects.exclude(file="").values_list("file", flat=True))

    assert sweeps > 5
    assert not Run.objects.filter(pk=run.pk).exists()
    assert not PageRow.objects.filter(partition__run_id=run.pk).exists()
    assert not LogLine.objects.filter(run_id=run.pk).exists()
    assert files(run) == []


def test_files_left_by_a_sweep_that_was_killed_before_it_came_to_them_are_swept_once_they_are_old(past):
    run = past(1)
    ChangeSet.objects.filter(run=run).delete()
    left = files(run)
    assert left

    retention.sweep_files(slot=run.pk % 60)
    assert files(run) == left

    for name in left:
        os.utime(default_storage.path(f"runs/{run.pk}/{name}"), (time.time() - 3700,) * 2)
    retention.sweep_files(slot=(run.pk + 1) % 60)
    assert files(run) == left

    retention.sweep_files(slot=run.pk % 60)
    assert files(run) == []


def test_a_file_that_a_row_names_is_never_swept(past):
    run = past(1)
    kept = files(run)
    for name in kept:
        os.utime(default_storage.path(f"runs/{run.pk}/{name}"), (time.time() - 3700,) * 2)

    retention.sweep_files(slot=run.pk % 60)

    assert files(run) == kept


def test_while_a_backup_is_made_rows_go_and_files_wait(past, settings):
    run = past(settings.KEEP_CHANGES_DAYS + 1)
    kept = files(run)
    backup = Backup.objects.create(file="x", lease_until=timezone.now() + timedelta(seconds=20))

    sweep()
    assert not ChangeSet.objects.filter(run=run).exists()
    assert files(run) == kept

    backup.delete()
    changesets.sweep_orphans(run.pk)
    assert files(run) == []


def test_what_an_open_row_points_to_and_what_is_not_settled_stays(past, settings):
    run = past(settings.KEEP_CHANGES_DAYS + 1)
    change_set = ChangeSet.objects.filter(run=run).first()
    OpenRow.objects.create(
        sync=run.sync, side="a", key="x", state="refused", cause="x", reason={}, record=b"", run=run, mapping_version=run.mapping_version,
        change_set_id=change_set.pk, change_row=0, first_at=timezone.now(), last_at=timezone.now(),
    )  # fmt: skip
    sweep()
    assert ChangeSet.objects.filter(pk=change_set.pk).exists()
    assert default_storage.exists(change_set.file)

    Run.objects.filter(pk=run.pk).update(changes_size=1)
    OpenRow.objects.all().delete()
    ChangeSet.objects.filter(pk=change_set.pk).update(state="sending")
    sweep()
    assert ChangeSet.objects.filter(pk=change_set.pk).exists()
    run = past(settings.KEEP_RUNS_DAYS + 1)
    sweep()
    assert Run.objects.filter(pk=run.pk).exists()


@pytest.mark.parametrize("is_plan", [True, False])
def test_what_is_being_applied_or_undone_stays_until_that_has_ended(few, users_sync, run_now, by, settings, is_plan):
    read = run_now(users_sync, dry=is_plan)
    going = plans.apply_plan(plans.approve_plan(read, by=by, reason="Checked"), by=by) if is_plan else undo.plan_undo(read, by=by)
    Run.objects.filter(pk=read.pk).update(ended_at=timezone.now() - timedelta(days=settings.KEEP_CHANGES_DAYS + 1))

    sweep()

    assert ChangeSet.objects.filter(run=read).exists()
    finish(going)
    sweep()
    assert not ChangeSet.objects.filter(run=read).exists()


def test_what_waits_for_a_decision_can_be_accepted_however_long_that_takes(full, sandbox, run_now, by, settings):
    for user in sandbox.records("oa", "user")[:40]:
        sandbox.oa.delete("user", user["userId"])
    sync = services.change_sync(full, by=by, mode="incremental")
    run = run_now(sync, full=True)
    run_now(sync)
    Run.objects.filter(pk=run.pk).update(ended_at=timezone.now() - timedelta(days=settings.KEEP_RUNS_DAYS + 1))

    sweep()

    decision = Decision.objects.open().get()
    approvals.decide(decision, "accept", by=by, reason="They are gone")
    decision.refresh_from_db()
    assert finish(Run.objects.get(pk=decision.about["applied_by"])).counts["deleted"] == 40
    sweep()
    assert not Run.objects.filter(pk=run.pk).exists()


def test_old_log_lines_go_and_the_others_stay(past, settings):
    run = past(settings.KEEP_LOG_DAYS + 1)
    later = LogLine.objects.exclude(run=run).count()

    sweep()

    assert not LogLine.objects.filter(run=run).exists()
    assert LogLine.objects.count() == later > 0


def test_the_last_run_of_a_sync_stays_however_old_it_is(users_sync, settings):
    hours = 24 * (settings.KEEP_RUNS_DAYS + 10)
    old = ended(users_sync, "succeeded", hours=hours + 2)
    last_decisive = ended(users_sync, "failed", hours=hours + 1)
    last = ended(users_sync, "cancelled", hours=hours)

    sweep()

    assert list(Run.objects.order_by("pk")) == [last_decisive, last]
    assert old not in Run.objects.all()


def test_closed_rejects_go_with_the_runs_but_for_dismissed_ones(users_sync, settings):
    ago = timezone.now() - timedelta(days=settings.KEEP_RUNS_DAYS + 1)
    version = users_sync.mapping.latest
    for key, closed_as, closed_at in (("1", "passed", ago), ("2", "dismissed", ago), ("3", "passed", timezone.now()), ("4", "", None)):
        OpenRow.objects.create(
            sync=users_sync, side="a", key=key, state="rejected", cause="x", reason={}, record=b"", mapping_version=version,
            first_at=ago, last_at=ago, closed_at=closed_at, closed_as=closed_as,
        )  # fmt: skip

    sweep()

    assert sorted(OpenRow.objects.values_list("key", flat=True)) == ["2", "3", "4"]


def test_the_sweep_leaves_a_run_that_goes_on_alone(few, users_sync, by):
    run = services.start_run(users_sync, by=by)
    default_storage.save(f"runs/{run.pk}/new.parquet", ContentFile(b"x"))

    stages.sweep()
    sweep()
    retention.sweep_files(slot=run.pk % 60)

    assert files(run) == ["new.parquet"]
    default_storage.delete(f"runs/{run.pk}/new.parquet")
