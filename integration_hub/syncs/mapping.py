"""Mapping a page: what is filtered out, doubled or rejected leaves it here; the rest are the target's records, each beside its source record."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from connectors.base import Misfit, Page, Text, _
from integration_hub.core.keys import canonical_key, canonical_text
from integration_hub.syncs import mends, roster
from integration_hub.syncs.compare import MappedPage
from integration_hub.syncs.states import OpenState
from integration_hub.syncs.work import Counts, Left, Wait, Work

if TYPE_CHECKING:
    import polars as pl

    from integration_hub.core.expressions.language import Expression

KEY_LENGTH = 500  # of the columns that hold keys
WAITS = _("Waits for {entity} {key} of {system}, which has no record in {target} yet.")
IN_CIRCLE = _(
    "Waits for {entity} {key} of {system}, which waits for this record in turn, and neither can be created first: {field} must not be empty. "
    "Let it be empty in the mapping, where {target} takes that, or change the reference in {system}."
)
GOES_ON = _("Is in {target} without {field}, which is filled once {entity} {key} of {system} has a record there.")


def map_page(work: Work, page: Page, *, number: int, asked: int | None = None) -> MappedPage:
    """Filter and map a page of source records. Every record read ends in exactly one of: mapped, filtered, rejected, duplicate.

    `asked`: how many records were asked for by name, where they were.
    """
    import numpy as np
    import polars as pl

    wanted = asked is not None
    counts = Counts(read=page.frame.height, absent=asked - page.frame.height if asked is not None else 0)
    page_keys = keys = canonical_key(page.frame, work.source.key)
    page = mends.mended(work, page, keys)
    left = dict(unreadable(work, page, keys))
    readable = ~pl.int_range(page.frame.height, eager=True).is_in(list(left))
    chosen = readable & passes(work, page.frame)
    counts.rejected, counts.filtered = len(left), int((readable & ~chosen).sum())
    kept = last_of_each(keys, chosen)
    counts.duplicate = int((chosen & ~kept).sum())

    part = page if kept.all() else only(page, kept)
    keys = keys.filter(kept)
    mapping = work.open_mapping if work.in_circle else work.mapping
    outcome = mapping.apply(part, work.references)
    for rejected in outcome.rejected.iter_rows(named=True):
        left[len(left) + page.frame.height] = unmapped(work, rejected, keys[rejected["row"]], part.frame.row(rejected["row"], named=True))
    counts.parked = sum(each.state == OpenState.PARKED for each in left.values())
    counts.rejected += outcome.rejected.height - counts.parked
    going_on = dict(without_links(work, part, keys, outcome.unlinked))
    rows = outcome.frame["row"]
    value, key = (page.cursor, "") if work.source.capabilities.own_cursor else greatest(work, page.frame)
    left_out = page_keys.filter(readable & ~chosen).to_list() if counts.filtered else []
    nobodys = page_keys.filter(readable & ~chosen & ~taken_beside(work, page.frame, page.misfits)).to_list() if counts.filtered else []
    return MappedPage(
        number=number,
        position=page.position,
        last=page.position is None and not wanted,
        source=part.frame[rows],
        target=outcome.frame,
        send=send_mask(outcome, work.fields) if outcome.frame.height else np.zeros((0, len(work.fields)), dtype=bool),
        keys=keys.gather(rows).to_list(),
        match=outcome.match,
        counts=counts,
        left=[*left.values(), *going_on.values()],
        last_value="" if wanted else value,
        last_key="" if wanted else key,
        wanted=wanted,
        filtered_keys=left_out,
        roster=roster.of_page(work, page_keys, nobodys, page.deleted, wanted=wanted),
    )


def unreadable(work: Work, page: Page, keys: pl.Series) -> Iterable[tuple[int, Left]]:
    """Records that cannot even be told apart or filtered: no key, or a misfit in the key, the filter or the whole record."""
    import polars as pl

    decisive = {"", *work.source.key, *(work.filter.fields if work.filter else ())}
    names = {"field": ", ".join(work.source.key)}
    misfits = {m.row: m for m in reversed(page.misfits) if m.field in decisive}
    key = pl.col("key")
    sure = key.str.len_bytes().is_between(1, KEY_LENGTH) & ~key.str.contains("\0", literal=True)
    doubtful = keys.to_frame("key").select((~sure).fill_null(True).arg_true()).to_series()
    unfit = {row: problem for row in doubtful if (problem := key_problem(keys[row]))}
    for row in sorted({*misfits, *unfit}):
        record = page.frame.row(row, named=True)
        misfit = misfits.get(row)
        reason = misfit.reason if misfit else Text(unfit[row], names)
        told = repr((record, misfit and misfit.text)).encode("utf-8", "replace")
        named = f"#{hashlib.sha256(told).hexdigest()[:16]}" if row in unfit else keys[row]
        yield (
            row,
            Left(
                named,
                OpenState.REJECTED,
                reason,
                record,
                field=misfit.field if misfit else work.source.key[0],
                step="read",
                value=misfit.text if misfit else "",
            ),
        )


def unmapped(work: Work, rejected: Mapping[str, Any], key: str, record: dict[str, Any]) -> Left:
    """A record that the mapping rejected, by its row of `Mapped.rejected`; parked where all it lacks is another record's link."""
    left = Left(
        key,
        OpenState.REJECTED,
        Text(rejected["template"], json.loads(rejected["values"])),
        record,
        field=rejected["field"],
        step=rejected["transform"],
        value=rejected["value"] or "",
    )
    awaited = rejected["waits_for"]
    if awaited is None or key_problem(awaited):  # under such a key nothing is ever linked
        return left
    told = work.mapping.following(rejected["field"], rejected["step"])
    reference = work.references.reference(told.entity, told.target)
    entity, system = reference.entity, work.run.source.system.name
    named = {"entity": entity.label or entity.name, "key": rejected["value"], "system": system, "target": work.system}
    left.state, left.reason = OpenState.PARKED, Text(IN_CIRCLE if awaited in work.in_circle else WAITS, {**named, "field": rejected["field"]})
    left.waits = Wait(reference.pair.pk, reference.side, awaited)
    return left


