"""Single records, as people see and store them, into pages and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from connectors.base import Entity, Field, FieldType, Misfit, Page, Text
from integration_hub.core.expressions.conversions import NOT_A_TYPE, convert

if TYPE_CHECKING:
    import polars as pl

T = FieldType
SHOWN = 200


def page_of(records: Sequence[Mapping[str, Any]], entity: Entity, fields: Sequence[str] | None = None) -> Page:
    """A page of records that lie here as JSON: flattened, values in the hub's text forms or as numbers and booleans. What does not fit is a misfit."""
    import polars as pl

    wanted = [f for f in entity.fields if fields is None or f.name in fields]
    misfits: list[Misfit] = []
    columns = [_column(records, field, misfits) for field in wanted]
    absent = {f.name: [f.name not in record for record in records] for f in wanted}
    missing = {name: mask for name, mask in absent.items() if any(mask)}
    return Page(pl.DataFrame(columns), None, misfits, pl.DataFrame(missing) if missing else None)


def _column(records: Sequence[Mapping[str, Any]], field: Field, misfits: list[Misfit]) -> pl.Series:
    import polars as pl

    texts: list[str | None] = []
    for row, record in enumerate(records):
        text = _text(record.get(field.name), field.type)
        if text is not None and any("\ud800" <= sign <= "\udfff" for sign in text):
            misfits.append(_misfit(row, field, text))
            text = None
        texts.append(text)
    given = pl.Series(field.name, texts, pl.String)
    if field.type in (T.TEXT, T.JSON):
        return given
    if field.type is T.BINARY:  # as plain_records writes it
        typed = given.str.decode("base64", strict=False)
    else:
        typed = given.to_frame().select(convert(pl.col(field.name), T.TEXT, field.type, field.scale).alias(field.name)).to_series()
    if typed.null_count() > given.null_count():
        lost = (given.is_not_null() & typed.is_null()).arg_true()
        misfits += [_misfit(row, field, texts[row] or "") for row in lost]
    return typed


def _misfit(row: int, field: Field, text: str) -> Misfit:
    shown = text.encode("utf-8", "backslashreplace").decode()[:SHOWN]
    return Misfit(row, field.name, shown, Text(NOT_A_TYPE[field.type], {"value": shown, "scale": field.scale}))


def _text(value: Any, type_: FieldType) -> str | None:
    if value is None:
        return None
    if type_ is T.JSON or isinstance(value, bool | dict | list):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return value if isinstance(value, str) else repr(value) if isinstance(value, float) else str(value)


def plain_records(frame: pl.DataFrame, fields: Sequence[Field]) -> list[dict[str, Any]]:
    """The rows of a frame as JSON: integers, numbers, booleans and JSON as such, everything else in the hub's text forms."""
    import polars as pl

    shown = frame.select(
        pl.col(f.name) if f.type in (T.INTEGER, T.NUMBER, T.BOOLEAN, T.TEXT, T.JSON) else convert(pl.col(f.name), f.type, T.TEXT).alias(f.name)
        for f in fields
        if f.name in frame.columns
    )
    nested = [f.name for f in fields if f.type is T.JSON and f.name in frame.columns]
    records = shown.to_dicts()
    for record in records:
        for name in nested:
            record[name] = _loads(record[name])
    return records


def _loads(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text
