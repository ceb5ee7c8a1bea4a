"""A run that writes what was approved of earlier runs' change sets, a plan's or those that a guard withheld: it becomes change sets of its own, and
goes on from *write*.

Since it was planned, either side may have moved. What the source now holds otherwise is left here; what the target does, or whose link has
changed, is found by *write*, which takes nothing that was approved for fresh.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING

from django.utils import timezone

from connectors.base import KEY, Connector, FieldType, Page, SettingsError, Text, _
from integration_hub.core import bulk
from integration_hub.core.keys import canonical_key
from integration_hub.core.leases import Lease
from integration_hub.syncs import changesets, guards, mends, stages
from integration_hub.syncs.compare import Compared, MappedPage
from integration_hub.syncs.matching import look_up
from integration_hub.syncs.models import ChangeSet, OpenRow, PlanApproval
from integration_hub.syncs.prints import field_hashes
from integration_hub.syncs.states import OpenState
from integration_hub.syncs.work import Counts, Left, Work
from integration_hub.syncs.write import PlannedSet

if TYPE_CHECKING:
    import polars as pl
    from django.db.models import QuerySet

    from integration_hub.core.expressions.language import Expression

Plan = Callable[..., ChangeSet | None]


def rule_fields(fields: Iterable[tuple[str, FieldType]]) -> dict[str, FieldType]:
    """What a rule may speak of: operation, source_key and target_key, and each target field as before.… and after.…"""
    known = dict.fromkeys(("operation", "source_key", "target_key"), FieldType.TEXT)
    return known | {f"{when}.{name}": type_ for name, type_ in fields for when in ("before", "after")}


def chosen(approval: PlanApproval, changes: pl.DataFrame, rule: Expression | None) -> pl.DataFrame:
    """The rows of a plan's change set that were approved. What the plan itself keeps as it is can never be."""
    import polars as pl

    wanted = ~pl.col("operation").is_in(["keep"])
    if approval.operations:
        wanted &= pl.col("operation").is_in(approval.operations)
    if approval.except_keys:
        wanted &= ~pl.col("source_key").is_in(approval.except_keys)
    changes = changes.filter(wanted)
    if rule is None or not changes.height:
        return changes
    values = [
        changes["before"].struct.unnest().select(pl.all().name.prefix("before.")),
        changes["after"].struct.unnest().select(pl.all().name.prefix("after.")),
    ]
    told = pl.concat([changes.select("operation", "source_key", "target_key"), *values], how="horizontal")
    return changes.filter(told.select(rule.to_polars().fill_null(False).alias("passes")).to_series())


def parsed_rule(text: str, types: dict[str, FieldType]) -> Expression | None:
    """A rule, read; None where it is empty. Raises ExpressionError."""
    from integration_hub.core.expressions.language import parse_condition

    return parse_condition(text, types) if text else None


def approved(work: Work, lease: Lease, plan: Plan) -> Iterator[PlannedSet]:
    """What was approved, as change sets of this run; each is put down by `plan` with the position behind it: the change set it was taken from."""
    approval = work.run.applies
    if approval is None:
        return
    rule = parsed_rule(approval.rule, rule_fields((name, f.type) for name in work.fields if (f := work.target.field(name)) is not None))
    sets = sets_of(work, approval)
    if approval.plan_id is not None and work.partition.position is None:
        verify(sets, approval)
    written = written_before(work)
    asks = not work.run.is_undo and work.source.capabilities.lookup_by_key
    if not asks and not work.run.is_undo and work.partition.position is None:
        unseen = _("does not see what has changed in {system} since this was planned: {entity} cannot be asked for single records")
        stages.say(work.run, unseen, "warning", system=work.run.source.system.name, entity=work.source.label or work.source.name)
    with work.open("source") if asks else nullcontext() as source:
        # Numbers first: a cursor that stays open would, on SQLite, keep to the moment it was opened at, from which nothing can be written any more.
        left_over = list(sets.filter(pk__gt=work.partition.position or 0).values_list("pk", flat=True))
        if not left_over:
            lease.fence(wanted_done=True, read_done=True)
        for number, pk in enumerate(left_over, start=work.partition.page_number + 1):
            planned = ChangeSet.objects.get(pk=pk)
            rows, began = changesets.frame_of(planned), timezone.now()
            rows = chosen(approval, rows, rule) if approval.decision is None else still_withheld(work, planned, rows, approval.decision.part)
            rows = rows.filter(~rows["source_key"].is_in(written.implode()))
            left = moved_in_source(work, source, rows.filter(~rows["operation"].is_in(changesets.END_LINKS))) if source is not None else {}
            page = page_of(number, planned, rows, list(left.values()), last=pk == left_over[-1])
            rows = rows.filter(~rows["source_key"].is_in(list(left)))
            rows = rows.select(name for name in rows.columns if name not in ("row", "reason")).with_row_index("row")
            work.in_flight.wait_for(changesets.touched(rows))
            work.in_flight.hold(page.number, changesets.touched(rows))
            change_set = plan(work, lease, Compared(page, rows if rows.height else None), began=began)
            if change_set is None:
                work.in_flight.release(page.number)
            else:
                yield PlannedSet(change_set, rows)
            if work.turn_is_over():
                return