def without_links(work: Work, page: Page, keys: pl.Series, unlinked: Iterable[tuple[int, str, int, str]]) -> Iterable[tuple[int, Left]]:
    """What records leave that go on without a reference, by their row, so that it is filled once this run has made its link; only where the reference is
    to records of the run's own. `unlinked`: see `Mapped`; of several references of a record the first counts."""
    entity, own = work.run.source, dict[tuple[str, int], bool]()
    for row, field, step, value in reversed(list(unlinked)):
        if (field, step) not in own:
            told = work.mapping.following(field, step)
            own[field, step] = work.refers_to_itself(told.entity, told.target)
        if own[field, step] and not key_problem(value):
            named = {"entity": entity.label or entity.name, "key": value, "system": entity.system.name, "target": work.system, "field": field}
            wait = Wait(work.run.pair_id, work.run.source_side, value)
            record = page.frame.row(row, named=True)
            yield (
                row,
                Left(keys[row], OpenState.PARKED, Text(GOES_ON, named), record, field=field, step="link", value=value, waits=wait, goes_on=True),
            )


def key_problem(key: str | None) -> str:
    """Why a record cannot be kept track of under this key; "" where it can."""
    if key is None or key == "":
        return _("The record has no {field}, which identifies it.")
    if len(key) > KEY_LENGTH:
        return _("The record's {field}, which identifies it, is longer than 500 characters.")
    return _("The record's {field}, which identifies it, has a NUL character in it.") if "\0" in key else ""


def last_of_each(keys: pl.Series, chosen: pl.Series) -> pl.Series:
    """Of the chosen records with one key, the last."""
    import polars as pl

    if keys.n_unique() == len(keys):
        return chosen
    placed = pl.DataFrame({"key": keys, "chosen": chosen}).with_row_index("row")
    last = pl.col("row").filter(pl.col("chosen")).max().over("key")
    return placed.select(pl.col("chosen") & (pl.col("row") == last)).to_series().fill_null(False)


def passes(work: Work, frame: pl.DataFrame) -> pl.Series:
    """Which records the sync's filter is true for."""
    return _true_of(work.filter, frame)


def taken_beside(work: Work, frame: pl.DataFrame, misfits: Iterable[Misfit] = ()) -> pl.Series:
    """Which records another sync of the pair takes, or may take: a value that its filter asks for could not be read."""
    import polars as pl

    taken = pl.repeat(value=False, n=frame.height, eager=True)
    for beside in work.filters_beside:
        doubtful = [misfit.row for misfit in misfits if beside is not None and misfit.field in beside.fields]
        taken |= _true_of(beside, frame) | pl.int_range(frame.height, eager=True).is_in(doubtful)
    return taken


def _true_of(condition: Expression | None, frame: pl.DataFrame) -> pl.Series:
    import polars as pl

    if condition is None:
        return pl.repeat(value=True, n=frame.height, eager=True)
    return frame.select(condition.to_polars().fill_null(False).alias("passes")).to_series()


def only(page: Page, kept: pl.Series) -> Page:
    """The page with only these rows; its misfits move with their rows."""
    places = {row: place for place, row in enumerate(kept.arg_true())}
    return Page(
        frame=page.frame.filter(kept),
        position=page.position,
        misfits=[Misfit(places[m.row], m.field, m.text, m.reason) for m in page.misfits if m.row in places],
        absent=page.absent.filter(kept) if page.absent is not None else None,
    )


def send_mask(outcome: Any, fields: list[str]) -> Any:
    """A row a record, a column a field: whether it is sent."""
    import numpy as np

    mask = np.ones((outcome.frame.height, len(fields)), dtype=bool)
    if outcome.send is not None:
        for number, name in enumerate(fields):
            if name in outcome.send.columns:
                mask[:, number] = outcome.send[name].to_numpy()
    return mask


def greatest(work: Work, frame: pl.DataFrame) -> tuple[str, str]:
    """The greatest (cursor field, key) on a page, in canonical text; ("", "") where there is none."""
    import polars as pl

    name = work.source.cursor_field
    if name is None or not frame.height or frame[name].null_count() == frame.height:
        return "", ""
    top = frame.filter(pl.col(name) == pl.col(name).max())
    return top.select(canonical_text(pl.col(name), frame.schema[name])).item(0, 0), max(
        (key for key in canonical_key(top, work.source.key) if key), default=""
    )
