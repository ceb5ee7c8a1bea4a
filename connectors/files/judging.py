"""Which changes of a portion a file takes, and why it does not take the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from connectors.base import Changes, Field, Text, _
from connectors.canonical import canonical_text, key_parts
from connectors.files.segments import KEY, OPERATION, SENT, among, keys_of, sent
from connectors.files.settings import FileSettings
from connectors.files.writers import Writer

ROW, DONE = "#row", "#done"


def judged(
    changes: Changes, records: pl.DataFrame, declared: FileSettings, fields: Sequence[Field], writer: Writer
) -> tuple[pl.DataFrame, dict[int, Text]]:
    """(what is taken, as a segment with the number of each row in ROW, and in DONE whether it is so already; row → why it is not taken)"""
    rows = _rows(changes, fields, declared.key)
    is_create, is_update = rows[OPERATION] == "create", rows[OPERATION] == "update"
    known = rows[KEY].is_in(records[KEY].filter(among(records, rows[KEY])).implode()).fill_null(value=False)
    same = rows[ROW].is_in(_as_they_are(rows.filter(is_create & known), records, fields).implode())
    again = rows.select((pl.col(KEY).cum_count().over(OPERATION, KEY) > 1).alias(KEY))[KEY] & rows[KEY].is_not_null()
    moves = rows[ROW].is_in([row[ROW] for row in rows.filter(is_update).iter_rows(named=True) if _moves(row, declared.key)])
    names = {"path": declared.path, "field": ", ".join(declared.key)}
    reasons = {
        _("{path} takes no record without {field}, its key"): is_create & rows[KEY].is_null(),
        _("{path} already has a record whose {field} is {key}"): is_create & (again | (known & ~same)),
        _("{path} no longer has a record whose {field} is {key}"): is_update & ~known,
        _("the key {field} of a record in {path} cannot be changed"): moves,
    }
    refused = writer.unwritable(rows.rename({ROW: "row"}).select("row", *(f.name for f in fields if f.name in rows.columns)))
    for template, wrong in reasons.items():
        refused |= {row: Text(template, {**names, "key": key}) for row, key in rows.filter(wrong).select(ROW, KEY).iter_rows()}
    done = same | ((rows[OPERATION] == "delete") & ~known)
    return rows.with_columns(done.alias(DONE)).filter(~pl.col(ROW).is_in(list(refused))), refused


def _rows(changes: Changes, fields: Sequence[Field], key: Sequence[str]) -> pl.DataFrame:
    names = [f.name for f in fields if f.name in changes.values.columns]
    rows = changes.about.select(pl.col("row").alias(ROW), pl.col("operation").alias(OPERATION), pl.col("key").alias(KEY))
    rows = rows.with_columns(changes.values.select(names).get_columns())
    if changes.send is not None:
        rows = rows.with_columns(changes.send[n].alias(SENT + n) for n in names if n in changes.send.columns)
    if set(key) <= set(names):
        rows = rows.with_columns(pl.when(pl.col(OPERATION) == "create").then(keys_of(rows, key)).otherwise(pl.col(KEY)).alias(KEY))
    return rows


def _as_they_are(creates: pl.DataFrame, records: pl.DataFrame, fields: Sequence[Field]) -> pl.Series:
    """The rows of creates whose record is there just as they say: they came before."""
    if creates.is_empty():
        return creates[ROW]
    both = creates.join(records, on=KEY, how="inner", suffix="#now")
    names = [f.name for f in fields if f.name in creates.columns]
    return both.filter(pl.all_horizontal(pl.col(n).eq_missing(pl.col(f"{n}#now")) | ~sent(creates, n) for n in names))[ROW]


def _moves(update: Mapping[str, Any], key: Sequence[str]) -> bool:
    """Whether this update would give the record another key."""
    parts = zip(key, key_parts(update[KEY], len(key)), strict=True)
    return any(n in update and update.get(SENT + n, True) and (update[n] is None or canonical_text(update[n]) != part) for n, part in parts)
