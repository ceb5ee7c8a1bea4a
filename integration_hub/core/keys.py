"""Keys are text in a reversible canonical form: a single key as its own text, a composite as a JSON array. They are compared byte for byte."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl


def canonical_text(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """The canonical text of a value: numbers without leading or trailing zeros, times in UTC with microseconds, text as it is; null stays null."""
    import polars as pl

    if dtype == pl.String:
        return column
    if isinstance(dtype, pl.Datetime):
        return column.dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
    if dtype == pl.Time:
        return column.dt.strftime("%H:%M:%S%.6f").str.strip_suffix(".000000")
    if isinstance(dtype, pl.Decimal):
        text = column.cast(pl.String)
        return pl.when(text.str.contains(".", literal=True)).then(text.str.strip_chars_end("0").str.strip_chars_end(".")).otherwise(text)
    if dtype == pl.Binary:
        return column.bin.encode("hex")
    return column.cast(pl.String)


def canonical_key(frame: pl.DataFrame, fields: Sequence[str]) -> pl.Series:
    """The key of each record, from its key fields; null where any of them is null."""
    import polars as pl

    texts = [canonical_text(pl.col(name), frame.schema[name]) for name in fields]
    if len(texts) == 1:
        return frame.select(texts[0].alias("key")).to_series()
    # Struct → JSON object → array of its values; encoded as JSON strings, so that no value can forge a separator.
    parts = [pl.struct(text.alias("v")).struct.json_encode().str.slice(5).str.strip_suffix("}") for text in texts]
    whole = pl.concat_str([pl.lit("["), *[piece for part in parts for piece in (part, pl.lit(","))][:-1], pl.lit("]")])
    return frame.select(pl.when(pl.all_horizontal(text.is_not_null() for text in texts)).then(whole).alias("key")).to_series()
