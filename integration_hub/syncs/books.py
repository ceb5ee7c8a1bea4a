"""The books of a run: everything that came in went out somewhere. Recomputed from page rows, change sets and open rows, not from the counters.

In: read = mapped from + filtered + rejected + parked + duplicate; of named records: named = read + absent.
Out: produced + missing = created + updated + unchanged + deleted + kept + conflicting + withheld + moved + refused + unknown + not sent;
missing are the links whose record is deleted in the source, or taken for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import ExpressionWrapper, F, IntegerField, OuterRef, Q, Subquery, Sum
from django.db.models.functions import Coalesce

from connectors.base import Text, _
from integration_hub.syncs.models import COUNTS, ChangeSet, PageRow, Run
from integration_hub.syncs.states import ChangeSetState
from integration_hub.syncs.work import tellable

_PAGES = ("read", "absent", "filtered", "rejected", "parked", "duplicate", "produced", "missing", "kept", "unchanged", "refused", "moved", "unknown")
_SETS = ("created", "updated", "deleted", "unchanged", "withheld", "refused", "moved", "unknown", "not_sent")
_ENDS = ("kept", *_SETS)


@dataclass(frozen=True, slots=True)
class Books:
    """The sums of a run: `counts` by COUNTS; `in_difference` and `out_difference` are zero where the books come out."""

    counts: dict[str, int]
    in_difference: int
    out_difference: int
    counter_differences: dict[str, int]

    @property
    def balance(self) -> bool:
        return self.in_difference == 0 and self.out_difference == 0 and not self.counter_differences


@dataclass(frozen=True, slots=True)
class PageOff:
    """A page whose records are not all accounted for."""

    part: int
    page: int
    in_difference: int
    out_difference: int


def books_of(run: Run, *, ended: bool | None = None) -> Books:
    """Recount a run. What a live run has yet to write, and what a dry one never will, counts as not sent."""
    ended = run.ended_at is not None if ended is None else ended
    pages = PageRow.objects.filter(partition__run=run).aggregate(**{f"sum_{n}": Coalesce(Sum(n), 0) for n in _PAGES})
    sets = ChangeSet.objects.filter(run=run).aggregate(
        total=Coalesce(Sum("rows"), 0),
        # What was on its way when the run ended is in `unknown`, also once the pair's next run has found out what became of it.
        under_way=Coalesce(Sum(F("rows") - F("settled") - F("not_sent"), filter=~Q(state=ChangeSetState.SENDING) if ended else Q()), 0),
        **{f"sum_{n}": Coalesce(Sum(n), 0) for n in _SETS},
    )
    counts = {name: pages.get(f"sum_{name}", 0) + sets.get(f"sum_{name}", 0) for name in COUNTS}
    counts["not_sent"] += sets["under_way"]
    mapped_from = counts["produced"]  # one record makes one record; split records will make several
    in_difference = counts["read"] - (mapped_from + counts["filtered"] + counts["rejected"] + counts["parked"] + counts["duplicate"])
    if run.keys is not None and not run.partitions.filter(read_done=False).exists():
        in_difference += len(tellable(run.keys)) - counts["read"] - counts["absent"]
    out_difference = counts["produced"] + counts["missing"] - sum(counts[name] for name in _ENDS)
    counters = run.partitions.aggregate(**{n: Coalesce(Sum(f"{n}_count"), 0) for n in COUNTS if n != "not_sent"})
    differences = {name: counts[name] - counted for name, counted in counters.items() if counts[name] != counted}
    return Books(counts, in_difference, out_difference, differences)


def pages_off(run: Run, *, ended: bool | None = None, most: int = 5) -> list[PageOff]:
    """The first pages on which the books of a run do not come out."""
    ended = run.ended_at is not None if ended is None else ended
    of_page = {"partition": OuterRef("partition"), "page": OuterRef("number")}
    settled = ChangeSet.objects.filter(**of_page).annotate(off=_sum("rows", _SETS))
    under_way = settled.annotate(left=F("rows") - F("settled") - F("not_sent")).exclude(
        **({"state": ChangeSetState.SENDING} if ended else {"pk": None})
    )
    pages = PageRow.objects.filter(partition__run=run).annotate(
        in_off=_sum("read", ("produced", "filtered", "rejected", "parked", "duplicate")),
        out_off=_sum("produced", ("kept", "unchanged", "refused", "moved", "unknown"))
        + F("missing")
        - Coalesce(Subquery(settled.values("rows")[:1]), 0)
        + Coalesce(Subquery(settled.values("off")[:1]), 0)
        - Coalesce(Subquery(under_way.values("left")[:1]), 0),
    )
    found = pages.exclude(in_off=0, out_off=0).order_by("partition__number", "number")
    return [PageOff(*row) for row in found.values_list("partition__number", "number", "in_off", "out_off")[:most]]


def _sum(whole: str, parts: Sequence[str]) -> ExpressionWrapper:
    """What of `whole` is in none of the parts."""
    left: Any = F(whole)
    for part in parts:
        left = left - F(part)
    return ExpressionWrapper(left, IntegerField())


def differences_of(run: Run, books: Books, *, ended: bool | None = None) -> list[Text]:
    """Where the books of a run differ: which sum, by how much, on which pages. [] where they balance."""
    told = []
    if books.in_difference:
        told.append(Text(_("In differs by {n}"), {"n": f"{books.in_difference:,}"}))
    if books.out_difference:
        told.append(Text(_("Out differs by {n}"), {"n": f"{books.out_difference:,}"}))
    counters = books.counter_differences.items()
    told += [Text(_("the counter of {name} differs by {n}"), {"name": name, "n": f"{n:,}"}) for name, n in counters]
    for off in pages_off(run, ended=ended) if books.in_difference or books.out_difference else ():
        values = {"page": off.page, "part": off.part, "in_difference": f"{off.in_difference:,}", "out_difference": f"{off.out_difference:,}"}
        told.append(Text(_("page {page} of part {part}: In by {in_difference}, Out by {out_difference}"), values))
    return told
