"""Recording: one fenced transaction settles a portion. Outcomes, links and prints, open rows, counters and position stand together or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from connectors.base import AllWritten, Outcome, Result, Text, _
from integration_hub.core import bulk, texts
from integration_hub.core.leases import Lease
from integration_hub.syncs import agreed, changesets, claims, guards, openrows, refused, waiting
from integration_hub.syncs.models import ChangeSet, Link, OutcomeFile, RecordDrift, Run
from integration_hub.syncs.prints import VERSION
from integration_hub.syncs.roster import read_nothing
from integration_hub.syncs.states import ChangeSetState, OpenState
from integration_hub.syncs.work import Left, Work
from integration_hub.syncs.write import Portion, moved_reason

if TYPE_CHECKING:
    import polars as pl

SETTLED_COLUMNS = ("row", "operation", "source_key", "target_key", "link_id", "found_by", "print")


@dataclass
class Settled:
    """A portion's rows by what became of them."""

    created: list[tuple[int, str, str, bytes, str]] = field(default_factory=list)  # row, source key, target key, print, counted as: makes a link
    whole: pl.DataFrame | None = None  # instead of `created`, where every row makes a link: these columns but the last
    ended: list[int] = field(default_factory=list)  # links whose record is gone and was created anew
    gone: list[tuple[int, int]] = field(default_factory=list)  # row, link that it ends
    updated: list[tuple[int, int, bytes]] = field(default_factory=list)  # row, link, print
    left: list[Left] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)  # source keys of what went through, but for `whole`
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("created", "updated", "deleted", "unchanged", "withheld", "refused", "moved", "unknown"), 0)
    )


def record(work: Work, lease: Lease, portion: Portion) -> None:
    """Settle a portion. A link that uniqueness refuses becomes a reject, never a failed portion."""
    settled = settle_whole(portion) or settle(work, portion)
    try:
        commit(work, lease, portion, settled)
    except IntegrityError:
        settled = settle(work, portion)
        reject_taken(work, portion, settled)
        commit(work, lease, portion, settled)
    if portion.is_last:
        work.in_flight.release(portion.change_set.page)


def settle_whole(portion: Portion) -> Settled | None:
    """The same as `settle` for a portion of creates that all went through, as columns; None where it is not one."""
    changes, whole = portion.changes, portion.whole
    if whole is None or whole.keys is None or portion.moved or changes["link_id"].null_count() < changes.height:
        return None
    if changes["operation"].n_unique() > 1 or changes["operation"][0] != "create" or not whole.rows.equals(changes["row"]):
        return None
    if whole.keys.has_nulls() or not whole.keys.str.len_bytes().min():
        return None
    settled = Settled(whole=changes.select("row", "source_key", "print").with_columns(whole.keys.alias("target_key")))
    settled.counts["created"] = changes.height
    return settled


def settle(work: Work, portion: Portion) -> Settled:
    """What became of each row, in memory."""
    result, outcomes = Settled(), portion.outcomes
    if portion.whole is not None:
        outcomes = {outcome.row: outcome for outcome in portion.whole}
    columns = [portion.changes[name].to_list() for name in SETTLED_COLUMNS]
    nothing = bool(portion.withheld) and read_nothing(work.run)
    for place, (row, operation, source_key, target_key, link_id, found_by, print_) in enumerate(zip(*columns, strict=True)):
        outcome = outcomes.get(row)
        if row in portion.withheld:
            result.counts["withheld"] += 1
            result.left.append(_left(portion, place, OpenState.WITHHELD, guards.reason_of(operation, nothing=nothing)))
        elif row in portion.moved:
            result.counts["moved"] += 1
            result.left.append(_left(portion, place, OpenState.MOVED, moved_reason(work, target_key), again=True))
        elif outcome is None or outcome.result == Result.WRITTEN:
            key = (outcome.key if outcome else None) or target_key
            counted = "unchanged" if outcome is None else _COUNTED[operation]
            result.counts[counted] += 1
            result.keys.append(source_key)
            is_new = link_id is None or operation == "create" or (found_by is not None and operation not in changesets.END_LINKS)
            if link_id is not None and is_new:  # its record is gone: another one takes its place, made now or found by a match key
                result.ended.append(link_id)
            if operation in changesets.END_LINKS:
                result.gone.append((row, link_id))
            elif is_new:
                result.created.append((row, source_key, key or "", print_, counted))
            else:
                result.updated.append((row, link_id, print_))
        else:
            state = OpenState.UNKNOWN if outcome.result == Result.UNKNOWN else OpenState.REFUSED
            result.counts[state.value] += 1
            reason = outcome.reason or Text(_("{system} refused it without a reason."), {"system": work.system})
            result.left.append(_left(portion, place, state, reason, again=outcome.again))
    without = [row for row, __, key, *___ in result.created if not key]
    if without:
        _unlinkable(work, portion, result, set(without))
    return result


_COUNTED = {"create": "created", "update": "updated", "delete": "deleted", "mark": "deleted"}


