"""From one of the hub's types to another: what does not fit becomes null, which its caller takes for a failure.

Nothing is rounded, cut or guessed here. What would need a guess (a time without a zone, a time as a date) is no conversion at all, and
asks for a step or a function that says how. Used alike by CAST in expressions and by mappings on the way into the target's field.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from connectors.base import FieldType, _, frame_type

from .formats import whole_years
from .sharing import let

if TYPE_CHECKING:
    import polars as pl

T = FieldType
ISO_DATE = "%Y-%m-%d"
ISO_DATETIME = "%Y-%m-%dT%H:%M:%S%.f%#z"

NOT_A_TYPE = {
    T.TEXT: _("“{value}” cannot be written as text."),
    T.INTEGER: _("“{value}” is not a whole number."),
    T.NUMBER: _("“{value}” is not a number that can be kept exactly."),
    T.DECIMAL: _("“{value}” is not a decimal number with at most {scale} digits behind the point."),
    T.BOOLEAN: _("“{value}” is neither “true” nor “false”."),
    T.DATE: _("“{value}” is not a date of the form 2026-11-24."),
    T.TIME: _("“{value}” is not a time of the form 10:42:00."),
    T.DATETIME: _("“{value}” is not a time with a zone, of the form 2026-11-24T10:42:00Z."),
    T.JSON: _("“{value}” is not JSON."),
    T.BINARY: _("“{value}” cannot be written as bytes."),
}


@dataclass(frozen=True, slots=True)
class Conversion:
    """`build(value, scale)`; `can_fail`: a present value may become null."""

    build: Callable[[pl.Expr, int], pl.Expr]
    can_fail: bool = True


def convert(value: pl.Expr, source: FieldType, target: FieldType, scale: int = 9) -> pl.Expr:
    """The value in the target's type. KeyError where there is no conversion: ask `conversion` first."""
    return CONVERSIONS[source, target].build(value, scale)


def conversion(source: FieldType, target: FieldType) -> Conversion | None:
    return CONVERSIONS.get((source, target))


# --- into text --------------------------------------------------------------------------------------------------------


def number_text(value: pl.Expr) -> pl.Expr:
    """The shortest text that reads back as the number; whole ones without a point, as JSON has it."""
    import polars as pl

    return value.cast(pl.String).str.strip_suffix(".0")


def decimal_text(value: pl.Expr) -> pl.Expr:
    import polars as pl

    def shorten(text: pl.Expr) -> pl.Expr:
        return pl.when(text.str.contains(".", literal=True)).then(text.str.strip_chars_end("0").str.strip_suffix(".")).otherwise(text)

    return let(value.cast(pl.String), shorten)


def datetime_text(value: pl.Expr) -> pl.Expr:
    return value.dt.strftime("%Y-%m-%dT%H:%M:%S%.fZ")


def json_scalar_text(value: pl.Expr) -> pl.Expr:
    """A JSON string without its quotes; everything else as JSON has it."""
    return value.str.json_path_match("$")


def _plain_text(value: pl.Expr, scale: int) -> pl.Expr:
    import polars as pl

    return value.cast(pl.String)


# --- into JSON --------------------------------------------------------------------------------------------------------

