"""What a function of the language is, and the kinds of arguments it takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.base import FieldType, _

from .. import values as v
from ..errors import ExpressionError
from ..formats import check_zone, read_format
from ..patterns import check_pattern
from ..values import NUMERIC, Value

T = FieldType
MAX_TEXT = 200  # of a text that must be written out


@dataclass(frozen=True, slots=True)
class Argument:
    """`accept` makes of a value what the function is built with: a Value, or the plain thing where it must be written out."""

    name: str
    accept: Callable[[Value], Any]
    optional: bool = False
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Function:
    """`make` is given what the arguments accepted."""

    name: str
    arguments: tuple[Argument, ...]
    make: Callable[..., Value]
    description: str
    example: str

    @property
    def signature(self) -> str:
        parts = [f"[{a.name}]" if a.optional else f"{a.name}, …" if a.repeated else a.name for a in self.arguments]
        return f"{self.name}({', '.join(parts)})"

    def call(self, given: Sequence[Value]) -> Value:
        least = sum(not a.optional for a in self.arguments)
        most = len(self.arguments) if not (self.arguments and self.arguments[-1].repeated) else 100
        if not least <= len(given) <= most:
            raise ExpressionError(_("{function} is written {signature}."), function=self.name, signature=self.signature)
        kinds = [*self.arguments, *[self.arguments[-1]] * (len(given) - len(self.arguments))] if self.arguments else []
        return self.make(*(kind.accept(value) for kind, value in zip(kinds, given, strict=False)))


# --- kinds of arguments -----------------------------------------------------------------------------------------------


def _integer(value: Value) -> Value:
    return v.need(value, T.INTEGER)


def _numeric(value: Value) -> Value:
    if value.type is None:
        return v.as_type(value, T.INTEGER)
    if value.type not in NUMERIC:
        raise ExpressionError(_("A number is needed here, but this is {type}."), type=v.name_of(value.type))
    return value


def _temporal(value: Value) -> Value:
    if value.is_literal and value.type is T.TEXT:
        return v.as_type(value, T.DATE if len(value.literal) == 10 else T.DATETIME)
    if value.type not in (T.DATE, T.DATETIME):
        raise ExpressionError(_("A date or a time is needed here, but this is {type}."), type=v.name_of(value.type))
    return value


def written_text(value: Value) -> str:
    if not value.is_literal or not isinstance(value.literal, str) or len(value.literal) > MAX_TEXT:
        raise ExpressionError(_("Here a text of at most {limit} characters must be written out in quotes."), limit=MAX_TEXT)
    return value.literal


def written_number(low: int, high: int) -> Callable[[Value], int]:
    def accept(value: Value) -> int:
        if not value.is_literal or not isinstance(value.literal, int) or isinstance(value.literal, bool) or not low <= value.literal <= high:
            raise ExpressionError(_("Here a whole number from {low} to {high} must be written out."), low=low, high=high)
        return value.literal

    return accept


def written_pattern(value: Value) -> str:
    pattern = written_text(value)
    check_pattern(pattern)
    return pattern


def written_format(value: Value) -> str:
    return read_format(written_text(value))


def written_zone(value: Value) -> str:
    return check_zone(written_text(value))


def written_unit(units: dict[str, Any]) -> Callable[[Value], str]:
    def accept(value: Value) -> str:
        unit = written_text(value).lower()
        if unit not in units:
            raise ExpressionError(_("“{unit}” is not one of {units}."), unit=unit, units=", ".join(units))
        return unit

    return accept


def _anything(value: Value) -> Value:
    return value


TEXT, INTEGER, NUMBER, TEMPORAL, ANYTHING = (
    lambda name, **more: Argument(name, v.as_text, **more),
    lambda name, **more: Argument(name, _integer, **more),
    lambda name, **more: Argument(name, _numeric, **more),
    lambda name, **more: Argument(name, _temporal, **more),
    lambda name, **more: Argument(name, _anything, **more),
)

FUNCTIONS: dict[str, Function] = {}
ALIASES = {
    "substr": "substring", "char_length": "length", "character_length": "length", "len": "length", "ifnull": "coalesce", "nvl": "coalesce",
    "ceiling": "ceil", "pow": "power", "position": "strpos", "to_timestamp": "to_datetime", "regexp_substr": "regexp_extract",
    "current_date": "today", "current_timestamp": "now", "format_date": "to_char", "ucase": "upper", "lcase": "lower", "datetrunc": "date_trunc",
}  # fmt: skip


def declare(name: str, *arguments: Argument, make: Callable[..., Value], text: str, example: str) -> None:
    FUNCTIONS[name] = Function(name, arguments, make, text, example)