def _unlinkable(work: Work, portion: Portion, result: Settled, rows: set[int]) -> None:
    """Created, but the answer did not say under which key: it cannot be linked, so a person must look."""
    gone = [one for one in result.created if one[0] in rows]
    result.created = [one for one in result.created if one[0] not in rows]
    for row, source_key, *__ in gone:
        place = _place(portion, row)
        result.keys.remove(source_key)
        result.counts["created"] -= 1
        result.counts["unknown"] += 1
        reason = Text(
            _("{system} created it but did not say under which key. Say in its settings where the answer holds the key."), {"system": work.system}
        )
        result.left.append(_left(portion, place, OpenState.UNKNOWN, reason))


def commit(work: Work, lease: Lease, portion: Portion, settled: Settled) -> None:
    change_set, now = portion.change_set, timezone.now()
    outcomes = outcome_frame(portion)
    place = changesets.placed(changesets.written(outcomes), work.run.pk) if outcomes is not None else {}
    with transaction.atomic():
        _write_links(work, portion, settled)
        if outcomes is not None:
            OutcomeFile.objects.create(change_set=change_set, first=portion.first, last=portion.last, **place)
        openrows.leave(work.sync, work.run, work.run.source_side, settled.left, change_set_id=change_set.pk)
        if not work.run.first_load:
            claims.release(change_set, to=portion.last)
        if work.open_keys_exist():
            keys = settled.keys if settled.whole is None else settled.whole["source_key"].to_list()
            openrows.close(work.sync, work.run.source_side, keys, at=now, written_by=change_set.pk)
        counts = {name: F(name) + count for name, count in settled.counts.items() if count}
        done = {"state": ChangeSetState.SETTLED, "settled_at": now, "answered": {}} if portion.is_last else {}
        ChangeSet.objects.filter(pk=change_set.pk).update(settled=portion.last + 1, **counts, **done)
        _count_mended(work.run, portion, settled)
        lease.fence(failures=0, **{f"{name}_count": F(f"{name}_count") + count for name, count in settled.counts.items() if count})
    change_set.settled = portion.last + 1


def record_leftover(work: Work, lease: Lease, portion: Portion, not_there: set[int]) -> None:
    """Link what an ended run had written after all, leave what nobody can tell, and call the rest settled: it will be read again."""
    change_set = portion.change_set
    told = set(portion.outcomes) - not_there
    outcomes = outcome_frame(portion, not_sent=set(range(portion.first, portion.last + 1)) - told)
    place = changesets.placed(changesets.written(outcomes), work.run.pk) if outcomes is not None else {}
    portion.changes = portion.changes.filter(portion.changes["row"].is_in(sorted(told)))
    settled = settle(work, portion)

    def commit_leftover() -> None:
        with transaction.atomic():
            sending = ChangeSet.objects.filter(pk=change_set.pk, state=ChangeSetState.SENDING)
            if not sending.update(settled=portion.last + 1, state=ChangeSetState.SETTLED, settled_at=timezone.now(), answered={}):
                return  # another run of the pair was first: one may write while another plans an undo
            _write_links(work, portion, settled)
            if outcomes is not None:
                OutcomeFile.objects.create(change_set=change_set, first=portion.first, last=portion.last, **place)
            openrows.leave(work.sync, work.run, work.run.source_side, settled.left, change_set_id=change_set.pk)
            claims.release(change_set, to=portion.last)
            _count_mended(change_set.run, portion, settled)
            lease.fence()

    try:
        commit_leftover()
    except IntegrityError:
        reject_taken(work, portion, settled)
        commit_leftover()


def _write_links(work: Work, portion: Portion, settled: Settled) -> None:
    import polars as pl

    now, change_set = timezone.now(), portion.change_set
    made_of = agreed.made_of(work, portion.changes, portion.outcomes) if portion.whole is None else {}
    if settled.ended:
        Link.objects.filter(pk__in=settled.ended).update(ended_at=now)
    made = settled.whole
    if made is None and settled.created:
        columns = {"row": pl.UInt32, "source_key": pl.String, "target_key": pl.String, "print": pl.Binary}
        made = pl.DataFrame([row[:4] for row in settled.created], schema=columns, orient="row")
    if made is not None:
        links = made.select(
            pl.col("source_key").alias(work.source_key),
            pl.col("target_key").alias(work.target_key),
            pl.col("print").alias("sent_print"),
            pl.col("row").alias("change_row"),
            pair=pl.lit(work.run.pair_id),
            part=pl.lit(""),
            a_many=pl.lit(value=False),
            b_many=pl.lit(value=False),
            print_version=pl.lit(VERSION),
            change_set_id=pl.lit(change_set.pk),
            made_at=pl.lit(now),
        )
        if made_of:
            own = [agreed.prints_of(work, made_of[row]) if row in made_of else None for row in links["change_row"]]
            links = links.with_columns(pl.Series(agreed.column_of(work.run), own, dtype=pl.Binary))
        bulk.insert(Link, links)
        waiting.release(work.run.pair_id, links["a_key"], links["b_key"], at=now)
    changed = [(print_, VERSION, change_set.pk, row, link_id) for row, link_id, print_ in settled.updated]
    if settled.gone:
        bulk.update(Link, ("change_set_id", "change_row"), [(change_set.pk, row, link_id) for row, link_id in settled.gone])
        Link.objects.filter(pk__in=[link_id for __, link_id in settled.gone]).update(ended_at=now)
    if changed:
        bulk.update(Link, ("sent_print", "print_version", "change_set_id", "change_row"), changed)
        agreed.put_down(work, portion.changes, settled.updated, made_of)


