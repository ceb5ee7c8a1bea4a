"""Open rows: written when a run leaves a record, replaced by a later reading, closed when it went through."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from integration_hub.core import bulk, texts
from integration_hub.mappings.definition import Step, read_definition
from integration_hub.syncs import mends, roster
from integration_hub.syncs.kept import packed_record
from integration_hub.syncs.models import Link, OpenRow, OpenRowQuerySet, Run, Sync
from integration_hub.syncs.states import Closed, OpenState, Trigger
from integration_hub.syncs.work import NO_KEY, Left, Wait, Work

VALUE_IS_THE_CAUSE = ("value_map", "allowed")  # steps where one entry of a list clears all records with the value
DELETES = Q(step="delete")  # rows that say what is to become of the target's record
READINGS_WITHOUT_KEY = 3  # of a record whose key cannot be read, before the cursor passes it
DIFFERS = ("key", "record", "row", "id", "value", "length", "other")  # named values that differ from record to record


def cause_of(left: Left) -> str:
    """The same for records that failed alike: state, field, step and sentence, and the value where one correction clears all that have it."""
    value = left.value if left.step in VALUE_IS_THE_CAUSE else ""
    kept = {name: text for name, text in left.reason.values.items() if name not in DIFFERS}
    what = json.dumps([left.state, left.field, left.step, left.reason.template, kept, value], sort_keys=True, default=str)
    return hashlib.sha256(re.sub(r"\s+", " ", what).encode()).hexdigest()[:32]


def leave(sync: Sync, run: Run, side: str, lefts: Sequence[Left], *, change_set_id: int | None = None) -> None:
    """Write an open row for each of these records, in the caller's transaction; one that is open already is replaced.

    But what nobody can tell of stays so until a person settles it, and a dry run settles nothing that others have left or are waiting for. Nor does it
    park anything: it makes no links, so it cannot tell which would be missing.
    """
    if run.dry:
        lefts = [left for left in lefts if left.state != OpenState.PARKED]
    if not lefts:
        return
    now = timezone.now()
    mends.restore(sync, side, lefts)
    newest = {(left.key, left.part): left for left in lefts}
    known = {
        (row.key, row.part): row
        for row in OpenRow.objects.open().filter(sync=sync, side=side, key__in=[left.key for left in newest.values()]).select_for_update()
    }
    changed: list[OpenRow] = []
    new: list[OpenRow] = []
    settled = dismissed(sync, side, [left for place, left in newest.items() if place not in known])
    met_again = [settled[place] for place, left in newest.items() if place in settled and left.state != OpenState.WITHHELD]
    if met_again and not run.dry:
        OpenRow.objects.filter(pk__in=met_again).update(run=run)  # whose page tells of them
    for place, left in newest.items():
        if place in settled:
            continue
        row = known.get(place)
        if row is not None and not _may_replace(row, left, dry=run.dry):
            continue
        row = row or OpenRow(sync=sync, side=side, key=left.key, part=left.part, first_at=now, tries=0)
        if not _has_waited_out(row, left, now):
            row.state, row.cause, row.reason = left.state, cause_of(left), plain(texts.stored(left.reason))
        row.again, row.field, row.step, row.value = left.again, left.field, left.step, plain(left.value[:200])
        row.record, row.source_print = packed_record(left.record), left.source_print
        row.run, row.mapping_version = run, run.mapping_version
        row.change_set_id, row.change_row = change_set_id, left.change_row
        row.tries, row.last_at, row.replay_at = row.tries + 1, now, None
        (changed if row.pk else new).append(row)
    OpenRow.objects.bulk_create(new, batch_size=500)
    OpenRow.objects.bulk_update(changed, _REPLACED, batch_size=200)


def _has_waited_out(row: OpenRow, left: Left, now: datetime) -> bool:
    """Put down what the record waits for, and since when. True: it had waited for this too long already, and stays the reject that it became."""
    if left.waits is not None and left.waits == Wait(row.waits_pair_id or 0, row.waits_side, row.waits_key):
        return row.waits_since is None
    row.waits_pair_id, row.waits_side, row.waits_key = (left.waits.pair_id, left.waits.side, left.waits.key) if left.waits else (None, "", "")
    row.waits_since = now if left.waits else None
    return False


def dismissed(sync: Sync, side: str, lefts: Sequence[Left]) -> dict[tuple[str, str], int]:
    """The places of those that a person has dismissed and that have not changed since, each with its row: the same record with the same cause is not
    opened again. Of what is withheld it is the change that was refused, so it has to be the same."""
    rows = OpenRow.objects.filter(sync=sync, side=side, closed_as=Closed.DISMISSED, key__in=[left.key for left in lefts]).order_by("pk")
    newest: dict[tuple[str, str, bool], tuple[Any, ...]] = {}
    pks: dict[tuple[str, str, bool], int] = {}
    columns = ("pk", "key", "part", "state", "step", "cause", "record", "source_print")
    for pk, key, part, state, step, cause, record, print_ in rows.values_list(*columns):
        is_withheld = state == OpenState.WITHHELD
        newest[key, part, is_withheld] = (step, bytes(print_ or b"")) if is_withheld else (cause, bytes(record))
        pks[key, part, is_withheld] = pk
    settled = {}
    for left in lefts:
        is_withheld = left.state == OpenState.WITHHELD
        now = (left.step, left.source_print or b"") if is_withheld else (cause_of(left), packed_record(left.record))
        if newest.get((left.key, left.part, is_withheld)) == now:
            settled[left.key, left.part] = pks[left.key, left.part, is_withheld]
    return settled


def settled_unknowns(work: Work, keys: Sequence[str]) -> dict[str, OpenRow]:
    """Of these records without a link those that nobody could tell of and that a person has dismissed, in any sync of the pair in this direction: who
    looks, and does not replay it, has found it there, so it is never created by itself. Not where it has had a link since."""
    if not keys or work.run.first_load:
        return {}
    rows = _unknowns(work, keys, [work.sync, *work.syncs_beside], "closed_as = 'dismissed'")
    links = Link.objects.filter(pair=work.run.pair_id, ended_at__isnull=False, **{f"{work.source_key}__in": list(rows)})
    linked_at = dict(links.order_by("made_at").values_list(work.source_key, "made_at"))
    return {key: row for key, row in rows.items() if key not in linked_at or row.closed_at is None or linked_at[key] < row.closed_at}


def unknowns_beside(work: Work, keys: Sequence[str]) -> dict[str, OpenRow]:
    """Of these records without a link those that another sync of the pair has sent, and nobody can tell whether they arrived."""
    if not keys or work.run.first_load or not work.syncs_beside:
        return {}
    return _unknowns(work, keys, work.syncs_beside, "closed_at IS NULL")


def _unknowns(work: Work, keys: Sequence[str], syncs: Sequence[Sync], still: str) -> dict[str, OpenRow]:
    """The newest such row of each of these records."""
    where, side = f"{still} AND state = 'unknown'", work.run.source_side
    found = [row for sync in syncs for row in bulk.fetch(OpenRow, ("id", "key"), key="key", values=keys, where=where, sync=sync.pk, side=side)]
    newest = {key: pk for pk, key in sorted(found)}
    return {row.key: row for row in OpenRow.objects.filter(pk__in=newest.values()).select_related("sync")}


def _may_replace(row: OpenRow, left: Left, *, dry: bool) -> bool:
    if dry:
        return row.state == OpenState.REJECTED and row.replay_at is None
    if left.goes_on and row.state == OpenState.REFUSED and not row.again and row.replay_at is None:
        return False  # it does not go on: it was refused for good
    return row.state != OpenState.UNKNOWN or row.replay_at is not None or left.state == OpenState.UNKNOWN


_REPLACED = [
    "state", "again", "cause", "reason", "field", "step", "value", "record", "source_print", "run", "mapping_version", "change_set_id", "change_row",
    "tries", "last_at", "replay_at", "waits_pair", "waits_side", "waits_key", "waits_since",
]  # fmt: skip


def close(
    sync: Sync, side: str, keys: Iterable[str], *, at: datetime | None = None, note: str = "", written_by: int | None = None, of: Q | None = None
) -> None:
    """The records went through, or are wanted no more: their open rows end, in the caller's transaction. But what the change set `written_by` has written
    without a reference goes on waiting for it. `of`: only such rows."""
    wanted = list(keys)
    if wanted:
        rows = OpenRow.objects.open().filter(of or Q(), sync=sync, side=side, key__in=wanted)
        if written_by is not None:
            rows = rows.filter(~Q(state=OpenState.PARKED) | Q(change_set_id=None) | ~Q(change_set_id=written_by))
        now = at or timezone.now()
        rows.filter(replay_at__isnull=False).update(closed_at=now, closed_as=Closed.REPLAYED, closed_note=note, last_at=now, tries=F("tries") + 1)
        rows.filter(replay_at=None).update(closed_at=now, closed_as=Closed.LATER_PASS, closed_note=note, last_at=now, tries=F("tries") + 1)


def close_gone(run: Run, keys: Iterable[str]) -> None:
    """The source has been asked and no longer has these records: nothing is left to do for their open rows, which end in the caller's transaction. But
    those of deletes end only with the delete, where the run follows these."""
    if run.sync is not None:
        close(run.sync, run.source_side, keys, note=_("The source no longer has this record."), of=~DELETES if roster.follows(run) else None)


def close_unlinked_deletes(run: Run, keys: Iterable[str]) -> None:
    """These records are gone and have no link any more: there is nothing left to delete."""
    if run.sync is not None and not run.dry:
        close(run.sync, run.source_side, keys, note=_("Its link has ended, so nothing is left to delete."), of=DELETES)


def unmet(run: Run) -> OpenRowQuerySet:
    """The open rows whose record a run over everything may not have met, because the source no longer has it. Not those that say what is to become of
    the target's record, which nobody can tell of or whose delete waits: they are not settled by what the source has."""
    rows: OpenRowQuerySet = OpenRow.objects.open().filter(sync=run.sync, side=run.source_side).exclude(run=run)
    return rows.exclude(state=OpenState.UNKNOWN).exclude(DELETES).exclude(key__regex=NO_KEY)


