"""Writing: a change set portion by portion, each marked as sending before it is sent; and finding out what became of what nobody can tell.

Settling what is not known: with an idempotency key or an upsert it is sent again under the same key. An update is looked up: as after, it was
written; as before, it is sent again; neither, it has moved. A create is looked up by its match key: found once, it was written; not found, it is sent
again; found twice, it is a reject. Where nothing can be looked up, it stays unknown until a person settles it.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from connectors.base import KEY, AllWritten, Changes, Connector, ConnectorError, Outcome, Result, SettingsError, SystemDown, Text, _
from integration_hub.core.keys import canonical_key
from integration_hub.core.leases import Lease
from integration_hub.syncs import agreed, changesets, claims, guards
from integration_hub.syncs.matching import Match, find_matches, look_up
from integration_hub.syncs.missing import second_look
from integration_hub.syncs.models import ChangeSet, Link
from integration_hub.syncs.prints import field_hashes
from integration_hub.syncs.states import ChangeSetState
from integration_hub.syncs.work import NotYet, Work

if TYPE_CHECKING:
    import polars as pl

PORTION_SECONDS = 5.0
PORTION_ROWS = 20_000  # a whole page, if the target takes it in that time: between two portions the requests in flight run dry
TRIES = 3
PATIENCE_SECONDS = 60.0  # how long a portion waits for its last rows when others behind them are written already
FRESH_SECONDS = 60.0  # what was compared longer ago is looked at again before it is written


@dataclass
class PlannedSet:
    """A change set with its frame."""

    row: ChangeSet
    changes: pl.DataFrame


@dataclass
class Portion:
    """Rows first…last of a change set with what became of them: written, unchanged, refused, moved or unknown."""

    change_set: ChangeSet
    changes: pl.DataFrame  # these rows only
    first: int
    last: int
    outcomes: dict[int, Outcome] = field(default_factory=dict)  # by row; a row without one was found as it should be
    moved: set[int] = field(default_factory=set)
    whole: AllWritten | None = None  # instead of `outcomes`, where every row was written at the first try
    withheld: set[int] = field(default_factory=set)

    @property
    def is_last(self) -> bool:
        return self.last + 1 == self.change_set.rows


@dataclass
class Sending:
    """What sending a portion came to. `unsent` rows certainly did not arrive, of `untold` ones nobody can tell for now; `stop` is why."""

    outcomes: dict[int, Outcome] = field(default_factory=dict)
    whole: AllWritten | None = None  # instead of `outcomes`, where every row was written at the first try
    unsent: set[int] = field(default_factory=set)
    untold: set[int] = field(default_factory=set)
    stop: ConnectorError | None = None

    @property
    def open(self) -> set[int]:
        return self.unsent | self.untold

    def each(self) -> dict[int, Outcome]:
        """Row → what became of it."""
        return {outcome.row: outcome for outcome in self.whole} if self.whole is not None else self.outcomes


def sent(work: Work, lease: Lease, sets: Generator[PlannedSet]) -> Generator[Portion]:
    """Write change sets one after the other. Stops between two portions when the turn is over.

    However it ends, the steps before it end with it: one of them may be waiting for what will now never be recorded.
    """
    size = Size(work)
    with closing(sets), work.open("target") as target:
        try:
            for planned in sets:
                if work.run.target.system.read_only and not planned.changes["operation"].is_in(changesets.WRITE_NOTHING).all():
                    raise SettingsError(
                        _("{system} is read-only here, so nothing was written. Allow writing on its page, or stop this sync."), system=work.system
                    )
                yield from sent_set(work, lease, target, planned, size)
                if planned.row.sending_to < planned.row.rows:
                    return
        finally:
            work.in_flight.abort()


def sent_set(work: Work, lease: Lease, target: Connector, planned: PlannedSet, size: Size) -> Iterator[Portion]:
    """A change set portion by portion; first what was on its way when its worker went. Ends before its last row where the turn is over."""
    change_set = planned.row
    first = change_set.settled
    if change_set.state == ChangeSetState.SENDING and change_set.sending_to > change_set.settled:
        last = change_set.sending_to - 1
        rows = planned.changes.slice(first, last - first + 1)
        withheld, moved = guards.withheld_rows(work.run, change_set, rows, sent_at=change_set.sent_at), set(change_set.moved_rows)
        done = read_back(work, target, rows, settled_again(work, target, change_set, without(rows, withheld | moved)))
        yield from portions_of(work, lease, planned, first, last, done, moved, withheld)
        first = last + 1
    while first < change_set.rows and not work.turn_is_over():
        last = min(first + size.rows, change_set.rows) - 1
        rows = planned.changes.slice(first, last - first + 1)
        withheld = guards.withheld_rows(work.run, change_set, rows)
        rows = without(rows, withheld)
        claimed = claims.claim(work, lease, change_set, rows)
        rows, moved = rows_to_write(work, target, change_set, without(rows, claimed))
        moved |= claimed
        mark_sending(lease, change_set, last + 1, moved)
        started = time.monotonic()
        done = read_back(work, target, rows, write(work, target, change_set, rows))
        size.took(last - first + 1, time.monotonic() - started)
        yield from portions_of(work, lease, planned, first, last, done, moved, withheld)
        first = last + 1


def portions_of(
    work: Work, lease: Lease, planned: PlannedSet, first: int, last: int, done: Sending, moved: Iterable[int] = (), withheld: Iterable[int] = ()
) -> Iterator[Portion]:
    """The portion first…last to be settled: whole, or up to the first row that is still open; then raises what made it stop.

    What certainly did not arrive is as planned again. What was sent behind an open row stays on its way: the next try goes by the answers that there
    were, and finds out the rest.
    """
    end = min(done.open, default=last + 1) - 1
    if end >= first:
        rows = planned.changes.slice(first, end - first + 1)
        left = [{row for row in some if row <= end} for some in (moved, withheld)]
        yield Portion(planned.row, rows, first, end, done.outcomes, left[0], done.whole, left[1])
    if end == last:
        return
    keep_answers(lease, planned.row, done, behind=end)
    if isinstance(done.stop, NotYet):
        mark_sending(lease, planned.row, last + 1, (row for row in moved if row > end))  # the time-out runs from the last request
    elif not done.untold and not overtaken(done):
        mark_sending(lease, planned.row, end + 1)
    refused = next((o.reason for row, o in sorted(done.outcomes.items()) if row > end and o.sent and o.again), None)
    if done.stop is not None and (refused is None or type(done.stop) is not SystemDown):
        raise done.stop
    raise SystemDown(
        _("{system} stopped taking records: {reason}"),
        retry_after=done.stop.retry_after if isinstance(done.stop, SystemDown) else None,
        system=work.system,
        reason=refused or done.outcomes[end + 1].reason,
    )


def read_back(work: Work, target: Connector, rows: pl.DataFrame, done: Sending) -> Sending:
    """Where a run mends drift: what was written as the target has it now, which both sides agree on from then on."""
    if not work.run.mends_drift:
        return done
    return Sending(agreed.read_back(work, target, rows, done.each()), None, done.unsent, done.untold, done.stop)


def without(rows: pl.DataFrame, some: set[int]) -> pl.DataFrame:
    return rows.filter(~rows["row"].is_in(sorted(some))) if some else rows


class Size:
    """How many rows a portion has, so that it takes at most five seconds: small at first, then by what the last ones took."""

    def __init__(self, work: Work) -> None:
        can = work.target.capabilities
        self.rows = min(PORTION_ROWS, max(can.bulk, 1) * max(can.in_flight, 1) * 8)

    def took(self, rows: int, seconds: float) -> None:
        possible = int(rows / max(seconds, 0.001) * PORTION_SECONDS * 0.6)
        self.rows = max(1, min(PORTION_ROWS, possible, self.rows * 4))


def mark_sending(lease: Lease, change_set: ChangeSet, to: int, moved: Iterable[int] = ()) -> None:
    """Say, before anything goes out, that the rows settled…`to` are on their way, but for those that have `moved`. A worker that dies now leaves a row
    that says what must be found out."""
    with transaction.atomic():
        change_set.state, change_set.sending_to, change_set.sent_at = ChangeSetState.SENDING, to, timezone.now()
        change_set.moved_rows = sorted(moved)
        ChangeSet.objects.filter(pk=change_set.pk).update(state=change_set.state, sending_to=to, sent_at=Now(), moved_rows=change_set.moved_rows)
        lease.fence()


def keep_answers(lease: Lease, change_set: ChangeSet, done: Sending, *, behind: int) -> None:
    """Put down which rows behind this one the target has taken. Asked for again, one that does not yet find them would be sent them twice."""
    taken = {row: outcome.key for row, outcome in done.each().items() if row > behind and outcome.result == Result.WRITTEN}
    if taken:
        change_set.answered = taken
        with transaction.atomic():
            ChangeSet.objects.filter(pk=change_set.pk).update(answered=taken)
            lease.fence()


def answers(change_set: ChangeSet, rows: pl.DataFrame) -> dict[int, Outcome]:
    """What is put down of these rows: row → that it was written."""
    taken = {int(row): key for row, key in change_set.answered.items()}  # JSON has no numbers for names
    return {row: Outcome(row, Result.WRITTEN, taken[row]) for row in rows["row"].to_list() if row in taken}


def write(work: Work, target: Connector, change_set: ChangeSet, rows: pl.DataFrame) -> Sending:
    """Send these rows and settle what is unknown; what may succeed on another try is tried again.

    A target that goes away, or asks to wait, leaves rows unsent: they are for a later try of the partition, which frees this worker. Only where
    rows behind them have been written is the wait here, for rows are settled in their order.
    """
    done = Sending()
    as_it_is = rows["operation"].is_in(changesets.WRITE_NOTHING)
    left = rows.filter(~as_it_is) if as_it_is.any() else rows
    give_up, attempt = time.monotonic() + PATIENCE_SECONDS, 0
    while left.height:
        attempt += 1
        pause = min(2.0, 0.125 * 2**attempt)
        try:
            again = send(work, target, change_set, left, done)
        except ConnectorError as error:
            done.stop = error
            if done.untold or not isinstance(error, SystemDown) or not overtaken(done):
                break
            pause, again = max(pause, error.retry_after or 0.0), []
        if attempt >= TRIES:
            again = []
        if (attempt >= TRIES and not overtaken(done)) or time.monotonic() + pause > give_up:
            break
        left = left.filter(left["row"].is_in(sorted({*again, *done.unsent})))
        if left.height:
            time.sleep(pause)
    return done


def send(work: Work, target: Connector, change_set: ChangeSet, rows: pl.DataFrame, done: Sending) -> list[int]:
    """One try. Puts down in `done` what became of the rows; returns those that were refused and may succeed on another try.

    Raises ConnectorError when none of these rows was sent, or when it cannot be found out what became of some.
    """
    try:
        outcomes = target.write(work.target, changes_of(work, change_set, rows))
    except ConnectorError:
        done.unsent.update(rows["row"].to_list())
        raise
    if isinstance(outcomes, AllWritten) and not done.outcomes and len(outcomes) == rows.height:
        done.whole = outcomes
        done.unsent.clear()
        return []
    done.outcomes.update({outcome.row: outcome for outcome in outcomes})
    done.unsent.update(rows["row"].to_list())
    done.unsent.difference_update(outcome.row for outcome in outcomes if outcome.sent)
    unknown = {outcome.row for outcome in outcomes if outcome.result == Result.UNKNOWN}
    if unknown:
        done.untold |= unknown
        if not work.target.capabilities.idempotency_key:
            raise arriving(work, work.run.target.system.time_out_seconds)
        found, resend = found_out(work, target, rows.filter(rows["row"].is_in(sorted(unknown))))
        done.untold -= unknown
        done.outcomes.update(found)
        done.unsent |= set(resend)
    return [outcome.row for outcome in outcomes if outcome.sent and outcome.result == Result.REFUSED and outcome.again]


def overtaken(done: Sending) -> bool:
    """Whether rows behind an unsent one have been sent."""
    return bool(done.unsent) and any(row > min(done.unsent) for row in done.outcomes if row not in done.unsent)


def changes_of(work: Work, change_set: ChangeSet, rows: pl.DataFrame) -> Changes:
    """The rows as a connector takes them. The idempotency key of a row is the same on every resend; it names the moment too, for after a backup
    was put back change sets get numbers that others had."""
    import polars as pl

    moment = format(int(change_set.planned_at.timestamp() * 1000), "x")
    about = rows.select(
        "row",
        pl.col("operation").replace("mark", "update"),
        pl.col("target_key").alias("key"),
        pl.format("hub-{}-{}-{}", pl.lit(change_set.pk), pl.lit(moment), "row").alias("idempotency_key"),
    )
    send = rows["send"].struct.unnest()
    partly = [name for name in send.columns if not send[name].all()]
    return Changes(about, rows["after"].struct.unnest(), send.select(partly) if partly else None)


def found_out(work: Work, target: Connector, rows: pl.DataFrame) -> tuple[dict[int, Outcome], list[int]]:
    """What became of rows of unknown outcome: (row → outcome, rows to send again)."""
    can = work.target.capabilities
    result: dict[int, Outcome] = {}
    again: list[int] = []
    for operation in ("create", "update", "mark", "delete"):
        some = rows.filter(rows["operation"] == operation)
        if not some.height:
            continue
        if can.idempotency_key or (operation == "create" and can.upsert) or (operation != "create" and not can.lookup_by_key):
            again += some["row"].to_list()
        elif operation == "delete":
            deletes_found_out(work, target, some, result, again)
        elif operation != "create":
            updates_found_out(work, target, some, result, again)
        else:
            creates_found_out(work, target, some, result, again)
    return result, again


def updates_found_out(work: Work, target: Connector, rows: pl.DataFrame, result: dict[int, Outcome], again: list[int]) -> None:
    fields = rows["send"].struct.fields  # of the mapping, and a mark's
    found = by_key(work, target, rows["target_key"].to_list(), fields)
    after = field_hashes(rows["after"].struct.unnest(), fields)
    before = field_hashes(rows["before"].struct.unnest(), fields)
    send = rows["send"].struct.unnest().select(fields).to_numpy()
    for place, (row, key, known) in enumerate(rows.select("row", "target_key", "before_known").iter_rows()):
        now = found.get(key)
        if now is None:
            result[row] = Outcome(row, Result.REFUSED, reason=gone(work, key))
        elif (now == after[place])[send[place]].all():
            result[row] = Outcome(row, Result.WRITTEN, key)
        elif not known or (now == before[place])[send[place]].all():
            again.append(row)
        else:
            result[row] = Outcome(row, Result.REFUSED, reason=moved_reason(work, key), again=True)


def deletes_found_out(work: Work, target: Connector, rows: pl.DataFrame, result: dict[int, Outcome], again: list[int]) -> None:
    """Gone: it was deleted. There as before: sent again. There and changed since: it has moved."""
    fields = rows["before"].struct.fields
    found = by_key(work, target, rows["target_key"].to_list(), fields)
    before = field_hashes(rows["before"].struct.unnest(), fields)
    for place, (row, key, known) in enumerate(rows.select("row", "target_key", "before_known").iter_rows()):
        now = found.get(key)
        if now is None:
            result[row] = Outcome(row, Result.WRITTEN, key)
        elif not known or (now == before[place]).all():
            again.append(row)
        else:
            result[row] = Outcome(row, Result.REFUSED, reason=moved_reason(work, key), again=True)


def creates_found_out(work: Work, target: Connector, rows: pl.DataFrame, result: dict[int, Outcome], again: list[int]) -> None:
    found = matches_now(work, target, rows)
    for row in rows["row"]:
        matches = found.get(row)
        if matches is None:
            reason = Text(_("No one can tell whether {system} took this record: the connection ended before the answer."), {"system": work.system})
            result[row] = Outcome(row, Result.UNKNOWN, reason=reason)
        elif len(matches) > 1:
            reason = Text(
                _("{system} has {count} records with the match key {value}. Merge them there, then replay."),
                {"system": work.system, "count": len(matches), "value": matches[0].value},
            )
            result[row] = Outcome(row, Result.REFUSED, reason=reason)
        elif matches:
            result[row] = Outcome(row, Result.WRITTEN, matches[0].key)
        else:
            again.append(row)


def by_key(work: Work, target: Connector, keys: Sequence[str], fields: Sequence[str]) -> dict[str, Any]:
    """Target key → the prints of these fields as they are there now."""
    found = look_up(work, target, work.target, KEY, keys, fields)
    return dict(zip(canonical_key(found, work.target.key).to_list(), field_hashes(found, fields), strict=True))


def matches_now(work: Work, target: Connector, rows: pl.DataFrame) -> dict[int, list[Match]]:
    """Row → the target's records that have one of its match keys now; a row that cannot be asked for is not in it."""
    found = find_matches(work, target, rows["after"].struct.unnest(), changesets.match_of(rows), range(rows.height))
    return {rows["row"][place]: matches for place, matches in found.items()}


