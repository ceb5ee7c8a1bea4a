"""How long the history of runs is kept: record changes by age and size, log lines, runs, closed rejects, and files that no row names.

In small steps, each a commit of its own that leaves whole rows: one that is killed between two is gone on with by the next sweep. Rows go first and
their files after them, for a file without a row is swept, and a row without its file would be a gap. Links and later changes point to change sets by
number and not by constraint, so that a record's story ends where its older changes were removed. What is kept whatever its age: change sets whose
outcome is not known yet, that an open row points to, or that are being applied or undone, runs whose books do not balance, and the last run of each sync.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings
from django.core.cache import cache
from django.core.files.storage import default_storage
from django.db import models
from django.db.models import Exists, OuterRef, Q, Sum
from django.db.models.functions import Length
from django.utils import timezone

from integration_hub.syncs import changesets
from integration_hub.syncs.models import ChangeSet, LogLine, OpenRow, OutcomeFile, PageRow, Run
from integration_hub.syncs.states import ChangeSetState, Closed

SECONDS = 1.0  # a sweep goes on for, once it has found something
AT_ONCE = 200  # rows a commit
GIGABYTE = 10**9
EVERY_SECONDS = 60  # what has to look at much is looked at as often
ORPHAN_AFTER = timedelta(hours=1)  # a file may be that old before the commit that names it


def sweep() -> None:
    """Take some steps of each kind."""
    ends = time.monotonic() + SECONDS
    for step in STEPS:
        while step() and time.monotonic() < ends:
            pass
    if cache.add("syncs.retention", 1, EVERY_SECONDS):
        while changes_are_too_many() and drop_oldest_changes() and time.monotonic() < ends:
            pass
        sweep_files(slot=int(time.time() / EVERY_SECONDS) % 60)


def _before(days: int) -> datetime:
    return timezone.now() - timedelta(days=days)


def measure_changes() -> bool:
    """Put down how much the change sets of an ended run take. Returns whether there was one, as each step does."""
    run = Run.objects.filter(changes_size=None, ended_at__isnull=False).order_by("pk").first()
    if run is None:
        return False
    size = 0
    for rows in (ChangeSet.objects.filter(run=run), OutcomeFile.objects.filter(change_set__run=run)):
        size += rows.exclude(content=None).aggregate(sum=Sum(Length("content")))["sum"] or 0
        size += sum(_size_of(name) for name in rows.exclude(file="").values_list("file", flat=True).iterator())
    Run.objects.filter(pk=run.pk).update(changes_size=size)
    return True


def _size_of(name: str) -> int:
    try:
        return default_storage.size(name)
    except FileNotFoundError:
        return 0


def _with_changes() -> models.QuerySet[Run]:
    """Ended runs whose record changes may be removed, the oldest first: not those that a run reads just now, to write what was approved or to undo it."""
    live = Run.objects.filter(ended_at=None)
    undone = [number for undoes in live.filter(undoes__isnull=False).values_list("undoes", flat=True) for number in undoes["runs"]]
    found = Run.objects.filter(changes_size__gt=0).exclude(balanced=False).exclude(pk__in=undone)
    return found.exclude(Exists(live.filter(applies__plan=OuterRef("pk")))).order_by("ended_at")


def drop_old_changes() -> bool:
    return _drop_changes(_with_changes().filter(ended_at__lt=_before(settings.KEEP_CHANGES_DAYS)).first())


def changes_are_too_many() -> bool:
    most = settings.KEEP_CHANGES_GB * GIGABYTE
    return bool(most) and (_with_changes().order_by().aggregate(sum=Sum("changes_size"))["sum"] or 0) > most


def drop_oldest_changes() -> bool:
    return _drop_changes(_with_changes().first())


def _drop_changes(run: Run | None) -> bool:
    if run is None:
        return False
    wanted = OpenRow.objects.open().filter(run=run, change_set_id__isnull=False).values("change_set_id")
    removable = ChangeSet.objects.filter(run=run).exclude(state=ChangeSetState.SENDING).exclude(pk__in=wanted)
    Run.objects.filter(pk=run.pk, changes_kept=True).update(changes_kept=False)  # first, so that pages tell why there are only some
    if not _delete_some(removable):
        PageRow.objects.filter(partition__run=run).exclude(agreed="").update(agreed="")  # of which nobody can tell any more what has changed since
        changesets.sweep_orphans(run.pk)
        Run.objects.filter(pk=run.pk).update(changes_size=0)
    return True


def drop_old_log() -> bool:
    """Lines are numbered in the order in which they were said."""
    oldest = LogLine.objects.order_by("pk").values_list("pk", "at")[:AT_ONCE]
    before = _before(settings.KEEP_LOG_DAYS)
    old = [pk for pk, at in oldest if at < before]
    LogLine.objects.filter(pk__in=old).delete()
    return bool(old)


def drop_old_runs() -> bool:
    newer = Run.objects.filter(sync=OuterRef("sync"), pk__gt=OuterRef("pk"), ended_at__isnull=False)
    decisive = Run.objects.decisive().order_by().filter(sync=OuterRef("sync"), pk__gt=OuterRef("pk"))
    unsettled = ChangeSet.objects.filter(run=OuterRef("pk"), state=ChangeSetState.SENDING)
    old = Run.objects.filter(ended_at__lt=_before(settings.KEEP_RUNS_DAYS)).filter(Q(sync=None) | Exists(newer) & Exists(decisive))
    wanted = OpenRow.objects.open().filter(run=OuterRef("pk"), change_set_id__isnull=False)
    run = old.filter(~Exists(unsettled), ~Exists(wanted)).order_by("ended_at").first()
    if run is None:
        return False
    parts = (ChangeSet.objects.filter(run=run), PageRow.objects.filter(partition__run=run), LogLine.objects.filter(run=run))
    if not any(_delete_some(rows) for rows in parts):
        changesets.sweep_orphans(run.pk)
        run.delete()
    return True


def drop_closed_rejects() -> bool:
    """Of rows that were dismissed it stays known that they were."""
    closed = OpenRow.objects.filter(closed_at__lt=_before(settings.KEEP_RUNS_DAYS)).exclude(closed_as=Closed.DISMISSED)
    return _delete_some(closed.order_by("closed_at"))


def _delete_some(rows: models.QuerySet[models.Model]) -> bool:
    some = list(rows.values_list("pk", flat=True)[:AT_ONCE])
    if some:
        rows.model._default_manager.filter(pk__in=some).delete()
    return bool(some)


STEPS: tuple[Callable[[], bool], ...] = (measure_changes, drop_old_changes, drop_old_log, drop_old_runs, drop_closed_rejects)


def sweep_files(*, slot: int) -> None:
    """Remove the files that no row names, in the folders of every sixtieth run: each folder is looked through once an hour."""
    try:
        folders, __ = default_storage.listdir("runs")
    except FileNotFoundError:
        return
    before = timezone.now() - ORPHAN_AFTER
    for name in folders:
        if name.isdecimal() and int(name) % 60 == slot:
            changesets.sweep_orphans(int(name), before=before)
