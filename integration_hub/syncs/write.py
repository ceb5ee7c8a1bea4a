"""Writing: a change set portion by portion, each marked as sending before it is sent; and finding out what became of what nobody can tell.

Settling what is not known: with an idempotency key or an upsert it is sent again under the same key. An update is looked up: as after, it was
written; as before, it is sent again; neither, it has moved. A create is looked up by its match key: found once, it was written; not found, it is sent
again; found twice, it is a reject. Where nothing can be looked up, it stays unknown until a person settles it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from connectors.base import KEY, Changes, Connector, Outcome, Result, SettingsError, SystemBusy, SystemDown, Text, _
from integration_hub.core.keys import canonical_key
from integration_hub.core.leases import Lease
from integration_hub.syncs.compare import lookup_field
from integration_hub.syncs.models import ChangeSet
from integration_hub.syncs.prints import field_hashes
from integration_hub.syncs.states import ChangeSetState
from integration_hub.syncs.work import Work

if TYPE_CHECKING:
    import polars as pl

PORTION_SECONDS = 5.0
PORTION_ROWS = 2000
TRIES = 3
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

    @property
    def is_last(self) -> bool:
        return self.last + 1 == self.change_set.rows


def sent(work: Work, lease: Lease, sets: Iterable[PlannedSet]) -> Iterator[Portion]:
    """Write change sets one after the other. Stops between two portions when the turn is over."""
    size = Size(work)
    with work.open("target") as target:
        for planned in sets:
            change_set, changes = planned.row, planned.changes
            if work.run.target.system.read_only and (changes["operation"] != "adopt").any():
                raise SettingsError(
                    _("{system} is read-only here, so nothing was written. Allow writing on its page, or stop this sync."), system=work.system
                )
            if change_set.state == ChangeSetState.SENDING and change_set.sending_to > change_set.settled:
                yield settled_again(work, target, planned)
                first = change_set.sending_to
            else:
                first = change_set.settled
            while first < change_set.rows:
                if work.turn_is_over():
                    return
                last = min(first + size.rows, change_set.rows) - 1
                rows = changes.slice(first, last - first + 1)
                rows, moved = rows_to_write(work, target, change_set, rows)
                mark_sending(lease, change_set, first, last)
                started = time.monotonic()
                try:
                    outcomes = write(work, target, change_set, rows, since=started)
                except (SystemDown, SettingsError):  # nothing was sent
                    ChangeSet.objects.filter(pk=change_set.pk).update(sending_to=first)
                    raise
                size.took(last - first + 1, time.monotonic() - started)
                done = answered_up_to(outcomes, first, last)
                if done < last:
                    change_set.sending_to = done + 1
                    if done >= first:
                        yield Portion(change_set, changes.slice(first, done - first + 1), first, done, outcomes, moved)
                    ChangeSet.objects.filter(pk=change_set.pk).update(sending_to=done + 1)
                    raise SystemDown(_("{system} stopped taking records: {reason}"), system=work.system, reason=outcomes[done + 1].reason)
                yield Portion(change_set, changes.slice(first, last - first + 1), first, last, outcomes, moved)
                first = last + 1


def answered_up_to(outcomes: dict[int, Outcome], first: int, last: int) -> int:
    """The last row before a tail of rows that were all turned away for now; `last` where there is no such tail. A target that went away, or is
    busy, turns everything away from some row on: these rows wait for it and are no rejects."""
    tail = last
    while tail >= first and (outcome := outcomes.get(tail)) is not None and outcome.result == Result.REFUSED and outcome.again:
        tail -= 1
    return tail


class Size:
    """How many rows a portion has, so that it takes at most five seconds: small at first, then by what the last ones took."""

    def __init__(self, work: Work) -> None:
        can = work.target.capabilities
        self.rows = min(PORTION_ROWS, max(can.bulk, 1) * max(can.in_flight, 1) * 8)

    def took(self, rows: int, seconds: float) -> None:
        possible = int(rows / max(seconds, 0.001) * PORTION_SECONDS * 0.6)
        self.rows = max(1, min(PORTION_ROWS, possible, self.rows * 4))


def mark_sending(lease: Lease, change_set: ChangeSet, first: int, last: int) -> None:
    """Say, before anything goes out, that these rows are on their way. A worker that dies now leaves a row that says what must be found out."""
    with transaction.atomic():
        change_set.state, change_set.sending_to, change_set.sent_at = ChangeSetState.SENDING, last + 1, timezone.now()
        ChangeSet.objects.filter(pk=change_set.pk).update(state=change_set.state, sending_to=last + 1, sent_at=Now())
        lease.fence()


def write(work: Work, target: Connector, change_set: ChangeSet, rows: pl.DataFrame, *, since: float) -> dict[int, Outcome]:
    """Send these rows and settle what is unknown; what may succeed on another try is tried again. Row → outcome."""
    result: dict[int, Outcome] = {}
    left = rows.filter(rows["operation"] != "adopt")
    for attempt in range(TRIES):
        if not left.height:
            break
        try:
            outcomes = target.write(work.target, changes_of(work, change_set, left))
        except SystemDown:
            if not result:
                raise
            break  # nothing of this try was sent; what the tries before it said stands
        result.update({outcome.row: outcome for outcome in outcomes})
        unknown = [outcome.row for outcome in outcomes if outcome.result == Result.UNKNOWN]
        again: list[int] = [outcome.row for outcome in outcomes if outcome.result == Result.REFUSED and outcome.again]
        if unknown:
            wait_out(work, target, since)
            found, resend = found_out(work, target, left.filter(left["row"].is_in(unknown)))
            result.update(found)
            again += resend
        left = left.filter(left["row"].is_in(again))
        if left.height and attempt + 1 < TRIES:
            time.sleep(min(2.0, 0.25 * 2**attempt))
    return result


def changes_of(work: Work, change_set: ChangeSet, rows: pl.DataFrame) -> Changes:
    """The rows as a connector takes them. The idempotency key of a row is the same on every resend."""
    import polars as pl

    about = rows.select(
        "row",
        "operation",
        pl.col("target_key").alias("key"),
        pl.format("hub-{}-{}", pl.lit(change_set.pk), "row").alias("idempotency_key"),
    )
    send = rows["send"].struct.unnest()
    partly = [name for name in send.columns if not send[name].all()]
    return Changes(about, rows["after"].struct.unnest(), send.select(partly) if partly else None)


def wait_out(work: Work, target: Connector, since: float) -> None:
    """A request that was cut may still be on its way in the target: nobody may look before the system's time-out has passed."""
    if work.target.capabilities.idempotency_key:
        return
    time.sleep(max(0.0, since + work.run.target.system.time_out_seconds - time.monotonic()))


