"""What both sides last agreed on, for a reconcile run, which compares with the target itself instead of prints.

A link's `sent_print` is what was sent. Where the target made something else of it, for it trims, rounds or fills in, its own side's print holds what was
read back; zero there: what was sent. A target that still holds this, while the source would send the same, has not drifted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from django.utils.translation import gettext_noop

from connectors.base import KEY, FieldType, Outcome, Result, Text
from integration_hub.core import bulk, texts
from integration_hub.core.keys import canonical_key, canonical_text
from integration_hub.syncs import schedule
from integration_hub.syncs.matching import asked
from integration_hub.syncs.models import ChangeSet, Link, Run, Sync, SyncCursor
from integration_hub.syncs.prints import field_hashes, packed, rows_of
from integration_hub.syncs.schedule import cursor_order, read_again_from
from integration_hub.syncs.states import Mode

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    from connectors.base import Connector
    from integration_hub.syncs.compare import MappedPage
    from integration_hub.syncs.work import Work


# --- whether it can be told at all ------------------------------------------------------------------------------------


def refusal(sync: Sync, keys: Sequence[str] | None = None, *, keys_only: bool = False) -> Text | None:
    """Why a sync cannot reconcile, or cannot be asked to together with these; None where it can."""
    if keys_only:
        return Text(gettext_noop("To reconcile is to compare whole records, so their keys alone are not enough."))
    if keys is not None:
        return Text(gettext_noop("To reconcile is to compare all records, so none can be named."))
    target = sync.target
    if not target.as_schema().capabilities.lookup_by_key:
        said = gettext_noop("{entity} cannot be asked for single records, so the hub cannot compare it field by field: {name} cannot reconcile.")
        return Text(said, {"entity": str(target), "name": sync.name})
    return None


def problems(sync: Sync) -> dict[str, str]:
    """What is wrong with a schedule of reconcile runs, by field, beyond the schedule itself."""
    if schedule.is_set(sync, schedule.RECONCILE) and (why := refusal(sync)) is not None:
        return {"reconcile_interval_seconds" if sync.reconcile_interval_seconds else "reconcile_crontab": texts.render(why)}
    return {}


# --- comparing --------------------------------------------------------------------------------------------------------


def column_of(run: Run) -> str:
    """The column of a link that holds the print of the target's own values."""
    return f"{run.target_side}_print"


def as_read_back(work: Work, stored: Sequence[bytes | None]) -> np.ndarray:
    """What the target made of what was sent, a row a link and a column a field of the mapping; zero: just that, or nobody knows."""
    import numpy as np

    if not any(stored):
        return np.zeros((len(stored), len(work.slots)), dtype="<u8")
    known: np.ndarray = rows_of(stored, max(work.slots, default=-1) + 1)[:, work.slots]
    return known


def written_since(work: Work, change_sets: Iterable[int | None]) -> set[int]:
    """Which of these, the newest change sets of links, were sent after this run had begun: it may have read their records before, so it cannot judge them."""
    known = {pk for pk in change_sets if pk is not None}
    since = work.run.started_at or work.run.made_at
    return set(ChangeSet.objects.filter(pk__in=known, sent_at__gte=since).values_list("pk", flat=True)) if known else set()


def with_due(work: Work, page: MappedPage, changes: pl.DataFrame, sent: np.ndarray, read_back: Sequence[bytes | None]) -> pl.DataFrame:
    """The change set of a page with `due`: what the source alone has changed, or has got, and the next run reads anyway. That is no drift.

    `sent` has the prints of the mapping's fields as they were last sent, by row of the page; `read_back` those of the target's own, by row of the changes.
    """
    import numpy as np
    import polars as pl

    at = {key: row for row, key in enumerate(page.keys)}
    rows = np.array([at[key] for key in changes["source_key"]])
    before = field_hashes(changes["before"].struct.unnest(), work.fields)
    back = as_read_back(work, read_back)
    agreed = np.where(back != 0, back, sent[rows])
    untouched = ((before == agreed) | (agreed == 0) | ~changes["send"].struct.unnest().to_numpy()).all(axis=1)
    linked = changes["link_id"].is_not_null().to_numpy()
    in_place = (changes["operation"] == "update").to_numpy() & changes["found_by"].is_null().to_numpy()
    due = next_run_reads(work, changes) & (~linked | (in_place & untouched))
    return changes.with_columns(due=pl.Series(due, dtype=pl.Boolean))


def next_run_reads(work: Work, changes: pl.DataFrame) -> np.ndarray:
    """Which records the sync's next run reads whatever becomes of this plan: all where it reads everything or nobody can tell, else from its cursor on."""
    import numpy as np
    import polars as pl

    name = work.source.cursor_field
    known = SyncCursor.objects.filter(sync=work.sync, side=work.run.source_side).first()
    everything = work.sync.mode == Mode.FULL or work.sync.restored_at is not None or known is None
    if everything or known is None or name is None or work.source.capabilities.own_cursor:
        return np.ones(changes.height, dtype=bool)
    kind = next((field.type for field in work.source.fields if field.name == name), FieldType.TEXT)
    values = changes["source"].struct.field(name)
    told = values.to_frame().select(canonical_text(pl.col(name), values.dtype)).to_series()
    begins = cursor_order(kind, read_again_from(kind, known.value, work.sync.lookback_seconds), "")
    return np.array([value is not None and cursor_order(kind, value, "") >= begins for value in told], dtype=bool)


