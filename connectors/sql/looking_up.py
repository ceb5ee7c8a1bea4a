"""Finding many records by their keys, or by the values of one column."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl
import sqlalchemy as sa

from connectors.base import KEY, Entity, Unreadable, _
from connectors.canonical import key_parts
from connectors.sql.columns import Column, Unfit
from connectors.sql.databases import Database
from connectors.sql.reading import column_of, fitted
from connectors.sql.tables import Table


def looked_up(database: Database, table: Table, entity: Entity, by: str, values: Sequence[str], fields: Sequence[str] | None) -> pl.DataFrame:
    names = entity.key if by == KEY else (by,)
    asked = [column_of(table, entity, name, database.system) for name in names]
    wanted = [f.name for f in entity.fields if fields is None or f.name in set(fields)]
    columns = [column_of(table, entity, name, database.system) for name in wanted]
    found = [pl.DataFrame(schema=entity.frame_schema(wanted))]
    texts = list(dict.fromkeys(values))
    for start in range(0, len(texts), database.most_values):
        some = list(_values(asked, texts[start : start + database.most_values]))
        if not some:
            continue
        select = sa.select(*(database.shown(c).label(c.name) for c in columns)).select_from(table.sql)
        with database.request():
            raw = database.found(select, database.among(asked, some), columns)
        frame, misfits = fitted(raw, columns)
        if misfits:
            raise Unreadable(
                _("{system} has a record in {entity} whose {field} does not fit: {text} {reason}."),
                system=database.system,
                entity=entity.name,
                field=misfits[0].field,
                text=misfits[0].text,
                reason=misfits[0].reason,
            )
        found.append(frame)
    return pl.concat(found)


def _values(columns: Sequence[Column], texts: Sequence[str]) -> Iterator[list[Any]]:
    """The values of canonical texts; a text that is no value of its column is no record's."""
    for text in texts:
        try:
            yield [column.value(part) for column, part in zip(columns, key_parts(text, len(columns)), strict=True)]
        except (Unfit, ValueError):
            continue
