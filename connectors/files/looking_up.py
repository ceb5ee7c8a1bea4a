"""Finding records by key or by the values of a field: a file has no index, so it is read through and what is asked for is kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import polars as pl

from connectors.base import KEY, Entity, Page, Unreadable, _, frame_type
from connectors.canonical import from_canonical, key_parts


def looked_up(pages: Iterable[Page], entity: Entity, by: str, values: Sequence[str], fields: Sequence[str] | None) -> pl.DataFrame:
    names = list(entity.key) if by == KEY else [by]
    asked = _asked(entity, names, values)
    wanted = [f.name for f in entity.fields if fields is None or f.name in set(fields)]
    found = [pl.DataFrame(schema=entity.frame_schema(wanted))]
    if not asked.height:
        return found[0]
    for page in pages:
        hits = page.frame.with_row_index("#row").join(asked, on=names, how="semi", maintain_order="left")
        if hits.height and page.misfits:
            _refuse_misfits(page, set(hits["#row"]), set(wanted), entity)
        found.append(hits.select(wanted))
    return pl.concat(found)


def _asked(entity: Entity, names: Sequence[str], values: Sequence[str]) -> pl.DataFrame:
    rows = list(_values(entity, names, dict.fromkeys(values)))
    schema = entity.frame_schema(names)
    return pl.DataFrame({name: [row[n] for row in rows] for n, name in enumerate(names)}, schema={name: schema[name] for name in names}, strict=False)


def _values(entity: Entity, names: Sequence[str], texts: Iterable[str]) -> Iterator[list[Any]]:
    """The values of canonical texts; a text that is no value of its field is no record's."""
    types = [entity.field(name) for name in names]
    for text in texts:
        try:
            row = [from_canonical(part, f.type) for f, part in zip(types, key_parts(text, len(names)), strict=True) if f is not None]
            for value, f in zip(row, types, strict=True):
                pl.Series([value], dtype=frame_type(f.type, f.scale), strict=True)  # type: ignore[union-attr]
        except (ValueError, KeyError, ArithmeticError, TypeError, pl.exceptions.PolarsError):
            continue
        yield row


def _refuse_misfits(page: Page, rows: set[int], wanted: set[str], entity: Entity) -> None:
    for misfit in page.misfits:
        if misfit.row in rows and misfit.field in wanted:
            raise Unreadable(
                _("{entity} has a record whose {field} does not fit: {text} {reason}."),
                entity=entity.label or entity.name,
                field=misfit.field,
                text=misfit.text,
                reason=misfit.reason,
            )
