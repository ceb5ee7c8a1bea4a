"""What a portion says of its records, and a table's records after it.

A segment has a column for each field that was sent, OPERATION, KEY (the record's key in canonical text), and for a field that not every record sends a
Boolean column SENT + its name.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from connectors.canonical import canonical_key

OPERATION, KEY, SENT = "#operation", "#key", "#sent:"


def with_segment(records: pl.DataFrame, segment: pl.DataFrame) -> pl.DataFrame:
    """The records after what the segment says of them; the same where they have it already."""
    deleted, created, updated = (segment.filter(pl.col(OPERATION) == operation) for operation in ("delete", "create", "update"))
    names = [n for n in records.columns if n != KEY and n in segment.columns]
    if updated.height:
        records = _with_updates(records, updated, names)
    gone = among(records, pl.concat([deleted[KEY], created[KEY]]))
    if gone.any():
        records = records.filter(~gone)
    if created.height:
        made = created.select(KEY, *(pl.when(sent(segment, n)).then(pl.col(n)).alias(n) for n in names))
        records = pl.concat([records, made.select([*names, KEY])], how="diagonal")
    return records


def _with_updates(records: pl.DataFrame, updated: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    masks = [c for c in updated.columns if c.startswith(SENT)]
    new = updated.select(KEY, *masks, *(pl.col(n).alias(f"{n}#new") for n in names), pl.lit(value=True).alias("#hit"))
    joined = records.join(new, on=KEY, how="left", maintain_order="left")
    changed = {n: (pl.col("#hit") & sent(updated, n)).fill_null(value=False) for n in names}
    return joined.with_columns(pl.when(changed[n]).then(pl.col(f"{n}#new")).otherwise(pl.col(n)).alias(n) for n in names).select(records.columns)


def sent(segment: pl.DataFrame, name: str) -> pl.Expr:
    """Whether a record sends this field."""
    return pl.col(SENT + name) if SENT + name in segment.columns else pl.lit(value=True)


def among(records: pl.DataFrame, keys: pl.Series) -> pl.Series:
    """Which of the records have one of these keys. (The other way round, all records would be hashed for each portion.)"""
    return records[KEY].is_in(keys.drop_nulls().implode()).fill_null(value=False)


def keys_of(records: pl.DataFrame, key: Sequence[str]) -> pl.Series:
    """The records' keys in canonical text; null where a part of it is."""
    if len(key) == 1 and records.schema[key[0]] in (pl.String, pl.Int64):
        return records[key[0]].cast(pl.String)
    return pl.Series([None if None in row else canonical_key(row) for row in records.select(key).iter_rows()], dtype=pl.String)