def rows_to_write(work: Work, target: Connector, change_set: ChangeSet, rows: pl.DataFrame) -> tuple[pl.DataFrame, set[int]]:
    """The rows less those that have moved since they were compared: where that was over a minute ago, or in an earlier turn and the target tells
    versions, it is looked at again, and for what would be created also where another pair, or another part of the run, has written to it.

    Where all was compared first, two pages may mean the same record, for neither was written when the other was compared: the first is written,
    the second has moved.
    """
    approved = work.run.applies_id is not None  # by somebody who saw what an earlier run had planned
    old = approved or (timezone.now() - change_set.planned_at).total_seconds() >= FRESH_SECONDS
    old = old or (target.keeps_versions and change_set.planned_at < work.began)  # these are known for as long as a turn
    compared_first = approved or bool(work.run.settings.get("compare_first"))
    moved: set[int] = set()
    if compared_first:
        moved = relinked(work, rows)
    elif work.run.parts > 1 and not work.run.first_load:  # another part may have linked what was found by a match key
        moved = relinked(work, rows.filter(rows["found_by"].is_not_null()))
    planned = set(rows["operation"].unique())
    gone = rows.filter(rows["operation"].is_in(changesets.END_LINKS)) if planned.intersection(changesets.END_LINKS) else rows.clear()
    if gone.height:
        moved |= relinked(work, gone)
    if gone.height and old and not work.run.is_undo:
        moved |= came_back(work, gone)
    if old:
        result: dict[int, Outcome] = {}
        for look, operations in ((updates_found_out, ("update", "mark")), (deletes_found_out, ("delete",))):
            some = rows.filter(rows["operation"].is_in(operations) & rows["before_known"])
            if some.height:
                look(work, target, some, result, [])
        moved |= {row for row, outcome in result.items() if outcome.result == Result.REFUSED}
        moved |= otherwise_now(work, target, rows.filter(rows["operation"].is_in(changesets.WRITE_NOTHING)))
    if "create" in planned and (old or compared_first or claims.others_wrote(work, change_set)):
        creates = rows.filter(rows["operation"] == "create")
        moved |= {row for row, matches in matches_now(work, target, creates).items() if matches}
    return without(rows, moved), moved


