"""Guards: what a run would do beyond what its sync allows without asking is withheld until somebody decides; the rest goes through.

Only the suspect kind of change is held back. Each withheld record has an open row that names its planned change; all those of a kind make up one open
decision of the sync. Later runs bring it up to date: what they plan anew takes the place of what was planned before, what they find in order is withdrawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db.models import Count, F, Sum, Value

from connectors.base import Text, _
from integration_hub.approvals import services as approvals
from integration_hub.approvals.models import Decision
from integration_hub.syncs import refused
from integration_hub.syncs.changesets import DELETES
from integration_hub.syncs.models import ChangeSet, OpenRow, OpenRowQuerySet, Run, Sync
from integration_hub.syncs.roster import read_nothing
from integration_hub.syncs.states import ENDED_WHOLE, DeletePolicy, OpenState, RunState

if TYPE_CHECKING:
    import polars as pl

KIND = "withheld"  # of decisions
OPERATIONS = {"create": ("create",), "update": ("update",), "delete": DELETES}  # what is guarded → as it stands in change sets
FIELDS = tuple(f"most_{operation}s{unit}" for operation in OPERATIONS for unit in ("", "_percent"))  # of a sync
MOST_PERCENT = 32_767  # that a limit can be
_REASONS = {
    "create": _("The run would create more records than the sync may without asking."),
    "update": _("The run would update more records than the sync may without asking."),
    "delete": _("The run would delete more records than the sync may without asking."),
}
_NOTHING = _("The source answered that it holds nothing at all. Nothing is deleted on that word alone, whatever the limits are.")
_QUESTIONS = {
    "create": _("Create {count} records in {target}?"),
    "update": _("Update {count} records in {target}?"),
    "delete": _("Delete {count} records in {target}?"),
    "mark": _("Mark {count} records in {target} as deleted?"),
}
_BEYOND = {
    "create": (
        _("Creates would wait for a decision: there are {count}, and at most {most} go without asking."),
        _("Creates would wait for a decision: there are {count}, {share} % of {links} linked records, and at most {percent} % go without asking."),
    ),
    "update": (
        _("Updates would wait for a decision: there are {count}, and at most {most} go without asking."),
        _("Updates would wait for a decision: there are {count}, {share} % of {links} linked records, and at most {percent} % go without asking."),
    ),
    "delete": (
        _("Deletes would wait for a decision: there are {count}, and at most {most} go without asking."),
        _("Deletes would wait for a decision: there are {count}, {share} % of {links} linked records, and at most {percent} % go without asking."),
    ),
}
_OF_NO_LINKS = {
    "create": _("Creates would wait for a decision: there are {count}, and no record is linked yet, of which {percent} % would go without asking."),
    "update": _("Updates would wait for a decision: there are {count}, and no record is linked yet, of which {percent} % would go without asking."),
    "delete": _("Deletes would wait for a decision: there are {count}, and no record is linked yet, of which {percent} % would go without asking."),
}
_OF_NOTHING = _("Deletes would wait for a decision: there are {count}, and {source} says that it holds nothing, which is not believed.")


def limits_of(sync: Sync) -> dict[str, list[int | None]]:
    """Operation → [most, most in percent of the links], of those that have a limit."""
    each = {op: [getattr(sync, f"most_{op}s"), getattr(sync, f"most_{op}s_percent")] for op in OPERATIONS}
    if sync.deletes == DeletePolicy.IGNORE:
        del each["delete"]
    return {op: limits for op, limits in each.items() if limits != [None, None]}


def compares_first(sync: Sync) -> bool:
    """Whether its runs compare everything before they write: somebody chose that, or creates and updates have limits."""
    return sync.compare_first or not limits_of(sync).keys().isdisjoint(("create", "update"))


def counts_links(run: Run) -> bool:
    """Whether a limit of this run is a share of the pair's links."""
    return any(percent is not None for __, percent in run.settings.get("guards", {}).values())


def withhold(run: Run, *operations: str) -> None:
    """Once all of these are planned: hold back those of which there are too many. In the caller's transaction. What somebody has refused does not count.

    Where a source that is read whole was told to hold nothing, no delete is believed, however few there are.
    """
    if run.dry or run.first_load:
        return
    planned = ChangeSet.objects.filter(run=run).aggregate(**{op: _planned(op) for op in operations})
    suspect = [op for op in operations if planned[op] and is_beyond(run, op, planned[op])]
    run.withheld = sorted({*run.withheld, *suspect})
    Run.objects.filter(pk=run.pk).update(withheld=run.withheld)


def count_again(run: Run, change_set: ChangeSet) -> None:
    """Behind what was counted before anything was written more is planned, for what waits for a record goes on once that is written: with what was let
    through it must not be too much either. In the caller's transaction.

    From this change set on the rest is held back, and the run knows which that is: what was planned before may be on its way.
    """
    kinds = [op for op in ("create", "update") if op in run.settings.get("guards", {}) and op not in run.withheld]
    if not kinds or run.state != RunState.WRITING:
        return
    withhold(run, *kinds)
    if begins := {op: change_set.pk for op in kinds if op in run.withheld}:
        run.settings = {**run.settings, "withheld_from": {**run.settings.get("withheld_from", {}), **begins}}
        Run.objects.filter(pk=run.pk).update(settings=run.settings)


def _planned(operation: str) -> Sum:
    return Sum(F(f"{operation}s") - F(f"{operation}s_refused"), default=0)


def refused_of(run: Run) -> int:
    """How many changes of a run were refused by somebody before."""
    each = sum((F(f"{operation}s_refused") for operation in OPERATIONS), start=Value(0))
    total: int = ChangeSet.objects.filter(run=run).aggregate(n=Sum(each, default=0))["n"]
    return total