def found_out(work: Work, target: Connector, rows: pl.DataFrame) -> tuple[dict[int, Outcome], list[int]]:
    """What became of rows of unknown outcome: (row → outcome, rows to send again)."""
    can = work.target.capabilities
    result: dict[int, Outcome] = {}
    again: list[int] = []
    for operation in ("create", "update"):
        some = rows.filter(rows["operation"] == operation)
        if not some.height:
            continue
        if can.idempotency_key or (operation == "create" and can.upsert) or (operation == "update" and not can.lookup_by_key):
            again += some["row"].to_list()
        elif operation == "update":
            updates_found_out(work, target, some, result, again)
        else:
            creates_found_out(work, target, some, result, again)
    return result, again


def updates_found_out(work: Work, target: Connector, rows: pl.DataFrame, result: dict[int, Outcome], again: list[int]) -> None:
    found = by_key(work, target, rows["target_key"].to_list())
    after = field_hashes(rows["after"].struct.unnest(), work.fields)
    before = field_hashes(rows["before"].struct.unnest(), work.fields)
    send = rows["send"].struct.unnest().select(work.fields).to_numpy()
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


def creates_found_out(work: Work, target: Connector, rows: pl.DataFrame, result: dict[int, Outcome], again: list[int]) -> None:
    found = by_match(work, target, rows)
    for row, fields, value in rows.select("row", "match_fields", "match_value").iter_rows():
        keys = found.get((fields, value))
        if keys is None:
            reason = Text(_("No one can tell whether {system} took this record: the connection ended before the answer."), {"system": work.system})
            result[row] = Outcome(row, Result.UNKNOWN, reason=reason)
        elif len(keys) > 1:
            reason = Text(
                _("{system} has {count} records with the match key {value}. Merge them there, then replay."),
                {"system": work.system, "count": len(keys), "value": value},
            )
            result[row] = Outcome(row, Result.REFUSED, reason=reason)
        elif keys:
            result[row] = Outcome(row, Result.WRITTEN, keys[0])
        else:
            again.append(row)