def came_back(work: Work, rows: pl.DataFrame) -> set[int]:
    """Rows whose source record was gone and is there again."""
    with work.open("source") as source:
        there = second_look(work, source, dict(rows.select("source_key", "found_by").iter_rows()))
    return set(rows.filter(rows["source_key"].is_in(sorted(there)))["row"])


def otherwise_now(work: Work, target: Connector, rows: pl.DataFrame) -> set[int]:
    """Of rows for which only a link is made or ended, because the target was as it should be: those whose record there is another by now."""
    if not rows.height or not work.target.capabilities.lookup_by_key:
        return set()
    fields = rows["before"].struct.fields
    found = by_key(work, target, rows["target_key"].to_list(), fields)
    moved = set()
    told = rows.select("row", "operation", "target_key", "before_known").iter_rows()
    for was, (row, operation, key, known) in zip(field_hashes(rows["before"].struct.unnest(), fields), told, strict=True):
        now = found.get(key)
        if (operation == "adopt") if now is None else (not known or (now != was).any()):  # not known: it was not there
            moved.add(row)
    return moved


def relinked(work: Work, rows: pl.DataFrame) -> set[int]:
    """Rows whose source record's link is no longer the one they were compared with, or whose target record has got a link since."""
    links = Link.objects.by_key(work.source_key, "id", "change_set_id", "change_row", pair=work.run.pair_id, keys=rows["source_key"])
    targets = rows["target_key"].drop_nulls()
    taken = dict(zip(*Link.objects.columns(work.target_key, work.source_key, pair=work.run.pair_id, keys=targets), strict=True))
    compared_with = rows.select("row", "source_key", "target_key", "link_id", "link_change_set", "link_change_row").iter_rows()
    return {
        row
        for row, source_key, target_key, *link in compared_with
        if tuple(link) != links.get(source_key, (None, None, None)) or taken.get(target_key, source_key) != source_key
    }


