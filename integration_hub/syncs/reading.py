"""Reading: the source's pages from where the partition stands, small ones joined; first the records that somebody or an earlier run left for this one."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator
from typing import TYPE_CHECKING

from connectors.base import KEY, Connector, Cursor, Misfit, Page, Stopped, SystemDown, Text, Unreadable, _
from integration_hub.core.keys import canonical_key
from integration_hub.syncs import mends, openrows, stages, waiting
from integration_hub.syncs.kept import unpacked_record
from integration_hub.syncs.matching import HoldsNothing, look_up
from integration_hub.syncs.models import OpenRow
from integration_hub.syncs.schedule import read_again_from
from integration_hub.syncs.states import OpenState
from integration_hub.syncs.work import Work, tellable

if TYPE_CHECKING:
    import polars as pl

PAGE_ROWS = 4000  # small pages are joined up to so many records,
FIRST_ROWS = 1000  # which a read reaches by doubling, so that writing begins soon,
PAGE_SECONDS = 0.5  # or until so long has passed
WANTED_ROWS = 500


def read(work: Work) -> Generator[tuple[Page, int | None]]:
    """Pages, those of named records with how many were asked for. Ends when the source is read or the turn is over; the partition knows which.
    Behind its end: what this run had to park and may go on by now, or what waits for one another."""
    with work.open("source") as source:
        if work.partition.read_done:
            yield from named(work, source, sorted(work.in_circle) or list(waiting.released(work).order_by("pk").values_list("key", flat=True)))
            return
        if not work.partition.wanted_done:
            for page, asked in wanted(work, source):
                yield page, asked
                if work.run.keys is not None and work.turn_is_over():
                    return
        if work.run.keys is not None:
            yield nothing(work), None
            return
        pages = source.read(
            work.source,
            since(work),
            position=work.partition.position,
            until=until(work),
            fields=work.source_fields,
        )
        for page in joined(pages):
            yield page, None
            if work.turn_is_over():
                return
            if work.partition.number == 1:
                yield from replayed(work, source)


def since(work: Work) -> Cursor | None:
    """Where an incremental run starts: at its cursor less the lookback, which costs nothing, since what is unchanged is recognised.
    A run by numbers was given its place when it was made (see `lookback`)."""
    if not work.run.since_value:
        return None
    field = work.source.field(work.source.cursor_field or "")
    if field is None:
        return Cursor(work.run.since_value, "")
    return Cursor(read_again_from(field.type, work.run.since_value, work.sync.lookback_seconds), "")


def until(work: Work) -> str | None:
    """Up to where an incremental run reads. A full one takes what there is, also what is dated ahead; only the cursor stops at the bound."""
    return work.run.read_until or None if work.run.since_value else None


def joined(pages: Iterable[Page]) -> Iterator[Page]:
    """Small pages as larger ones, in which mapping, comparing and committing cost less a record. Where reading fails, what was read before it
    comes first: a source that breaks off after every few pages is read to its end all the same."""
    waiting: list[Page] = []
    rows, enough, started = 0, FIRST_ROWS, time.monotonic()
    try:
        for page in pages:
            waiting.append(page)
            rows += page.frame.height
            if page.position is None or rows >= min(enough, PAGE_ROWS) or time.monotonic() - started >= PAGE_SECONDS:
                yield join(waiting)
                waiting, rows, enough, started = [], 0, enough * 2, time.monotonic()
    except (SystemDown, Stopped):  # a bad answer is no such break: a list that repeats itself would pass for progress
        if waiting:
            yield join(waiting)
        raise


def join(pages: list[Page]) -> Page:
    import polars as pl

    if len(pages) == 1:
        return pages[0]
    misfits: list[Misfit] = []
    offset = 0
    for page in pages:
        misfits += [Misfit(m.row + offset, m.field, m.text, m.reason) for m in page.misfits]
        offset += page.frame.height
    return Page(
        frame=pl.concat([page.frame for page in pages]),
        position=pages[-1].position,
        misfits=misfits,
        absent=_joined_absent(pages),
        deleted=[key for page in pages for key in page.deleted],
        cursor=pages[-1].cursor,
    )


def _joined_absent(pages: list[Page]) -> pl.DataFrame | None:
    import polars as pl

    names = sorted({name for page in pages if page.absent is not None for name in page.absent.columns})
    if not names:
        return None
    parts = []
    for page in pages:
        known = page.absent if page.absent is not None else pl.DataFrame()
        none = pl.Series([False] * page.frame.height, dtype=pl.Boolean)
        parts.append(pl.DataFrame({name: known[name] if name in known.columns else none for name in names}).fill_null(False))
    return pl.concat(parts)


def wanted(work: Work, source: Connector) -> Iterator[tuple[Page, int]]:
    """Named records: those the run was started for, or the open rows whose turn it is, read anew, or as they were kept where the source can't be asked."""
    if work.run.keys is None:
        yield from _that_wait(work, source, tellable(_open_keys(work)))
    else:  # a page for every so many of them, so the number of the last page says how many are done
        yield from named(work, source, tellable(work.run.keys)[work.partition.page_number * WANTED_ROWS :])


