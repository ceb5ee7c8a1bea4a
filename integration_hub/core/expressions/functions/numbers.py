"""Functions of numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from connectors.base import FieldType, _, frame_type

from .. import values as v
from ..conversions import finite
from ..values import Value
from .base import INTEGER, NUMBER, Argument, T, declare, written_number

if TYPE_CHECKING:
    import polars as pl


def _rounded(how: str) -> Callable[..., Value]:
    def make(value: Value, digits: int = 0) -> Value:
        if value.type is T.INTEGER:
            return value
        type_ = value.type or T.NUMBER
        return v.strict(type_, [value], lambda x: round_to(x, digits, how, type_), fallible=type_ is T.DECIMAL)

    return make


def within_decimal(value: pl.Expr) -> pl.Expr:
    """Null for the greatest decimals: rounding one of them up would overflow, which Polars answers with an error for the whole column."""
    import polars as pl

    return pl.when(value.cast(pl.Float64).abs() < 9.9e28).then(value)


def round_to(value: pl.Expr, digits: int, how: str, type_: FieldType) -> pl.Expr:
    """`how`: round (halves away from zero), trunc; floor and ceil know no digits. What overflows is null."""
    if type_ is T.DECIMAL:
        value = within_decimal(value)
    if how == "round":
        rounded = value.round(digits, mode="half_away_from_zero")
    elif how == "trunc":
        rounded = value.truncate(digits)
    else:
        rounded = value.floor() if how == "floor" else value.ceil()
    return rounded.cast(frame_type(type_), strict=False)


def _absolute(value: Value) -> Value:
    import polars as pl

    if value.type is T.INTEGER:
        return v.strict(T.INTEGER, [value], lambda x: x.cast(pl.Int128).abs().cast(pl.Int64, strict=False), fallible=True)
    return v.strict(value.type or T.NUMBER, [value], lambda x: x.abs())


def _sign(value: Value) -> Value:
    return v.strict(T.INTEGER, [value], lambda x: x.sign().cast(frame_type(T.INTEGER)))


def _power(base: Value, exponent: Value) -> Value:
    return v.strict(T.NUMBER, [v.as_type(base, T.NUMBER), v.as_type(exponent, T.NUMBER)], lambda x, y: finite(x**y), fallible=True)


def _root(value: Value) -> Value:
    return v.strict(T.NUMBER, [v.as_type(value, T.NUMBER)], lambda x: finite(x.sqrt()), fallible=True)


def _whole_division(value: Value, divisor: Value) -> Value:
    return v.strict(T.INTEGER, [value, divisor], v.whole_division, fallible=True)


_DIGITS = Argument("digits", written_number(0, 9), optional=True)
for _name, _text, _shown in (
    ("round", _("Rounded to so many digits, halves away from zero."), "round(2.345, 1) = 2.3"),
    ("trunc", _("Cut off after so many digits."), "trunc(2.9) = 2"),
    ("floor", _("The next whole number below."), "floor(2.9) = 2"),
    ("ceil", _("The next whole number above."), "ceil(2.1) = 3"),
):
    declare(_name, NUMBER("number"), *([_DIGITS] if _name in ("round", "trunc") else []), make=_rounded(_name), text=_text, example=_shown)
declare("abs", NUMBER("number"), make=_absolute, text=_("The number without its sign."), example="abs(-2) = 2")
declare("sign", NUMBER("number"), make=_sign, text=_("-1, 0 or 1."), example="sign(-2) = -1")
declare("power", NUMBER("base"), NUMBER("exponent"), make=_power, text=_("A number raised to a power."), example="power(2, 3) = 8")
declare("sqrt", NUMBER("number"), make=_root, text=_("The square root."), example="sqrt(9) = 3")
declare(
    "mod", NUMBER("number"), NUMBER("divisor"), make=lambda a, b: v.arithmetic("%", a, b), text=_("What a division leaves."), example="mod(7, 3) = 1"
)
declare("div", INTEGER("number"), INTEGER("divisor"), make=_whole_division, text=_("A division without its rest."), example="div(7, 3) = 2")
