"""Pages, outcomes and portions as the kit compares them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from connectors.base import CHANGE_COLUMNS, Changes, Entity, Operation, Outcome, Page
from connectors.canonical import canonical_key

Values = Mapping[str, Any]


def changes(entity: Entity, rows: Sequence[tuple[Operation, str | None, Values]]) -> Changes:
    """A portion as the hub makes it; all rows send the fields of the first that has any."""
    names = [f.name for f in entity.fields if any(f.name in values for _operation, _key, values in rows)]
    schema = entity.frame_schema(names)
    values = pl.DataFrame({n: [v.get(n) for _operation, _key, v in rows] for n in names}, schema=schema) if names else pl.DataFrame()
    about = pl.DataFrame(
        [(number, operation, key, f"kit-{uuid.uuid4()}") for number, (operation, key, _values) in enumerate(rows)],
        schema=CHANGE_COLUMNS,
        orient="row",
    )
    return Changes(about, values)


def whole(pages: Iterator[Page]) -> pl.DataFrame:
    return pl.concat([page.frame for page in pages])


def keys_of(entity: Entity, pages: Iterator[Page] | Sequence[Page]) -> list[str]:
    return [canonical_key(row) for page in pages for row in page.frame.select(entity.key).iter_rows()]


def by_key(entity: Entity, pages: Iterator[Page]) -> dict[str, dict[str, Any]]:
    return {canonical_key([row[k] for k in entity.key]): row for page in pages for row in page.frame.iter_rows(named=True)}


def by_row(outcomes: Sequence[Outcome], count: int) -> list[Outcome]:
    """The outcomes by row; each row has exactly one."""
    assert sorted(o.row for o in outcomes) == list(range(count))
    return sorted(outcomes, key=lambda o: o.row)


def holds(record: Values, values: Values) -> bool:
    """The record has these values."""
    return all(record.get(name) == value for name, value in values.items())


def missing_key(entity: Entity) -> str:
    """A key that no record has."""
    texts = {"integer": "987654321", "datetime": "1971-01-01T00:00:00.000000Z", "date": "1971-01-01"}
    return canonical_key([texts.get((entity.field(name) or entity.fields[0]).type, "no-such-key-98217") for name in entity.key])
