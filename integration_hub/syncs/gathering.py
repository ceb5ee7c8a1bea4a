"""Gathering: pages whose records are almost all as the run before left them are compared as one, without these records.

What a page costs besides its records, such as asking the target, a change set and its commits, is then paid once for several: a change in each page of
a large table cost more than all the pages themselves.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import fields, replace
from typing import TYPE_CHECKING

from integration_hub.syncs.compare import MappedPage
from integration_hub.syncs.models import OpenRow
from integration_hub.syncs.prints import field_hashes
from integration_hub.syncs.refused import standing
from integration_hub.syncs.schedule import cursor_order
from integration_hub.syncs.unchanged import Unchanged, marks_of
from integration_hub.syncs.work import Counts, Work

if TYPE_CHECKING:
    import numpy as np

ROWS = 1_000  # that a page may have left to compare, and of which a gathered one is large enough
PAGES = 8  # of which one is gathered, lest too much be read again by whoever takes over
SECONDS = 1.0  # for which a page waits for others
OPEN_AT_MOST = 10_000


def gathered(work: Work, pages: Generator[MappedPage]) -> Generator[MappedPage]:
    """The same pages with the prints of their records, and with which of these are as the run before left them; several as one where that is almost all."""
    before = Unchanged.of(work)
    some: list[MappedPage] = []
    began, spoken_of = 0.0, None
    with closing(pages):
        try:
            for page in pages:
                if before is not None and not some:
                    spoken_of = _spoken_of(work)
                few = narrowed(known(work, page, before), spoken_of)
                if few is None:
                    if some:
                        yield joined(work, some)
                        some = []
                    yield page
                    continue
                began = began if some else time.monotonic()
                some.append(few)
                rows = sum(len(one.keys) for one in some)
                if page.last or len(some) == PAGES or rows >= ROWS or time.monotonic() - began >= SECONDS:
                    yield joined(work, some)
                    some = []
        except Exception:  # what was read before it comes first
            if some:
                yield joined(work, some)
            raise
        if some:  # the turn is over
            yield joined(work, some)


def known(work: Work, page: MappedPage, before: Unchanged | None) -> MappedPage:
    """The page with the prints of its records, and which of these are as agreed before."""
    page.hashes = field_hashes(page.target, work.fields)
    page.marks = marks_of(work, page.keys, page.hashes)
    if before is not None and page.marks is not None:
        page.as_agreed = page.send.all(axis=1) & before.holds(page.number, page.marks)
    return page


def narrowed(page: MappedPage, spoken_of: Sequence[str] | None) -> MappedPage | None:
    """The page without the records that are as agreed, where hardly any other is left. None where it has to be compared as it is."""
    import numpy as np
    import polars as pl

    if page.as_agreed is None or page.marks is None or page.hashes is None or page.wanted or page.left or spoken_of is None:
        return None
    stays = ~page.as_agreed
    if stays.sum() > ROWS:
        return None
    if spoken_of:
        stays |= pl.Series(page.keys, dtype=pl.String).is_in(spoken_of).to_numpy()
    chosen, gone = pl.Series(stays), int((~stays).sum())
    keys, prints = page.marks
    return replace(
        page,
        source=page.source.filter(chosen),
        target=page.target.filter(chosen),
        send=page.send[stays],
        keys=[page.keys[row] for row in np.flatnonzero(stays)],
        match={alternative: values.filter(chosen) for alternative, values in page.match.items()},
        counts=replace(page.counts, produced=page.counts.produced + gone, unchanged=page.counts.unchanged + gone),
        hashes=page.hashes[stays],
        marks=(keys[stays], prints[stays]),
        as_agreed=page.as_agreed[stays],
        left_out=(keys[~stays], prints[~stays]),
    )


def _spoken_of(work: Work) -> list[str] | None:
    """The keys of which something is open, or was refused, and that are therefore looked at even where nothing has changed. None: too many to tell."""
    rows = OpenRow.objects.filter(sync=work.sync, side=work.run.source_side)
    keys = [key for some in (rows.filter(closed_at=None), rows.filter(standing())) for key in some.values_list("key", flat=True)[: OPEN_AT_MOST + 1]]
    return keys if len(keys) <= OPEN_AT_MOST else None


def joined(work: Work, pages: Sequence[MappedPage]) -> MappedPage:
    """One page of several that follow each other: what was read up to the end of the last."""
    import numpy as np
    import polars as pl

    if len(pages) == 1:
        return pages[0]
    last = pages[-1]
    counts = {each.name: sum(getattr(page.counts, each.name) for page in pages) for each in fields(Counts)}
    rosters = [page.roster for page in pages if page.roster is not None]
    value, key = _greatest(work, pages)
    return replace(
        last,
        source=pl.concat([page.source for page in pages]),
        target=pl.concat([page.target for page in pages]),
        send=np.concatenate([page.send for page in pages]),
        keys=[key for page in pages for key in page.keys],
        match={alternative: pl.concat([page.match[alternative] for page in pages]) for alternative in last.match},
        counts=Counts(**counts),
        last_value=value,
        last_key=key,
        filtered_keys=[key for page in pages for key in page.filtered_keys],
        roster=pl.concat(rosters) if rosters else None,
        hashes=np.concatenate([page.hashes for page in pages if page.hashes is not None]),
        as_agreed=np.concatenate([page.as_agreed for page in pages if page.as_agreed is not None]),
        marks=_both([page.marks for page in pages]),
        left_out=_both([page.left_out for page in pages]),
    )


def _both(marks: Sequence[tuple[np.ndarray, np.ndarray] | None]) -> tuple[np.ndarray, np.ndarray]:
    import numpy as np

    keys, prints = zip(*(one for one in marks if one is not None), strict=True)
    return np.concatenate(keys), np.concatenate(prints)


def _greatest(work: Work, pages: Sequence[MappedPage]) -> tuple[str, str]:
    """The cursor behind these pages: the greatest that was read, or the last that the system itself told."""
    told = [(page.last_value, page.last_key) for page in pages if page.last_value]
    field = work.source.field(work.source.cursor_field or "")
    if not told or field is None or work.source.capabilities.own_cursor:
        return told[-1] if told else ("", "")
    return max(told, key=lambda cursor: cursor_order(field.type, *cursor))
