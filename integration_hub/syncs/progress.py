"""How far a run has got: what is done, how fast it goes and how long it will take. Asked every two seconds by each open page, so a few sums only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import F, Min, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from integration_hub.syncs.models import ChangeSet, PageRow, Run
from integration_hub.syncs.states import RunState

RATE_SECONDS = 30


@dataclass(frozen=True)
class Headway:
    """Of one stage. `expected` None: nobody knows how many there are. `rate` is records a second."""

    done: int
    expected: int | None
    rate: float | None
    planned: int  # changes in change sets
    under_way: int  # of them not settled yet

    @property
    def share(self) -> float | None:
        if self.expected is None:
            return None
        return min(100.0, 100 * self.done / self.expected) if self.expected else 100.0

    @property
    def left_seconds(self) -> float | None:
        if self.expected is None or not self.rate:
            return None
        return max(0, self.expected - self.done) / self.rate


def headway_of(run: Run, counts: dict[str, int]) -> Headway:
    """The stage a live run is in: comparing counts what is read, writing after it what is settled, writing at once what is through."""
    sets = ChangeSet.objects.filter(run=run).aggregate(
        total=Coalesce(Sum("rows"), 0), left=Coalesce(Sum(F("rows") - F("settled")), 0), began=Min("sent_at")
    )
    stage = run.paused_from or run.state
    if stage == RunState.WRITING and compares_first(run):
        done = sets["total"] - sets["left"]
        spent = (timezone.now() - sets["began"]).total_seconds() if sets["began"] else 0
        return Headway(done, sets["total"], done / spent if done and spent > 1 else None, sets["total"], sets["left"])
    done = counts["read"] + counts["absent"] - (0 if stage == RunState.COMPARING else sets["left"])
    if run.applies_id is not None:  # what is to be deleted is read nowhere
        done += counts["missing"]
    return Headway(done, run.expected_count, reading_rate(run), sets["total"], sets["left"])


def compares_first(run: Run) -> bool:
    return run.dry or bool(run.settings.get("compare_first"))


def reading_rate(run: Run) -> float | None:
    """Records a second over the last half minute."""
    now = timezone.now()
    begins = max(run.started_at or now, now - timedelta(seconds=RATE_SECONDS))
    read = PageRow.objects.filter(partition__run=run, at__gte=begins).aggregate(n=Coalesce(Sum("read"), 0))["n"]
    spent = (now - begins).total_seconds()
    return read / spent if read and spent >= 1 else None


def shares_of(runs: Iterable[Run]) -> dict[int, float | None]:
    """Roughly how far each live run is, in one query: the share of the expected records that were read."""
    expected = {run.pk: run.expected_count for run in runs if run.expected_count}
    read = Run.objects.filter(pk__in=list(expected)).annotate(n=Coalesce(Sum("partitions__read_count"), 0)).values_list("pk", "n")
    return {pk: min(100.0, 100 * n / (expected[pk] or 1)) for pk, n in read}