def settled_again(work: Work, target: Connector, change_set: ChangeSet, rows: pl.DataFrame) -> Sending:
    """What was on its way when its worker went: found out, and sent again where it did not arrive."""
    import polars as pl

    wait_for_arrival(work, change_set)
    known = answers(change_set, rows)
    found, resend = found_out(work, target, without(rows, set(known)).filter(~pl.col("operation").is_in(changesets.WRITE_NOTHING)))
    done = write(work, target, change_set, rows.filter(rows["row"].is_in(resend)))
    return Sending({**done.each(), **found, **known}, None, done.unsent, done.untold, done.stop)


def wait_for_arrival(work: Work, change_set: ChangeSet) -> None:
    """A request that was cut, or a lost worker had sent, may still be on its way in the target: nobody may look before the system's time-out has passed."""
    age = (timezone.now() - change_set.sent_at).total_seconds() if change_set.sent_at else 0.0
    wait = work.run.target.system.time_out_seconds - age
    if wait > 0 and not work.target.capabilities.idempotency_key:
        raise arriving(work, wait)


def arriving(work: Work, seconds: float) -> NotYet:
    return NotYet(
        _("Waits until {system} can no longer be busy with what was sent before the connection was lost."), retry_after=seconds, system=work.system
    )


def gone(work: Work, key: str) -> Text:
    return Text(
        _("{system} no longer has {entity} {key}. Replay it to create it again, or dismiss it."),
        {"system": work.system, "entity": work.target.label or work.target.name, "key": key},
    )


def moved_reason(work: Work, key: str | None) -> Text:
    if key is None:
        return Text(
            _("{system} has got {entity} with the same match key after it was compared. The next run compares it again."),
            {"system": work.system, "entity": work.target.label or work.target.name},
        )
    return Text(
        _("{entity} {key} was changed in {system} after it was compared. The next run compares it again."),
        {"system": work.system, "entity": work.target.label or work.target.name, "key": key or ""},
    )