def verify(sets: QuerySet[ChangeSet], approval: PlanApproval) -> None:
    """Nothing is written of a plan that is not, byte by byte, what was approved. Raises SettingsError."""
    for planned in sets.iterator(chunk_size=8):
        if changesets.digest_of(changesets.content_of(planned)) != planned.digest:
            altered = _("The changes of run {number} are not what was approved: some were altered in the hub since. Make a new plan.")
            raise SettingsError(altered, number=approval.plan_id)


def sets_of(work: Work, approval: PlanApproval) -> QuerySet[ChangeSet]:
    """The change sets that hold what was approved: those of the plan, or those that the open rows of what was withheld name."""
    if approval.decision is None:
        return ChangeSet.objects.filter(run=approval.plan_id).order_by("pk")
    withheld = guards.withheld_of(work.sync, approval.decision.part)
    return ChangeSet.objects.filter(pk__in=withheld.values("change_set_id")).order_by("pk")


def still_withheld(work: Work, planned: ChangeSet, changes: pl.DataFrame, operation: str) -> pl.DataFrame:
    """The rows of the change set that are withheld: their open rows name them, and each of these is closed as its change is settled."""
    keys, still = changes["source_key"].to_list(), "closed_at IS NULL AND state = 'withheld'"
    named = {"sync": work.sync.pk, "side": work.run.source_side, "step": operation}
    found = bulk.fetch(OpenRow, ["change_set_id", "change_row"], key="key", values=keys, where=still, **named)
    return changes.filter(changes["row"].is_in([row for pk, row in found if pk == planned.pk]))


def written_before(work: Work) -> pl.Series:
    """The source keys of what earlier runs, which were to apply the same, had settled before they failed or were cancelled. Not of what they had on its
    way and what never arrived."""
    import polars as pl

    earlier = ChangeSet.objects.filter(run__applies=work.run.applies_id, run__lt=work.run.pk, settled__gt=0).order_by("pk")
    parts = [pl.Series([], dtype=pl.String)]
    for each in earlier.iterator(chunk_size=8):
        told = changesets.outcomes_of(each)
        rows = changesets.frame_of(each, columns=["row", "source_key"]).filter(pl.col("row") < each.settled)
        parts.append(rows.filter(~rows["row"].is_in(told.filter(told["result"] == "not_sent")["row"].implode()))["source_key"])
    return pl.concat(parts)


def page_of(number: int, planned: ChangeSet, rows: pl.DataFrame, left: list[Left], *, last: bool) -> MappedPage:
    """The approved rows of an earlier run's change set as a page of this run."""
    missing = int(rows["operation"].is_in(changesets.END_LINKS).sum())
    return MappedPage(
        number=number,
        position=planned.pk,
        last=last,
        source=rows["source"].struct.unnest(),
        target=rows["after"].struct.unnest(),
        send=rows["send"].struct.unnest().to_numpy(),
        keys=rows["source_key"].to_list(),
        match={},
        counts=Counts(read=rows.height - missing, produced=rows.height - missing, missing=missing, moved=len(left)),
        left=left,
    )


def moved_in_source(work: Work, source: Connector, rows: pl.DataFrame) -> dict[str, Left]:
    """Source key → what to leave, of the records that the source no longer has as they were when this was planned."""
    if not rows.height:
        return {}
    then = rows["source"].struct.unnest()
    matter = {*work.mapping.sources, *(work.filter.fields if work.filter else ())}
    names = [name for name in then.columns if name in matter and work.source.field(name) is not None]
    found = look_up(work, source, work.source, KEY, rows["source_key"].to_list(), names)
    keys = canonical_key(found, work.source.key)
    now = dict(zip(keys, field_hashes(mends.mended(work, Page(found, position=None), keys).frame, names), strict=True))
    left = {}
    for place, (key, was) in enumerate(zip(rows["source_key"], field_hashes(then, names), strict=True)):
        named = {"entity": work.source.label or work.source.name, "key": key, "system": work.run.source.system.name}
        if key not in now:
            reason = Text(_("{system} no longer has {entity} {key}, from which this was planned."), named)
        elif (now[key] != was).any():
            reason = Text(_("{entity} {key} was changed in {system} after this was planned. The next run compares it again."), named)
        else:
            continue
        left[key] = Left(key, OpenState.MOVED, reason, rows["source"][place], again=True, step="write", source_print=rows["print"][place])
    return left
