"""Planning what undoes: the way back is in the change sets, which hold every record as it was before.

Of each record the chosen changes are taken together: it is set to the before of the oldest, if the target still holds the after of the newest. What a
chosen change created is deleted, what it deleted is created again, and is the same record then under the key that it got. What cannot be undone stands
in the plan too, as "keep" with the reason: the target has moved on, it cannot delete, or nobody looked what was there before.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from connectors.base import KEY, Connector, Text, _
from integration_hub.core import texts
from integration_hub.core.keys import canonical_key
from integration_hub.core.leases import Lease
from integration_hub.mappings.match import match_keys
from integration_hub.syncs import changesets, stages
from integration_hub.syncs.compare import Compared, MappedPage
from integration_hub.syncs.matching import look_up
from integration_hub.syncs.models import ChangeSet, Link, Run
from integration_hub.syncs.openrows import typed
from integration_hub.syncs.prints import field_hashes, packed, rows_of
from integration_hub.syncs.work import Counts, Work

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import polars as pl

    Plan = Callable[..., ChangeSet | None]

KEYS_TOLD = 10
GONE = ("delete",)  # operations after which the target no longer has the record


def planned(work: Work, lease: Lease, plan: Plan) -> None:
    """Put the undoing down, a page for each change set that holds the newest chosen change of some records, the newest first. The position is that set."""
    chosen = chosen_changes(work)
    behind = work.partition.position
    if behind is None and (unmet := sorted(set((work.run.undoes or {}).get("keys") or ()) - set(chosen["source_key"]))):
        told = ", ".join(unmet[:KEYS_TOLD]) + (" …" if len(unmet) > KEYS_TOLD else "")
        stages.say(work.run, _("{n} of the named records are not among those that were written: {keys}"), "warning", n=f"{len(unmet):,}", keys=told)
    sets = [pk for pk in sorted(chosen["newest_set"].unique().to_list(), reverse=True) if behind is None or pk < behind]
    with work.open("target") as target:
        for number, pk in enumerate(sets, start=work.partition.page_number + 1):
            rows, began = chosen.filter(chosen["newest_set"] == pk), timezone.now()
            changes, same = undone(work, target, rows)
            page = _page(number, pk, changes, rows.height, same, last=pk == sets[-1])
            plan(work, lease, Compared(page, changes if changes.height else None), began=began)
            if work.turn_is_over():
                return
    if not sets:
        lease.fence(read_done=True)


def _page(number: int, position: int, changes: pl.DataFrame, count: int, same: int, *, last: bool) -> MappedPage:
    import numpy as np
    import polars as pl

    counts = Counts(read=count, produced=count, unchanged=same)
    nothing = pl.DataFrame()
    return MappedPage(number, position, last, nothing, nothing, np.zeros((0, 0)), changes["source_key"].to_list(), {}, counts, [])


def chosen_changes(work: Work) -> pl.DataFrame:
    """A row a record of the target that the chosen runs wrote: its keys, set, row and operation of the oldest and of the newest chosen change, which
    fields any of them sent, and whether no later record has got its key (`has_key`)."""
    import polars as pl

    undoes: dict[str, Any] = work.run.undoes or {}
    parts = []
    for change_set in ChangeSet.objects.filter(run__in=undoes["runs"], settled__gt=0).order_by("pk").iterator(chunk_size=8):
        frame = changesets.frame_of(change_set, columns=["row", "operation", "source_key", "target_key", "send"])
        frame = frame.filter((frame["row"] < change_set.settled) & ~frame["operation"].is_in([*changesets.WRITE_NOTHING, "keep"]))
        if undoes.get("keys") is not None:
            frame = frame.filter(frame["source_key"].is_in(undoes["keys"]))
        frame = _as_written(change_set, frame)
        sent = frame["send"].struct.unnest()
        names = [name for name in work.fields if name in sent.columns]
        parts.append(frame.drop("send").hstack(sent.select(names)).with_columns(set=pl.lit(change_set.pk, pl.Int64)))
    empty = {"row": pl.UInt32, "operation": pl.String, "source_key": pl.String, "target_key": pl.String, "set": pl.Int64}
    whole = pl.concat([pl.DataFrame(schema={**empty, **dict.fromkeys(work.fields, pl.Boolean)}), *parts], how="diagonal_relaxed")
    whole = _of_records(work, whole)
    chosen = whole.group_by("target_key", "owner", maintain_order=True).agg(
        source_key=pl.col("source_key").last(),
        oldest_set=pl.col("set").first(),
        oldest_row=pl.col("row").first(),
        oldest=pl.col("operation").first(),
        newest_set=pl.col("set").last(),
        newest_row=pl.col("row").last(),
        newest=pl.col("operation").last(),
        place=pl.col("place").last(),
        **{f"sent {name}": pl.col(name).any() for name in work.fields},
    )
    return chosen.with_columns(has_key=pl.col("place") == pl.col("place").max().over("target_key"))


def _of_records(work: Work, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with `place`, their order, `owner`, whose record they changed, under the target key that this record has now. A system may give a key that
    was deleted to the next record that is created, and a record that an undo has created again has another key since."""
    import polars as pl

    starts = pl.when((pl.col("operation") == "create") | pl.col("target_key").is_first_distinct()).then(pl.col("source_key"))
    rows = rows.with_row_index("place").with_columns(owner=starts).with_columns(pl.col("owner").forward_fill().over("target_key"))
    for since, again in created_again(work):
        found = rows.select("owner", old="target_key").join(again, on=["owner", "old"], how="left", maintain_order="left")["new"]
        rows = rows.with_columns(target_key=pl.when(pl.col("set") < since).then(pl.coalesce(found, "target_key")).otherwise("target_key"))
    return rows


