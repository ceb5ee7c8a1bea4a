"""Guards: what a run would do beyond what its sync allows without asking is withheld until somebody decides; the rest goes through.

Only the suspect kind of change is held back. Each withheld record has an open row that names its planned change; all those of a kind make up one open
decision of the sync. Later runs bring it up to date: what they plan anew takes the place of what was planned before, what they find in order is withdrawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import Count, Sum

from connectors.base import Text, _
from integration_hub.approvals import services as approvals
from integration_hub.approvals.models import Decision
from integration_hub.syncs.changesets import DELETES
from integration_hub.syncs.models import ChangeSet, OpenRow, OpenRowQuerySet, Run, Sync
from integration_hub.syncs.roster import read_nothing
from integration_hub.syncs.states import DeletePolicy, OpenState

if TYPE_CHECKING:
    import polars as pl

KIND = "withheld"  # of decisions
OPERATIONS = {"create": ("create",), "update": ("update",), "delete": DELETES}  # what is guarded → as it stands in change sets
FIELDS = tuple(f"most_{operation}s{unit}" for operation in OPERATIONS for unit in ("", "_percent"))  # of a sync
_REASONS = {
    "create": _("The run would create more records than the sync may without asking."),
    "update": _("The run would update more records than the sync may without asking."),
    "delete": _("The run would delete more records than the sync may without asking."),
}
_QUESTIONS = {
    "create": _("Create {count} records in {target}?"),
    "update": _("Update {count} records in {target}?"),
    "delete": _("Delete {count} records in {target}?"),
    "mark": _("Mark {count} records in {target} as deleted?"),
}


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
    """Once all of these are planned: hold back those of which there are too many. In the caller's transaction.

    Where a source that is read whole was told to hold nothing, no delete is believed, however few there are.
    """
    if run.dry or run.first_load:
        return
    planned = ChangeSet.objects.filter(run=run).aggregate(**{op: Sum(f"{op}s", default=0) for op in operations})
    suspect = [op for op in operations if planned[op] and is_beyond(run, op, planned[op])]
    run.withheld = sorted({*run.withheld, *suspect})
    Run.objects.filter(pk=run.pk).update(withheld=run.withheld)


def is_beyond(run: Run, operation: str, planned: int) -> bool:
    most, percent = run.settings.get("guards", {}).get(operation, (None, None))
    return (
        (operation == "delete" and read_nothing(run))
        or (most is not None and planned > most)
        or (percent is not None and planned * 100 > percent * (run.links_at_start or 0))
    )


def withheld_rows(run: Run, rows: pl.DataFrame) -> set[int]:
    """Which of these rows of a change set are held back."""
    held = [name for operation in run.withheld for name in OPERATIONS[operation]]
    return set(rows.filter(rows["operation"].is_in(held))["row"]) if held else set()


def reason_of(operation: str) -> Text:
    return Text(_REASONS[next(name for name, each in OPERATIONS.items() if operation in each)])


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
