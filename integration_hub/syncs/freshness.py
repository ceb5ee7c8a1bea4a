"""How syncs stand: is each target right, and as new as it should be? For the list, the sync's page and the overview."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from operator import or_

from django.db.models import IntegerField, OuterRef, Q, Subquery
from django.utils import timezone

from integration_hub.syncs.models import WHOLE, OpenRow, Run, Sync
from integration_hub.syncs.states import ENDED_WHOLE, Freshness, RunState

CAP = 10_000
SHOWN_RUNS = 30
STATES = {  # as core.parts colours them
    Freshness.FRESH: "ok",
    Freshness.INCOMPLETE: "warn",
    Freshness.LATE: "warn",
    Freshness.FAILED: "bad",
    Freshness.UNBALANCED: "bad",
    Freshness.STUCK: "bad",
    Freshness.PAUSED: "idle",
    Freshness.FIRST_RUN: "run",
    Freshness.NEVER_RAN: "idle",
}
ICONS = {Freshness.PAUSED: "pause_circle", Freshness.NEVER_RAN: "radio_button_unchecked"}


class CappedCount(Subquery):
    """How many rows of a (correlated) query there are, counted no further than its slice goes."""

    template = "(SELECT COUNT(*) FROM (%(subquery)s) capped)"
    output_field = IntegerField()


@dataclass(frozen=True)
class Standing:
    """How one sync stands. `last` is its newest run that says so, `live` one that goes on now, `open_count` stops above CAP."""

    sync: Sync
    freshness: Freshness
    last: Run | None
    live: Run | None
    open_count: int
    runs: Sequence[Run]  # the last thirty, newest first

    @property
    def state(self) -> str:
        return STATES[self.freshness]

    @property
    def icon(self) -> str:
        return ICONS.get(self.freshness, "")

    @property
    def behind(self) -> timedelta | None:
        """How old the target's data may be: since the last run that succeeded had begun to read."""
        return behind(self.sync)


def behind(sync: Sync) -> timedelta | None:
    return timezone.now() - sync.last_success_at if sync.last_success_at else None


def is_late(sync: Sync, now: datetime | None = None) -> bool:
    if sync.paused_at is not None or sync.objective_seconds is None:
        return False
    return (now or timezone.now()) - (sync.last_success_at or sync.made_at) > timedelta(seconds=sync.objective_seconds)


def standings_of(syncs: Sequence[Sync]) -> list[Standing]:
    """Each sync's standing, in three queries however many there are."""
    counts = dict(Sync.objects.filter(pk__in=[sync.pk for sync in syncs]).annotate(n=open_count()).values_list("pk", "n"))
    runs = last_runs(syncs)
    return [standing(sync, runs.get(sync.pk, []), counts.get(sync.pk, 0)) for sync in syncs]


def open_count() -> CappedCount:
    # In the order of causes, because the index that has it holds open rows alone: it is counted without a look at the rows.
    return CappedCount(OpenRow.objects.open().filter(sync=OuterRef("pk")).order_by("cause").values("cause")[: CAP + 1])


def last_runs(syncs: Iterable[Sync], count: int = SHOWN_RUNS) -> dict[int, list[Run]]:
    """The newest runs of each sync, newest first: first where they begin, by the index, then the runs from there on."""
    newest = Run.objects.filter(sync=OuterRef("pk")).order_by("-pk").values("pk")
    begins = Sync.objects.filter(pk__in=[sync.pk for sync in syncs]).annotate(
        thirtieth=Subquery(newest[count - 1 : count]), newest=Subquery(newest[:1])
    )
    wanted = [Q(sync=pk, pk__gte=begin or 0) for pk, begin, any_run in begins.values_list("pk", "thirtieth", "newest") if any_run]
    found: dict[int, list[Run]] = {}
    if wanted:
        columns = ("sync_id", "name", "state", "cancel_at", "dry", "trigger", "made_at", "started_at", "ended_at", "balanced", "last_is_whole")
        runs = Run.objects.filter(reduce(or_, wanted)).annotate(last_is_whole=WHOLE).only(*columns[:-1])
        for run in sorted(runs, key=lambda run: -run.pk):  # not ordered by the database, which would read all runs in that order
            found.setdefault(run.sync_id or 0, []).append(run)
    return found


def standing(sync: Sync, runs: Sequence[Run], open_rows: int) -> Standing:
    """From its newest runs (of `last_runs`) and how many open rows it has."""
    live = next((run for run in runs if run.is_live and not run.dry), None)
    last = next((run for run in runs if is_decisive(run)), None)
    return Standing(sync, _freshness(sync, last, live, open_rows), last, live, open_rows, runs)


def is_decisive(run: Run) -> bool:
    """Whether this run, of `last_runs`, says how its sync stands."""
    return not run.dry and run.last_is_whole and run.state in (*ENDED_WHOLE, RunState.FAILED)  # type: ignore[attr-defined]


def _freshness(sync: Sync, last: Run | None, live: Run | None, open_rows: int) -> Freshness:
    if sync.paused_at is not None:
        return Freshness.PAUSED
    if sync.refusal:
        return Freshness.STUCK
    if last is not None and last.state == RunState.FAILED:
        return Freshness.FAILED
    if last is not None and last.balanced is False:
        return Freshness.UNBALANCED
    if sync.last_success_at is None:
        return Freshness.FIRST_RUN if live else Freshness.LATE if is_late(sync) else Freshness.NEVER_RAN
    if is_late(sync):
        return Freshness.LATE
    return Freshness.INCOMPLETE if open_rows else Freshness.FRESH