def _count_mended(run: Run, portion: Portion, settled: Settled) -> None:
    """Of a run that applies a reconcile run's plan: how much of the drift it found is no more."""
    if not run.mends_drift or run.applies is None:
        return
    done = {row[0] for row in (*settled.created, *settled.gone)} | {row for row, *__ in settled.updated}
    rows = portion.changes if settled.whole is not None else portion.changes.filter(portion.changes["row"].is_in(sorted(done)))
    drift = changesets.drift_in(rows).drop("due").sum_horizontal().sum()
    if drift:
        RecordDrift.objects.filter(run=run.applies.plan_id).update(mended=F("mended") + drift)


def outcome_frame(portion: Portion, *, not_sent: Iterable[int] = ()) -> pl.DataFrame | None:
    """What the plan could not know: keys given by the target, values read back, refusals, and which rows were never sent. None where all went as
    planned."""
    import polars as pl

    if portion.whole is not None and not portion.moved and not portion.withheld:
        return _frame_of_keys(portion.whole)
    outcomes = portion.whole if portion.whole is not None else portion.outcomes.values()
    told = [o for o in outcomes if portion.first <= o.row <= portion.last and (o.key or o.record or o.result != Result.WRITTEN)]
    each = ((portion.moved, "moved"), (portion.withheld, "withheld"), (not_sent, "not_sent"))
    never = {row: result for rows, result in each for row in sorted(rows)}
    if not told and not never:
        return None
    nothing: list[str | None] = [None] * len(never)
    return pl.DataFrame(
        {
            "row": pl.Series([o.row for o in told] + list(never), dtype=pl.UInt32),
            "result": pl.Series([str(o.result) for o in told] + list(never.values()), dtype=pl.String),
            "target_key": pl.Series([o.key for o in told] + nothing, dtype=pl.String),
            "record": pl.Series([_record_text(o) for o in told] + nothing, dtype=pl.String),
            "reason": pl.Series([_reason_text(o) for o in told] + nothing, dtype=pl.String),
        }
    )


def _frame_of_keys(whole: AllWritten) -> pl.DataFrame | None:
    import polars as pl

    if whole.keys is None:
        return None
    none = pl.lit(None, pl.String)
    return pl.DataFrame({"row": whole.rows.cast(pl.UInt32)}).select(
        "row", result=pl.lit(str(Result.WRITTEN)), target_key=whole.keys, record=none, reason=none
    )


def _record_text(outcome: Outcome) -> str | None:
    return json.dumps(dict(outcome.record), default=str, ensure_ascii=False) if outcome.record else None


def _reason_text(outcome: Outcome) -> str | None:
    return json.dumps(texts.stored(outcome.reason), ensure_ascii=False) if outcome.reason else None


def reject_taken(work: Work, portion: Portion, settled: Settled) -> None:
    """Find the links that uniqueness refuses and make rejects of them."""
    sources, targets = [row[1] for row in settled.created], [row[2] for row in settled.created]
    taken = dict(zip(*Link.objects.columns(work.target_key, work.source_key, pair=work.run.pair_id, keys=targets), strict=True))
    linked = set(Link.objects.columns(work.source_key, pair=work.run.pair_id, keys=sources)[0])
    kept, seen = [], set()
    for row, source, target, print_, counted in settled.created:
        if target in taken or target in seen or (source in linked and not settled.ended):
            settled.counts[counted] -= 1
            settled.counts["refused"] += 1
            settled.keys.remove(source)
            place = _place(portion, row)
            reason = Text(
                _("{system} answered with record {key}, which already belongs to record {other} of the source."),
                {"system": work.system, "key": target, "other": taken.get(target, "")},
            )
            settled.left.append(_left(portion, place, OpenState.REFUSED, reason))
        else:
            kept.append((row, source, target, print_, counted))
        seen.add(target)
    settled.created = kept


def _place(portion: Portion, row: int) -> int:
    """Where the row stands in the portion's frame, which may lack some of those before it."""
    return int(portion.changes["row"].search_sorted(row))


def _left(portion: Portion, place: int, state: OpenState, reason: Text, *, again: bool = False) -> Left:
    changes = portion.changes
    operation, print_ = changes["operation"][place], changes["source_print"][place] or changes["print"][place]
    return Left(
        changes["source_key"][place],
        state.value,
        reason,
        changes["source"][place],
        again=again,
        step="delete" if operation in changesets.END_LINKS else operation if state == OpenState.WITHHELD else "write",
        source_print=refused.print_of(operation, print_ or b"") if state == OpenState.WITHHELD else print_,
        change_row=changes["row"][place],
    )