# --- what was written is agreed on again ------------------------------------------------------------------------------


def read_back(work: Work, target: Connector, rows: pl.DataFrame, outcomes: dict[int, Outcome]) -> dict[int, Outcome]:
    """The outcomes of these rows, those of written records with the record as the target has it now, where it did not say so itself."""
    keys = {row: key for row, key, operation in rows.select("row", "target_key", "operation").iter_rows() if operation != "delete"}
    wanted = {
        row: outcome.key or keys[row]
        for row, outcome in outcomes.items()
        if outcome.result == Result.WRITTEN and outcome.record is None and row in keys and (outcome.key or keys[row])
    }
    if not wanted:
        return outcomes
    names = [f.name for f in work.target.fields if f.name in {*work.fields, *work.target.key}]
    found = asked(target, work.target, KEY, sorted({key for key in wanted.values() if key}), names)
    records = dict(zip(canonical_key(found, work.target.key), found.select(work.fields).iter_rows(named=True), strict=True))
    return outcomes | {row: outcomes[row]._replace(record=records.get(key)) for row, key in wanted.items()}


def made_of(work: Work, changes: pl.DataFrame, outcomes: dict[int, Outcome]) -> dict[int, np.ndarray]:
    """Row → prints, by field of the mapping, of what the target made of what was sent to it; zero where it holds just that. Only rows that have any."""
    import numpy as np
    import polars as pl

    told = {row: outcome.record for row, outcome in outcomes.items() if outcome.record}
    rows = changes.filter(changes["row"].is_in(sorted(told))) if told else changes.clear()
    if not rows.height:
        return {}
    records = [told[row] for row in rows["row"]]
    schema = work.target.frame_schema(work.fields)
    held = pl.DataFrame([pl.Series(name, [record.get(name) for record in records], dtype=schema[name], strict=False) for name in work.fields])
    says = np.array([[name in record for name in work.fields] for record in records])
    after = rows["after"].struct.unnest()
    names = [name for name in work.fields if name in after.columns]  # a change set of an earlier version may have others
    hashes, sent = field_hashes(held, work.fields), np.zeros((rows.height, len(work.fields)), dtype="<u8")
    sent[:, [work.fields.index(name) for name in names]] = field_hashes(after, names)
    otherwise = np.where(says & _send_of(work, rows) & (hashes != sent), hashes, 0)
    return {row: otherwise[place] for place, row in enumerate(rows["row"]) if otherwise[place].any()}


def _send_of(work: Work, changes: pl.DataFrame) -> np.ndarray:
    """Which fields of the mapping these rows send; a change set of an earlier version may know others."""
    import numpy as np

    send = changes["send"].struct.unnest()
    none = np.zeros(changes.height, dtype=bool)
    return np.column_stack([send[name].to_numpy() if name in send.columns else none for name in work.fields])


def prints_of(work: Work, made: np.ndarray, known: bytes | None = None, sent: np.ndarray | None = None) -> bytes | None:
    """The print of the target's own values of a link: what was `known`, but anew in the fields that were `sent`. None where it holds what was sent."""
    import numpy as np

    whole = rows_of([known], max(work.slots, default=-1) + 1)
    whole[0, work.slots] = np.where(sent, made, whole[0, work.slots]) if sent is not None else made
    return packed(whole)[0] if whole.any() else None


def put_down(work: Work, changes: pl.DataFrame, updated: list[tuple[int, int, bytes]], made: dict[int, np.ndarray]) -> None:
    """In the caller's transaction: the updated links' prints of the target's own values, which are no longer those of before in the fields that were sent."""
    import numpy as np

    if not updated:
        return
    column, keys = column_of(work.run), dict(changes.select("row", "source_key").iter_rows())
    wanted = [keys[row] for row, *__ in updated]
    __, ids, prints = Link.objects.columns(work.source_key, "id", column, pair=work.run.pair_id, keys=wanted)
    known = {link_id: print_ for link_id, print_ in zip(ids, prints, strict=True) if print_ is not None}
    rows = [(row, link_id) for row, link_id, __ in updated if link_id in known or row in made]
    if not rows:
        return
    places = {row: place for place, row in enumerate(changes["row"])}
    send = _send_of(work, changes)
    nothing = np.zeros(len(work.fields), dtype="<u8")
    values = ((prints_of(work, made.get(row, nothing), known.get(link_id), send[places[row]]), link_id) for row, link_id in rows)
    bulk.update(Link, (column,), list(values))
