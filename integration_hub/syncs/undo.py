"""Undoing what runs have written: a plan made of the journal, shown, approved and applied like any other. The pair's syncs are paused first, else their
next run would write again what is being undone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext_noop

from integration_hub.accounts.actor import Actor
from integration_hub.audit import services as audit
from integration_hub.mappings.models import MappingVersion
from integration_hub.syncs import services
from integration_hub.syncs.models import Run, Sync
from integration_hub.syncs.services import NotPossible
from integration_hub.syncs.states import Mode


def may_undo(run: Run) -> bool:
    """Whether a run has written something that could be undone; what it had on its way when it ended may have arrived."""
    wrote = ("created", "updated", "deleted", "unknown")
    return not run.dry and not run.is_live and run.sync_id is not None and any(run.counts.get(name) for name in wrote)


def plan_undo(run: Run, *, by: Actor, keys: Sequence[str] | None = None, trigger: str = "hand") -> Run:
    """Pause the pair's syncs and start the planning of what undoes this run, or what it did to the source records with these keys.

    Raises NotPossible where it wrote nothing, PairBusy while a run of the pair is writing.
    """
    by.require("plans.undo", run)
    if not may_undo(run):
        raise NotPossible(gettext_noop("Run {number} has written nothing that could be undone."), number=run.pk)
    wanted = None if keys is None else list(dict.fromkeys(key for key in keys if key))
    if wanted is not None and not wanted:
        raise NotPossible(gettext_noop("Name at least one record by its key."))
    return _start(run.sync, run.mapping_version, run.direction, [run.pk], wanted, by=by, trigger=trigger)


def plan_undo_of_version(sync: Sync, version: MappingVersion, *, since: datetime, by: Actor, trigger: str = "hand") -> Run:
    """The same for all runs of a sync by this mapping version that were started since then, and for those that have undone some of these: together they
    left what the target holds."""
    by.require("plans.undo", sync)
    runs = Run.objects.filter(sync=sync, mapping_version=version, direction=sync.direction, dry=False, made_at__gte=since, ended_at__isnull=False)
    wrote: list[int] = []
    for run in runs.select_related("applies__plan").order_by("pk"):
        undid = run.applies.plan.undoes["runs"] if run.applies is not None and run.is_undo else ()
        if may_undo(run) and set(undid) <= set(wrote):
            wrote.append(run.pk)
    if not wrote:
        raise NotPossible(gettext_noop("No run of {name} by this version has written anything since then."), name=sync.name)
    return _start(sync, version, sync.direction, wrote, None, by=by, trigger=trigger)


def _start(sync: Sync | None, version: MappingVersion, direction: str, runs: list[int], keys: list[str] | None, *, by: Actor, trigger: str) -> Run:
    if sync is None:
        raise NotPossible(gettext_noop("The sync of this run was deleted."))
    removed = Run.objects.filter(pk__in=runs, changes_kept=False).order_by("pk").first()
    if removed is not None:
        raise NotPossible(gettext_noop("The record changes of run {number} are no longer kept."), number=removed.pk)
    with transaction.atomic():
        for each in sync.pair.syncs.filter(paused_at=None):
            services.pause_sync(each, by=by)
        services.refuse_while_going(pair=sync.pair, dry=False)
        plan = services.create_run(
            sync, version, by=by, keys=None, mode=Mode.FULL, settings={"filter": "", "compare_first": False}, trigger=trigger, dry=True,
            direction=direction, undoes={"runs": runs, "keys": keys},
        )  # fmt: skip
        audit.record("run.undo_planned", plan, by=by, note=", ".join(map(str, runs)))
    return plan