def may_be_gone(run: Run) -> bool:
    """Whether a run over everything may tell that the record of an open row is gone: it has not met some, and can ask for them or keeps a roster."""
    if run.dry or run.trigger == Trigger.DECISION or not roster.reads_all(run):
        return False
    return (run.source.as_schema().capabilities.lookup_by_key or roster.follows(run)) and unmet(run).exists()


def close_unlinked(run: Run) -> None:
    """The run has ended, and no link has come of it for these references: then null is the answer, as their mapping says."""
    fields = [told.target for told in read_definition(run.mapping_version.definition).fields if any(_takes_null(step) for step in told.steps)]
    if fields:
        rows = OpenRow.objects.open().filter(sync=run.sync_id, side=run.source_side, state=OpenState.PARKED, step="link", field__in=fields)
        now = timezone.now()
        rows.filter(replay_at=None).update(closed_at=now, closed_as=Closed.LATER_PASS, last_at=now)


def _takes_null(step: Step) -> bool:
    told: Any = step.parameters
    return bool(step.declared.wants_links and told.missing == "null")


def close_without_key(run: Run) -> None:
    """The run has met every record from where it began: an open row of one without a key that was left by an earlier reading of the same records,
    and that it did not meet, is no more."""
    rows = OpenRow.objects.open().filter(sync=run.sync, key__regex=NO_KEY).exclude(run=run)
    if run.since_value:
        rows = rows.filter(run__since_value=run.since_value)
    now = timezone.now()
    rows.update(closed_at=now, closed_as=Closed.LATER_PASS, last_at=now)