def created_again(work: Work) -> Iterator[tuple[int, pl.DataFrame]]:
    """For each run since the chosen ones that has undone deletes: its first change set, and the keys of the records that it has created again, as
    `owner`, of the source, `old` and `new`."""
    import polars as pl

    of_undo = {"applies__plan__undoes__isnull": False, "direction": work.run.direction, "pk__gt": min((work.run.undoes or {})["runs"])}
    for run in Run.objects.filter(pair=work.run.pair_id, **of_undo).order_by("pk"):
        parts, sets = [], ChangeSet.objects.filter(run=run, created__gt=0).order_by("pk")
        for change_set in sets.iterator(chunk_size=8):
            frame = changesets.frame_of(change_set, columns=["row", "operation", "source_key", "target_key", "found_by"])
            frame = frame.filter((frame["row"] < change_set.settled) & (frame["operation"] == "create") & frame["found_by"].is_not_null())
            parts.append(_as_written(change_set, frame).select(pl.col("source_key").alias("owner"), old="found_by", new="target_key"))
        if parts:
            yield sets[0].pk, pl.concat(parts).unique(["owner", "old"])


def _as_written(change_set: ChangeSet, frame: pl.DataFrame) -> pl.DataFrame:
    """Only the rows that were written, under the key that the target gave."""
    import polars as pl

    told = changesets.outcomes_of(change_set)
    frame = frame.join(told.select("row", "result", pl.col("target_key").alias("given")), on="row", how="left", maintain_order="left")
    frame = frame.filter(pl.col("result").is_null() | (pl.col("result") == "written"))
    return frame.with_columns(target_key=pl.coalesce("given", "target_key")).filter(pl.col("target_key").is_not_null()).drop("result", "given")


@dataclass(frozen=True)
class _Sides:
    """Of some records, in the order of their rows: what was there before the chosen changes, and what was there behind them."""

    before: pl.DataFrame
    known: pl.Series
    after: pl.DataFrame
    source: pl.DataFrame


def _sides(work: Work, rows: pl.DataFrame) -> _Sides:
    newest = changesets.frame_of(ChangeSet.objects.get(pk=rows["newest_set"][0]), columns=["row", "before", "after", "send", "source"])
    newest = newest[newest["row"].search_sorted(rows["newest_row"])]
    behind = _fields(work, newest["before"].struct.unnest())
    after, sent = _fields(work, newest["after"].struct.unnest()), newest["send"].struct.unnest()
    after = after.with_columns(after[name].zip_with(sent[name], behind[name]) for name in after.columns if name in sent.columns)
    before = _before(work, rows)
    return _Sides(before.select(work.fields), before["known"], _read_back(work, rows, after), newest["source"].struct.unnest())