def by_key(work: Work, target: Connector, keys: Sequence[str]) -> dict[str, Any]:
    """Target key → the prints of the mapping's fields as they are there now."""
    names = [f.name for f in work.target.fields if f.name in {*work.fields, *work.target.key}]
    found = target.lookup(work.target, KEY, sorted(set(keys)), names)
    return dict(zip(canonical_key(found, work.target.key).to_list(), field_hashes(found, work.fields), strict=True))


def by_match(work: Work, target: Connector, rows: pl.DataFrame) -> dict[tuple[str | None, str | None], list[str]]:
    """(match fields, match value) → keys of the target's records that have it; not in the result where the target cannot be asked."""
    result: dict[tuple[str | None, str | None], list[str]] = {}
    for (names,), group in rows.filter(rows["match_value"].is_not_null()).group_by("match_fields"):
        fields = json.loads(names)
        by = lookup_field(work.target, fields)
        if by is None:
            continue
        asked = canonical_key(group["after"].struct.unnest(), fields if by == KEY else [by])
        found = target.lookup(work.target, by, sorted(set(asked)), sorted({*fields, *work.target.key}))
        for value in group["match_value"]:
            result[names, value] = []
        for value, key in zip(canonical_key(found, fields), canonical_key(found, work.target.key), strict=True):
            if (names, value) in result:
                result[names, value].append(key)
    return result


def rows_to_write(work: Work, target: Connector, change_set: ChangeSet, rows: pl.DataFrame) -> tuple[pl.DataFrame, set[int]]:
    """The rows less those that have moved since they were compared. Only asked for where that was over a minute ago."""
    if (timezone.now() - change_set.planned_at).total_seconds() < FRESH_SECONDS:
        return rows, set()
    moved: set[int] = set()
    updates = rows.filter((rows["operation"] == "update") & rows["before_known"])
    if updates.height:
        result: dict[int, Outcome] = {}
        updates_found_out(work, target, updates, result, [])
        moved |= {row for row, outcome in result.items() if outcome.result == Result.REFUSED}
    creates = rows.filter(rows["operation"] == "create")
    if creates.height:
        found = by_match(work, target, creates)
        moved |= {row for row, *match in creates.select("row", "match_fields", "match_value").iter_rows() if found.get((match[0], match[1]))}
    return rows.filter(~rows["row"].is_in(sorted(moved))), moved


def settled_again(work: Work, target: Connector, planned: PlannedSet) -> Portion:
    """What was on its way when its worker went: found out, and sent again where it did not arrive. No earlier than the system's time-out."""
    change_set, changes = planned.row, planned.changes
    age = (timezone.now() - change_set.sent_at).total_seconds() if change_set.sent_at else 0.0
    wait = work.run.target.system.time_out_seconds - age
    if wait > 0 and not work.target.capabilities.idempotency_key:
        raise SystemBusy(
            _("Waits until {system} can no longer be busy with what was sent before the worker was lost."), retry_after=wait, system=work.system
        )
    first, last = change_set.settled, change_set.sending_to - 1
    rows = changes.slice(first, last - first + 1)
    started = time.monotonic()
    outcomes, resend = found_out(work, target, rows.filter(rows["operation"] != "adopt"))
    if resend:
        outcomes.update(write(work, target, change_set, rows.filter(rows["row"].is_in(resend)), since=started))
    return Portion(change_set, rows, first, last, outcomes)


def gone(work: Work, key: str) -> Text:
    return Text(
        _("{system} no longer has {entity} {key}. Replay it to create it again, or dismiss it."),
        {"system": work.system, "entity": work.target.label or work.target.name, "key": key},
    )


def moved_reason(work: Work, key: str | None) -> Text:
    return Text(
        _("{entity} {key} was changed in {system} after it was compared. The next run compares it again."),
        {"system": work.system, "entity": work.target.label or work.target.name, "key": key or ""},
    )