def unreadable_keys(run: Run) -> int:
    """How many records this run left that had no readable key and deserve another reading: nobody can ask for them, and a later answer may be whole."""
    return OpenRow.objects.open().filter(run=run, key__regex=NO_KEY, step="read", tries__lt=READINGS_WITHOUT_KEY).exclude(value="").count()


def plain(value: Any) -> Any:
    """Text as every database takes it: without NUL characters and halves of characters; in lists and objects as well."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {plain(name): plain(part) for name, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, list) else value


def typed(texts_: Any, dtype: Any) -> Any:
    """A column of kept text values in the dtype of its field; what no longer fits becomes null."""
    import polars as pl

    if dtype == pl.String:
        return texts_
    if isinstance(dtype, pl.Datetime):
        return texts_.str.to_datetime(time_unit="us", time_zone="UTC", strict=False)
    if dtype == pl.Date:
        return texts_.str.to_date("%Y-%m-%d", strict=False)
    if dtype == pl.Time:
        return texts_.str.to_time("%H:%M:%S%.f", strict=False)
    if dtype == pl.Boolean:
        return texts_.str.to_lowercase().replace_strict({"true": True, "false": False}, default=None, return_dtype=pl.Boolean)
    if dtype == pl.Binary:
        return texts_.str.decode("hex", strict=False)
    return texts_.cast(dtype, strict=False)