def _before(work: Work, rows: pl.DataFrame) -> pl.DataFrame:
    """What each record was before its oldest chosen change, with `known`, in the order of `rows`."""
    import polars as pl

    parts = []
    numbered = rows.select("oldest_set", "oldest_row").with_row_index("place")
    for (pk,), some in numbered.group_by("oldest_set", maintain_order=True):
        frame = changesets.frame_of(ChangeSet.objects.get(pk=pk), columns=["row", "before", "before_known"])
        at = frame[frame["row"].search_sorted(some["oldest_row"])]
        parts.append(_fields(work, at["before"].struct.unnest()).with_columns(known=at["before_known"], place=some["place"]))
    return pl.concat(parts).sort("place")


def _fields(work: Work, values: pl.DataFrame) -> pl.DataFrame:
    """The mapping's fields, each in the target's type; null where a change set of another time lacks one."""
    import polars as pl

    schema = work.target.frame_schema(work.fields)
    return values.select(
        pl.col(name).cast(schema[name], strict=False) if name in values.columns else pl.lit(None, schema[name]).alias(name) for name in work.fields
    )


def _read_back(work: Work, rows: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """With what the target said it holds since, where it trims or rounds what it is sent."""
    import polars as pl

    told = changesets.outcomes_of(ChangeSet.objects.get(pk=rows["newest_set"][0])).filter(pl.col("record").is_not_null())
    records = {row: json.loads(record) for row, record in told.select("row", "record").iter_rows()}
    if not records:
        return after
    found = [records.get(row, {}) for row in rows["newest_row"]]
    columns = []
    for name in after.columns:
        has = pl.Series([name in record for record in found], dtype=pl.Boolean)
        said = typed(pl.Series([None if record.get(name) is None else str(record[name]) for record in found], dtype=pl.String), after.schema[name])
        columns.append(said.zip_with(has, after[name]).alias(name))
    return pl.DataFrame(columns)


def undone(work: Work, target: Connector, rows: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """The change set's frame that undoes the chosen changes of these records, and how many already are as they were."""
    import numpy as np
    import polars as pl

    sides = _sides(work, rows)
    sent = rows.select(f"sent {name}" for name in work.fields).fill_null(value=False).to_numpy()
    asks = work.target.capabilities.lookup_by_key
    found = (
        look_up(work, target, work.target, KEY, rows["target_key"], work.fields)
        if asks
        else pl.DataFrame(schema=work.target.frame_schema([*work.fields, *work.target.key]))
    )
    at = {key: place for place, key in enumerate(canonical_key(found, work.target.key))}
    places = pl.Series([at.get(key) for key in rows["target_key"]], dtype=pl.UInt32)
    now = _fields(work, found)[places.fill_null(0)] if found.height else _fields(work, found).clear(n=rows.height)
    is_there = (places.is_not_null() & rows["has_key"]).to_numpy()
    hashes, befores, afters = (field_hashes(values, work.fields) for values in (now, sides.before, sides.after))
    holds, differs = (sent <= (hashes == afters)).all(axis=1), sent & (hashes != befores)
    judged = [
        _judged(work, str(key), oldest, newest, Facts(asks, bool(there), bool(held), bool(differing), bool(known)))
        for key, oldest, newest, there, held, differing, known in zip(
            rows["target_key"], rows["oldest"], rows["newest"], is_there, holds, differs.any(axis=1), sides.known, strict=True
        )
    ]
    kept = np.array([operation != "" for operation, __ in judged], dtype=bool)
    operations = pl.Series([operation for operation, __ in judged], dtype=pl.String)
    reasons = pl.Series([json.dumps(texts.stored(reason), ensure_ascii=False) if reason else None for __, reason in judged], dtype=pl.String)
    creates, updates = (operations == "create").to_numpy(), (operations == "update").to_numpy()
    send = np.where(updates[:, None], differs, False) | (creates[:, None] & _has_value(sides.before))
    frame = _frame(work, rows, sides, operations, now, send).with_columns(reason=reasons)
    return frame.filter(kept).with_row_index("row"), int((~kept).sum())


def _has_value(values: pl.DataFrame) -> np.ndarray:
    import polars as pl

    return values.select(pl.all().is_not_null()).to_numpy()


@dataclass(frozen=True)
class Facts:
    """What decides how a record is undone: can the target be asked, has it the record, as the chosen changes left it, other than it was before, and is
    that known."""

    asks: bool
    there: bool
    holds: bool
    differs: bool
    known: bool


def _judged(work: Work, key: str, oldest: str, newest: str, facts: Facts) -> tuple[str, Text | None]:
    """The operation that undoes, "" where nothing has to be done, or "keep" and why."""
    named = {"system": work.system, "entity": work.target.label or work.target.name, "key": key}
    if not facts.asks:
        return "keep", Text(
            _("{system} cannot be asked for single records, so nobody can tell whether {entity} {key} is still as it was written."), named
        )
    if newest in GONE:
        if facts.there:
            return "keep", Text(_("{entity} {key} is in {system} again, so its delete is not undone."), named)
        if oldest == "create":
            return "", None
        if not facts.known:
            return "keep", Text(_("Nobody looked what {entity} {key} was before, so it cannot be created again."), named)
        if not work.target.capabilities.create:
            return "keep", Text(_("{system} cannot create {entity}, so {key} stays deleted."), named)
        return "create", None
    if not facts.there:
        return ("", None) if oldest == "create" else ("keep", Text(_("{system} no longer has {entity} {key}."), named))
    if oldest == "create":
        if not facts.holds:
            return "keep", Text(_("{entity} {key} was changed in {system} since, so it is not deleted."), named)
        if not work.target.capabilities.delete:
            return "keep", Text(_("{system} cannot delete {entity}, so {key}, which was created, stays."), named)
        return "delete", None
    if not facts.known:
        return "keep", Text(_("Nobody looked what {entity} {key} was before, so it cannot be set back."), named)
    if not facts.differs and "mark" in (oldest, newest):
        return "keep", Text(
            _("{entity} {key} was marked as deleted in a field that this mapping does not write. Take the mark off in {system}."), named
        )
    if not facts.differs:
        return "", None
    if not facts.holds:
        return "keep", Text(_("{entity} {key} was changed in {system} since, so it is not set back."), named)
    return "update", None


def _frame(work: Work, rows: pl.DataFrame, sides: _Sides, operations: pl.Series, now: pl.DataFrame, send: np.ndarray) -> pl.DataFrame:
    """The rows as a change set's columns, but for their number."""
    import polars as pl

    creates = operations == "create"
    after = sides.before.with_columns(pl.when(operations.is_in(["create", "update"])).then(pl.col(name)).alias(name) for name in work.fields)
    before = now.with_columns(pl.when(~creates).then(pl.col(name)).alias(name) for name in work.fields)
    match = {
        fields: values.to_frame("v").select(pl.when(creates).then(pl.col("v"))).to_series()
        for fields, values in match_keys(after, work.mapping.definition.match).items()
    }
    columns = (work.target_key, "id", "change_set_id", "change_row", "sent_print")
    links = Link.objects.by_key(*columns, pair=work.run.pair_id, keys=rows["target_key"])
    found = [links.get(key, (None, None, None, None)) for key in rows["target_key"]]
    found = [link if has_key else (None, None, None, None) for link, has_key in zip(found, rows["has_key"], strict=True)]
    none = pl.Series([None] * rows.height, dtype=pl.String)
    return pl.DataFrame(
        {
            "operation": operations,
            "source_key": rows["source_key"],
            "part": none.fill_null(""),
            "target_key": rows["target_key"].to_frame("k").select(pl.when(~creates).then(pl.col("k"))).to_series(),
            "match": changesets.match_column({fields: values.to_list() for fields, values in match.items()}, rows.height),
            "found_by": rows["target_key"].to_frame("k").select(pl.when(creates).then(pl.col("k"))).to_series(),
            "link_id": pl.Series([link[0] for link in found], dtype=pl.Int64),
            "link_change_set": pl.Series([link[1] for link in found], dtype=pl.Int64),
            "link_change_row": pl.Series([link[2] for link in found], dtype=pl.Int64),
            "before": before.to_struct("before"),
            "before_known": ~creates,
            "print": _prints(work, [link[3] for link in found], after, send),
            "source_print": none.cast(pl.Binary),
            "after": after.to_struct("after"),
            "send": pl.DataFrame({name: send[:, place] for place, name in enumerate(work.fields)}).to_struct("send"),
            "source": sides.source.to_struct("source"),
        }
    )


def _prints(work: Work, stored: Sequence[bytes | None], after: pl.DataFrame, send: np.ndarray) -> pl.Series:
    """What was written last, once this is written: the next run compares with it, and brings again what the source still has."""
    import numpy as np

    prints = rows_of(stored, max(work.slots, default=-1) + 1)
    slots = np.array(work.slots, dtype=int)
    prints[:, slots] = np.where(send, field_hashes(after, work.fields), prints[:, slots])
    return packed(prints)