def is_beyond(run: Run, operation: str, planned: int) -> bool:
    most, percent = run.settings.get("guards", {}).get(operation, (None, None))
    return (
        (operation == "delete" and read_nothing(run))
        or (most is not None and planned > most)
        or (percent is not None and planned * 100 > percent * (run.links_at_start or 0))
    )


@dataclass(frozen=True, slots=True)
class Beyond:
    """Changes of a kind that a dry run has planned beyond what its sync may do without asking. `most` and `percent` are the limits then, null where there
    is none; `links` is what the second is a share of; `empty`: the source was told to hold nothing, so whatever the limits are."""

    operation: str
    count: int
    most: int | None
    percent: int | None
    links: int | None
    empty: bool
    source: str

    @property
    def sentence(self) -> Text:
        """The count against the limit that it is beyond."""
        links = self.links or 0
        share = share_of(self.count, links) if links else ""
        values = {"count": self.count, "most": self.most, "percent": self.percent, "links": links, "share": share, "source": self.source}
        if self.empty:
            template = _OF_NOTHING
        elif self.most is not None and self.count > self.most:
            template = _BEYOND[self.operation][0]
        else:
            template = _BEYOND[self.operation][1] if links else _OF_NO_LINKS[self.operation]
        return Text(template, {name: f"{value:,}" if isinstance(value, int) else value for name, value in values.items()})


def beyond_of(runs: Sequence[Run]) -> dict[int, list[Beyond]]:
    """Of these runs' dry ones that went through and would have to ask: what a guard would withhold. One query however many they are."""
    dry = {run.pk: run for run in runs if run.dry and run.undoes is None and not run.first_load and run.state in ENDED_WHOLE}
    if not dry:
        return {}
    sums = {f"n_{op}": _planned(op) for op in OPERATIONS}
    planned: Any = ChangeSet.objects.filter(run__in=dry).values("run").order_by().annotate(**sums)
    return {row["run"]: found for row in planned if (found := _beyond(dry[row["run"]], {op: row[f"n_{op}"] for op in OPERATIONS}))}


def _beyond(run: Run, planned: dict[str, int]) -> list[Beyond]:
    found = []
    for operation, count in planned.items():
        if count and is_beyond(run, operation, count):
            most, percent = run.settings.get("guards", {}).get(operation, (None, None))
            empty = operation == "delete" and read_nothing(run)
            found.append(Beyond(operation, count, most, percent, run.links_at_start, empty, run.source.system.name if empty else ""))
    return found


def withheld_rows(run: Run, change_set: ChangeSet, rows: pl.DataFrame, *, sent_at: datetime | None = None) -> set[int]:
    """Which of these rows of a change set are held back: those of which there are too many, and those that were refused. `sent_at`: since when they are
    on their way."""
    begins = run.settings.get("withheld_from", {})
    held = [name for operation in run.withheld if change_set.pk >= begins.get(operation, 0) for name in OPERATIONS[operation]]
    too_many = set(rows.filter(rows["operation"].is_in(held))["row"]) if held else set()
    return too_many | refused.rows_of(run, rows, sent_at=sent_at)


def reason_of(operation: str, *, nothing: bool) -> Text:
    """Why a change is held back; `nothing`: the source was told to hold nothing."""
    kind = next(name for name, each in OPERATIONS.items() if operation in each)
    return Text(_NOTHING if nothing and kind == "delete" else _REASONS[kind])


def because_of(decision: Decision) -> list[Text]:
    """What made the guard stop the changes that a decision is about."""
    nothing = bool(decision.about.get("nothing"))
    said = [reason_of(decision.part, nothing=nothing)]
    if not nothing and (links := decision.about.get("links")):
        values = {"n": f"{decision.count:,}", "links": f"{links:,}", "percent": share_of(decision.count, links)}
        said.append(Text(_("{n} of {links} linked records, {percent} %."), values))
    return said


def share_of(count: int, links: int) -> str:
    """In percent of the links, in digits."""
    return f"{count * 100 / links:,.1f}".removesuffix(".0")


def withheld_of(sync: Sync, operation: str) -> OpenRowQuerySet:
    """The open rows of what is held back, each naming its planned change."""
    rows: OpenRowQuerySet = OpenRow.objects.open().filter(sync=sync, state=OpenState.WITHHELD, step=operation)
    return rows


def ask(run: Run) -> bool:
    """At the end of a run, in its transaction: have one open decision for each kind of change that is held back, and none for others.
    True: some of what this run planned waits for one."""
    sync = run.sync
    if sync is None or run.dry:
        return False
    asked = set(Decision.objects.open().about(sync).filter(kind=KIND).values_list("part", flat=True))
    if not asked and not run.withheld and run.applies_id is None:
        return False
    waiting = dict(OpenRow.objects.open().filter(sync=sync, state=OpenState.WITHHELD).values_list("step").annotate(n=Count("pk")))
    for operation in OPERATIONS:
        count = waiting.get(operation, 0)
        if not count:
            if operation in asked:
                approvals.withdraw(KIND, sync, part=operation)
            continue
        named = "mark" if operation == "delete" and run.settings.get("deletes", {}).get("policy") == "mark" else operation
        question = Text(_QUESTIONS[named], {"count": count, "target": run.target.system.name})
        about = None
        if operation in run.withheld:
            about = {"run": run.pk, "links": run.links_at_start, "nothing": operation == "delete" and read_nothing(run)}
        approvals.ask(KIND, sync, part=operation, question=question, count=count, about=about)
    return any(operation in waiting for operation in run.withheld)