def _that_wait(work: Work, source: Connector, keys: list[str]) -> Iterator[tuple[Page, int]]:
    """Records of open rows, beside a reading of the source. Where that says that it holds nothing they stay as they are: what comes of it shows behind the
    reading, which may take it for what it is."""
    try:
        yield from named(work, source, keys)
    except HoldsNothing as error:
        stages.say(work.run, _("{problem} What waits since earlier runs is left for the next one."), "warning", problem=error.text)


def wants_named(work: Work) -> bool:
    """Whether there are named records to take before the source itself is read."""
    return work.run.keys is not None or bool(tellable(_open_keys(work)))


def named(work: Work, source: Connector, keys: list[str]) -> Iterator[tuple[Page, int]]:
    """These records, with how many of them were asked for. An open row whose record the source no longer has is closed: there is nothing left to do for it."""
    for start in range(0, len(keys), WANTED_ROWS):
        some = keys[start : start + WANTED_ROWS]
        if work.source.capabilities.lookup_by_key:
            yield asked_for(work, source, some), len(some)
        else:
            yield as_kept(work, some), len(some)


def asked_for(work: Work, source: Connector, keys: list[str]) -> Page:
    """These records as the source has them now, with those that cannot be read found by halves, so that one of them holds up no other."""
    try:
        frame = look_up(work, source, work.source, KEY, keys, work.source_fields)
    except Unreadable as error:
        if len(keys) > 1:
            half = len(keys) // 2
            return join([asked_for(work, source, keys[:half]), asked_for(work, source, keys[half:])])
        return unreadable(work, keys[0], error)
    gone = sorted(set(keys) - set(canonical_key(frame, work.source.key)))
    if not work.run.dry and gone:
        openrows.close_gone(work.run, gone)
    return Page(frame, position=None, deleted=gone)


def unreadable(work: Work, key: str, error: Unreadable) -> Page:
    """A record that holds a value that does not fit: as its open row has it, where that could not be read either, else not readable as a whole.
    Without an open row nothing is known of it but its key."""
    page = as_kept(work, [key])
    if not page.frame.height:
        raise error
    return page if page.misfits else Page(page.frame, position=None, misfits=[Misfit(0, "", "", error.text)])


def replayed(work: Work, source: Connector) -> Iterator[tuple[Page, int]]:
    """Records that somebody had replayed while this run was going: they join it as pages of their own."""
    rows = OpenRow.objects.open().filter(sync=work.sync, side=work.run.source_side, replay_at__gt=work.read_from)
    newest = rows.order_by("-replay_at").values_list("replay_at", flat=True).first()
    if newest is None:
        return
    keys = list(rows.filter(replay_at__lte=newest).order_by("pk").values_list("key", flat=True))
    work.read_from = newest
    yield from _that_wait(work, source, tellable(keys))


def _open_keys(work: Work) -> Iterable[str]:
    """Open rows that every run takes up, each once a run, those that somebody asked for, and those that another mapping may no longer park."""
    from django.db.models import Q

    rows = OpenRow.objects.open().filter(sync=work.sync, side=work.run.source_side)
    return (
        rows.filter(
            Q(again=True) & ~Q(run=work.run)
            | Q(replay_at__isnull=False)
            | Q(state=OpenState.PARKED) & ~Q(mapping_version=work.run.mapping_version_id)
        )
        .exclude(state=OpenState.WITHHELD)
        .order_by("pk")
        .values_list("key", flat=True)
    )


def as_kept(work: Work, keys: list[str]) -> Page:
    """The source records as their open rows hold them; of one that was deleted in the source there is none."""
    rows = OpenRow.objects.open().filter(sync=work.sync, side=work.run.source_side, key__in=keys)
    return kept_page(work, list(rows.exclude(step="delete")))


def kept_page(work: Work, rows: list[OpenRow]) -> Page:
    """The source records that these open rows hold. A value that could not be read is still none that can: it stays a misfit, not a null."""
    import polars as pl

    schema = work.source.frame_schema(work.source_fields)
    records = [unpacked_record(row.record) for row in rows]
    columns = {name: [None if record.get(name) is None else str(record[name]) for record in records] for name in schema}
    return Page(
        pl.DataFrame([openrows.typed(pl.Series(name, values, dtype=pl.String), schema[name]) for name, values in columns.items()]),
        position=None,
        misfits=[
            Misfit(place, row.field, row.value, Text(row.reason["template"], row.reason["values"]))
            for place, row in enumerate(rows)
            if row.step == "read" and (row.field == "" or row.field in schema)
        ]
        + mends.unread(rows),
    )


def nothing(work: Work) -> Page:
    """The empty last page of a run over named records."""
    import polars as pl

    return Page(pl.DataFrame(schema=work.source.frame_schema(work.source_fields)), position=None)