_CONTROLS = [chr(code) for code in range(32)] + ['"', "\\"]
_ESCAPES = [{8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r"}.get(code, f"\\u{code:04x}") for code in range(32)] + ['\\"', "\\\\"]


def json_string(value: pl.Expr) -> pl.Expr:
    """A text as a JSON string."""
    import polars as pl

    return pl.concat_str(pl.lit('"'), value.str.replace_many(_CONTROLS, _ESCAPES), pl.lit('"'))


def _quoted(text: Callable[[pl.Expr, int], pl.Expr]) -> Callable[[pl.Expr, int], pl.Expr]:
    return lambda value, scale: json_string(text(value, scale))


# --- into numbers -----------------------------------------------------------------------------------------------------


def _text_to_number(value: pl.Expr, scale: int) -> pl.Expr:
    import polars as pl

    return finite(value.cast(pl.Float64, strict=False))


def finite(number: pl.Expr) -> pl.Expr:
    """Infinities and NaN are no values of the hub."""
    import polars as pl

    return let(number, lambda n: pl.when(n.is_finite()).then(n))


def _text_to_integer(value: pl.Expr, scale: int) -> pl.Expr:
    import polars as pl

    return value.cast(pl.Int64, strict=False)


def _whole(value: pl.Expr, scale: int) -> pl.Expr:
    import polars as pl

    return pl.when(value == value.floor()).then(value.cast(pl.Int64, strict=False))


def _integer_to_number(value: pl.Expr, scale: int) -> pl.Expr:
    """Beyond 2⁵³ not every whole number has a float."""
    import polars as pl

    number = value.cast(pl.Float64)
    return pl.when(number.cast(pl.Int64, strict=False) == value).then(number)


def _text_to_decimal(value: pl.Expr, scale: int) -> pl.Expr:
    """Polars would round what has more digits than the field."""
    import polars as pl

    fits = value.str.contains(rf"^[+-]?(\d+(\.\d{{0,{scale}}}0*)?|\.\d{{1,{scale}}}0*)$") if scale else value.str.contains(r"^[+-]?\d+(\.0*)?$")
    return pl.when(fits).then(value.cast(pl.Decimal(38, scale), strict=False))


def _decimal_to_decimal(value: pl.Expr, scale: int) -> pl.Expr:
    import polars as pl

    narrowed = value.cast(pl.Decimal(38, scale), strict=False)
    return pl.when(narrowed == value).then(narrowed)


def _number_to_decimal(value: pl.Expr, scale: int) -> pl.Expr:
    """By the number's shortest text, so that 0.1 is 0.1 and 0.123 does not fit two digits."""
    import polars as pl

    near = value.cast(pl.Decimal(38, scale), strict=False)
    return pl.when(near.cast(pl.Float64) == value).then(near)


def _integer_to_decimal(value: pl.Expr, scale: int) -> pl.Expr:
    import polars as pl

    return value.cast(pl.Decimal(38, scale), strict=False)


def _decimal_to_number(value: pl.Expr, scale: int) -> pl.Expr:
    import polars as pl

    return value.cast(pl.Float64)


# --- into booleans, dates, times --------------------------------------------------------------------------------------


def _text_to_boolean(value: pl.Expr, scale: int) -> pl.Expr:
    import polars as pl

    lower = value.str.to_lowercase()
    return pl.when(lower == "true").then(pl.lit(True)).when(lower == "false").then(pl.lit(False))


def ends_of_calendar(of: FieldType) -> tuple[pl.Expr, pl.Expr]:
    """The first and the last date or time that there is: Polars knows others, which cannot be stored or shown."""
    import polars as pl

    if of is T.DATE:
        return pl.lit(dt.date.min), pl.lit(dt.date.max)
    first, last = dt.datetime.min.replace(tzinfo=dt.UTC), dt.datetime.max.replace(tzinfo=dt.UTC)
    return pl.lit(first, frame_type(T.DATETIME)), pl.lit(last, frame_type(T.DATETIME))


def within_calendar(value: pl.Expr, of: FieldType) -> pl.Expr:
    """A date or time; null outside the calendar."""
    import polars as pl

    return let(value, lambda moment: pl.when(moment.is_between(*ends_of_calendar(of))).then(moment))


def _text_to_date(value: pl.Expr, scale: int) -> pl.Expr:
    return whole_years(value, ISO_DATE).str.to_date(ISO_DATE, strict=False)


def _text_to_time(value: pl.Expr, scale: int) -> pl.Expr:
    return value.str.to_time("%H:%M:%S%.f", strict=False)


def _text_to_datetime(value: pl.Expr, scale: int) -> pl.Expr:
    whole = whole_years(value, ISO_DATETIME)
    return whole.str.replace(" ", "T", literal=True).str.to_datetime(ISO_DATETIME, strict=False, time_unit="us", time_zone="UTC")


def _date_to_datetime(value: pl.Expr, scale: int) -> pl.Expr:
    import polars as pl

    return value.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


def _text_to_binary(value: pl.Expr, scale: int) -> pl.Expr:
    import polars as pl

    return value.cast(pl.Binary)


def _binary_to_text(value: pl.Expr, scale: int) -> pl.Expr:
    return value.bin.encode("base64")


def _same(value: pl.Expr, scale: int) -> pl.Expr:
    return value


def _after_text(build: Callable[[pl.Expr, int], pl.Expr]) -> Conversion:
    """From a JSON scalar by way of its text."""
    return Conversion(lambda value, scale: let(json_scalar_text(value), lambda text: build(text, scale)))


CONVERSIONS: dict[tuple[FieldType, FieldType], Conversion] = {
    **{(type_, type_): Conversion(_same, can_fail=False) for type_ in FieldType},
    (T.NUMBER, T.NUMBER): Conversion(lambda value, scale: finite(value)),
    (T.DECIMAL, T.DECIMAL): Conversion(_decimal_to_decimal),
    (T.INTEGER, T.TEXT): Conversion(_plain_text, can_fail=False),
    (T.NUMBER, T.TEXT): Conversion(lambda value, scale: number_text(finite(value))),
    (T.DECIMAL, T.TEXT): Conversion(lambda value, scale: decimal_text(value), can_fail=False),
    (T.BOOLEAN, T.TEXT): Conversion(_plain_text, can_fail=False),
    (T.DATE, T.TEXT): Conversion(_plain_text, can_fail=False),
    (T.TIME, T.TEXT): Conversion(lambda value, scale: value.dt.strftime("%H:%M:%S%.f"), can_fail=False),
    (T.DATETIME, T.TEXT): Conversion(lambda value, scale: datetime_text(value), can_fail=False),
    (T.JSON, T.TEXT): Conversion(lambda value, scale: json_scalar_text(value)),
    (T.BINARY, T.TEXT): Conversion(_binary_to_text, can_fail=False),
    (T.TEXT, T.INTEGER): Conversion(_text_to_integer),
    (T.NUMBER, T.INTEGER): Conversion(_whole),
    (T.DECIMAL, T.INTEGER): Conversion(_whole),
    (T.JSON, T.INTEGER): _after_text(_text_to_integer),
    (T.TEXT, T.NUMBER): Conversion(_text_to_number),
    (T.INTEGER, T.NUMBER): Conversion(_integer_to_number),
    (T.DECIMAL, T.NUMBER): Conversion(_decimal_to_number, can_fail=False),
    (T.JSON, T.NUMBER): _after_text(_text_to_number),
    (T.TEXT, T.DECIMAL): Conversion(_text_to_decimal),
    (T.INTEGER, T.DECIMAL): Conversion(_integer_to_decimal),
    (T.NUMBER, T.DECIMAL): Conversion(_number_to_decimal),
    (T.JSON, T.DECIMAL): _after_text(_text_to_decimal),
    (T.TEXT, T.BOOLEAN): Conversion(_text_to_boolean),
    (T.JSON, T.BOOLEAN): _after_text(_text_to_boolean),
    (T.TEXT, T.DATE): Conversion(_text_to_date),
    (T.JSON, T.DATE): _after_text(_text_to_date),
    (T.TEXT, T.TIME): Conversion(_text_to_time),
    (T.JSON, T.TIME): _after_text(_text_to_time),
    (T.TEXT, T.DATETIME): Conversion(_text_to_datetime),
    (T.JSON, T.DATETIME): _after_text(_text_to_datetime),
    (T.DATE, T.DATETIME): Conversion(_date_to_datetime, can_fail=False),
    (T.INTEGER, T.JSON): Conversion(_plain_text, can_fail=False),
    (T.NUMBER, T.JSON): Conversion(lambda value, scale: number_text(finite(value))),
    (T.DECIMAL, T.JSON): Conversion(lambda value, scale: decimal_text(value), can_fail=False),
    (T.BOOLEAN, T.JSON): Conversion(_plain_text, can_fail=False),
    (T.DATE, T.JSON): Conversion(_quoted(_plain_text), can_fail=False),
    (T.DATETIME, T.JSON): Conversion(_quoted(lambda value, scale: datetime_text(value)), can_fail=False),
    (T.TEXT, T.BINARY): Conversion(_text_to_binary, can_fail=False),
}
