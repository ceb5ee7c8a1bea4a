"""The functions of the language: the list of all that may be called, and its reference."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from connectors.base import FieldType, _, frame_type

from . import values as v
from .conversions import finite
from .errors import ExpressionError
from .formats import check_zone, has_date, has_time, has_zone, read_format
from .patterns import check_pattern
from .sharing import let_all
from .values import NUMERIC, Value

if TYPE_CHECKING:
    import polars as pl

T = FieldType
MAX_WIDTH = 1_000
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


def _written(value: Value) -> str:
    if not value.is_literal or not isinstance(value.literal, str) or len(value.literal) > MAX_TEXT:
        raise ExpressionError(_("Here a text of at most {limit} characters must be written out in quotes."), limit=MAX_TEXT)
    return value.literal


def _written_number(low: int, high: int) -> Callable[[Value], int]:
    def accept(value: Value) -> int:
        if not value.is_literal or not isinstance(value.literal, int) or isinstance(value.literal, bool) or not low <= value.literal <= high:
            raise ExpressionError(_("Here a whole number from {low} to {high} must be written out."), low=low, high=high)
        return value.literal

    return accept


def _pattern(value: Value) -> str:
    pattern = _written(value)
    check_pattern(pattern)
    return pattern


def _format(value: Value) -> str:
    return read_format(_written(value))


def _zone(value: Value) -> str:
    return check_zone(_written(value))


def _unit(units: dict[str, Any]) -> Callable[[Value], str]:
    def accept(value: Value) -> str:
        unit = _written(value).lower()
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


def _on_text(name: str, build: Callable[[pl.Expr], pl.Expr], text: str, example: str, gives: FieldType = T.TEXT) -> None:
    declare(name, TEXT("text"), make=lambda x: v.strict(gives, [x], build), text=text, example=example)


# --- text -------------------------------------------------------------------------------------------------------------

_on_text("upper", lambda x: x.str.to_uppercase(), _("All letters in upper case."), "upper('Ann') = 'ANN'")
_on_text("lower", lambda x: x.str.to_lowercase(), _("All letters in lower case."), "lower('Ann') = 'ann'")
_on_text("initcap", lambda x: x.str.to_titlecase(), _("Each word with a capital."), "initcap('ann lee') = 'Ann Lee'")
_on_text("length", lambda x: x.str.len_chars().cast(frame_type(T.INTEGER)), _("How many characters."), "length('Ann') = 3", T.INTEGER)
_on_text("reverse", lambda x: x.str.reverse(), _("The text backwards."), "reverse('abc') = 'cba'")


def _strip(side: str) -> Callable[..., Value]:
    def make(text: Value, characters: str | None = None) -> Value:
        return v.strict(T.TEXT, [text], lambda x: getattr(x.str, side)(characters))

    return make


for _name, _side, _text in (
    ("trim", "strip_chars", _("The text without white space, or without these characters, at both ends.")),
    ("ltrim", "strip_chars_start", _("The text without white space, or without these characters, at its start.")),
    ("rtrim", "strip_chars_end", _("The text without white space, or without these characters, at its end.")),
):
    _shown = {"trim": "'a'", "ltrim": "'a '", "rtrim": "' a'"}[_name]
    declare(
        _name, TEXT("text"), Argument("characters", _written, optional=True), make=_strip(_side), text=_text, example=f"{_name}(' a ') = {_shown}"
    )


def _left(text: Value, count: int) -> Value:
    return v.strict(T.TEXT, [text], lambda x: x.str.head(count))


def _right(text: Value, count: int) -> Value:
    return v.strict(T.TEXT, [text], lambda x: x.str.tail(count))


def _substring(text: Value, start: int, length: int | None = None) -> Value:
    """As in SQL: places before the first count as read."""
    end = None if length is None else max(0, length + min(0, start - 1))
    return v.strict(T.TEXT, [text], lambda x: x.str.slice(max(0, start - 1), end))


_COUNT = _written_number(0, 1_000_000)
declare("left", TEXT("text"), Argument("count", _COUNT), make=_left, text=_("The first characters."), example="left('abc', 2) = 'ab'")
declare("right", TEXT("text"), Argument("count", _COUNT), make=_right, text=_("The last characters."), example="right('abc', 2) = 'bc'")
declare(
    "substring", TEXT("text"), Argument("from", _written_number(-1_000_000, 1_000_000)), Argument("count", _COUNT, optional=True), make=_substring,
    text=_("Characters from a place on; the first has place 1."), example="substring('abcd', 2, 2) = 'bc'",
)  # fmt: skip


def _replace(text: Value, find: str, by: str) -> Value:
    growth = text.growth * max(1.0, len(by) / len(find)) if find else text.growth
    return v.strict(T.TEXT, [text], lambda x: x.str.replace_all(find, by, literal=True) if find else x, growth=growth)


def _regexp_replace(text: Value, pattern: str, by: str) -> Value:
    longest = 1 + len(by) + by.count("$") * 2
    return v.strict(T.TEXT, [text], lambda x: x.str.replace_all(pattern, by), growth=text.growth * (longest if by else 1))


def _regexp_extract(text: Value, pattern: str, group: int = 0) -> Value:
    """Null where nothing fits: that is its answer."""
    return v.lenient(T.TEXT, [text], lambda: text.build().str.extract(pattern, group), text.failed, growth=text.growth)


def _split_part(text: Value, separator: str, part: int) -> Value:
    if not separator or part == 0:
        raise ExpressionError(_("split_part needs a separator, and a part from 1, or from -1 counted from the end."))
    where = part - 1 if part > 0 else part
    return v.strict(T.TEXT, [text], lambda x: _keep_null(x.str.split(separator).list.get(where, null_on_oob=True).fill_null(""), x))


def _keep_null(value: pl.Expr, of: pl.Expr) -> pl.Expr:
    import polars as pl

    return pl.when(of.is_not_null()).then(value)


def _pad(side: str) -> Callable[..., Value]:
    def make(text: Value, width: int, fill: str = " ") -> Value:
        if len(fill) != 1:
            raise ExpressionError(_("Text is filled up with one character."))
        # As in SQL, longer text is cut.
        return v.strict(T.TEXT, [text], lambda x: getattr(x.str, side)(width, fill).str.head(width), growth=text.growth + 1)

    return make


declare(
    "replace", TEXT("text"), Argument("find", _written), Argument("replacement", _written), make=_replace,
    text=_("One piece of text in the place of another, wherever it occurs."), example="replace('a/b', '/', '-') = 'a-b'",
)  # fmt: skip
declare(
    "regexp_replace", TEXT("text"), Argument("pattern", _pattern), Argument("replacement", _written), make=_regexp_replace,
    text=_("Replaces all that fits a regular expression; $1 is its first group."), example="regexp_replace('a1b22', '[0-9]+', '#') = 'a#b#'",
)  # fmt: skip
declare(
    "regexp_like", TEXT("text"), Argument("pattern", _pattern), make=lambda x, pattern: v.strict(T.BOOLEAN, [x], lambda e: e.str.contains(pattern)),
    text=_("Whether a part of the text fits a regular expression."), example="regexp_like('ab12', '[0-9]')",
)  # fmt: skip
declare(
    "regexp_extract", TEXT("text"), Argument("pattern", _pattern), Argument("group", _written_number(0, 20), optional=True), make=_regexp_extract,
    text=_("What fits a regular expression, or its group of this number; null where nothing does."),
    example="regexp_extract('No 47', '[0-9]+') = '47'",
)  # fmt: skip
declare(
    "split_part", TEXT("text"), Argument("separator", _written), Argument("part", _written_number(-1000, 1000)), make=_split_part,
    text=_("One part of a text that is split at a separator, empty where it has fewer."), example="split_part('a-b', '-', 2) = 'b'",
)  # fmt: skip
for _name, _side, _shown in (("lpad", "pad_start", "'007'"), ("rpad", "pad_end", "'700'")):
    declare(
        _name, TEXT("text"), Argument("width", _written_number(0, MAX_WIDTH)), Argument("fill", _written, optional=True), make=_pad(_side),
        text=_("The text filled up to a width, or cut to it."), example=f"{_name}('7', 3, '0') = {_shown}",
    )  # fmt: skip
for _name, _method, _text in (
    ("starts_with", "starts_with", _("Whether the text begins with another.")),
    ("ends_with", "ends_with", _("Whether the text ends with another.")),
    ("contains", "contains", _("Whether the text contains another.")),
):
    _part = {"starts_with": "'ab'", "ends_with": "'bc'", "contains": "'b'"}[_name]

    def _make(text: Value, part: Value, method: str = _method) -> Value:
        more = {"literal": True} if method == "contains" else {}
        return v.strict(T.BOOLEAN, [text, part], lambda x, p: getattr(x.str, method)(p, **more), growth=1.0)

    declare(_name, TEXT("text"), TEXT("part"), make=_make, text=_text, example=f"{_name}('abc', {_part})")


def _strpos(text: Value, part: Value) -> Value:
    """Counted in characters, as all places are; Polars counts bytes."""
    import polars as pl

    def build(x: pl.Expr, p: pl.Expr) -> pl.Expr:
        place = x.str.split(p).list.first().str.len_chars().cast(pl.Int64) + 1
        return pl.when(p == "").then(1).when(x.str.contains(p, literal=True)).then(place).when(x.is_not_null() & p.is_not_null()).then(0)

    return v.strict(T.INTEGER, [text, part], build, growth=1.0)


declare(
    "strpos",
    TEXT("text"),
    TEXT("part"),
    make=_strpos,
    text=_("At which place a text occurs in another; 0 if nowhere."),
    example="strpos('abc', 'c') = 3",
)


def _concat(*parts: Value) -> Value:
    import polars as pl

    def build() -> pl.Expr:
        return pl.concat_str([part.build() for part in parts], ignore_nulls=True)

    return v.lenient(T.TEXT, parts, build, v.any_of([part.failed for part in parts]), growth=sum(part.growth for part in parts))


def _concat_ws(separator: str, *parts: Value) -> Value:
    import polars as pl

    def build() -> pl.Expr:
        return pl.concat_str([part.build() for part in parts], separator=separator, ignore_nulls=True)

    return v.lenient(T.TEXT, parts, build, v.any_of([part.failed for part in parts]), growth=sum(part.growth for part in parts) + len(parts))


declare(
    "concat",
    TEXT("value", repeated=True),
    make=_concat,
    text=_("All values as one text; null counts as nothing."),
    example="concat('a', NULL, 1) = 'a1'",
)
declare(
    "concat_ws", Argument("separator", _written), TEXT("value", repeated=True), make=_concat_ws,
    text=_("All values as one text with a separator between them; null is left out."), example="concat_ws('-', 'a', NULL, 'b') = 'a-b'",
)  # fmt: skip

# --- null and choice --------------------------------------------------------------------------------------------------


def _nullif(value: Value, other: Value) -> Value:
    a, b = v.same_type(value, other)

    def build() -> pl.Expr:
        import polars as pl

        return let_all([a.build(), b.build()], lambda x, y: pl.when((x != y).fill_null(True)).then(x))

    return v.lenient(a.type, [a, b], build, v.any_of([a.failed, b.failed]), growth=a.growth)


def _extreme(which: str) -> Callable[..., Value]:
    def make(*given: Value) -> Value:
        import polars as pl

        type_ = v.common_type(given) or T.TEXT
        typed = [v.as_type(value, type_) for value in given]
        if type_ in (T.TEXT, T.JSON, T.BOOLEAN):
            raise ExpressionError(_("{function} compares numbers, dates and times."), function=which)
        horizontal = pl.max_horizontal if which == "greatest" else pl.min_horizontal
        return v.lenient(type_, typed, lambda: horizontal([value.build() for value in typed]), v.any_of([value.failed for value in typed]))

    return make


declare(
    "coalesce", ANYTHING("value", repeated=True), make=lambda *given: v.first_present(given), text=_("The first value that is not null."),
    example="coalesce(NULL, 'a') = 'a'",
)  # fmt: skip
declare(
    "nullif", ANYTHING("value"), ANYTHING("other"), make=_nullif, text=_("Null if both are equal, else the first."), example="nullif('', '') IS NULL"
)
declare(
    "greatest",
    ANYTHING("value", repeated=True),
    make=_extreme("greatest"),
    text=_("The greatest value; null is left out."),
    example="greatest(1, 3, 2) = 3",
)
declare("least", ANYTHING("value", repeated=True), make=_extreme("least"), text=_("The least value; null is left out."), example="least(1, 3, 2) = 1")

# --- numbers ----------------------------------------------------------------------------------------------------------


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


_DIGITS = Argument("digits", _written_number(0, 9), optional=True)
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

# --- dates and times --------------------------------------------------------------------------------------------------


def _to_date(text: Value, format_: str) -> Value:
    if not has_date(format_):
        raise ExpressionError(_("This format has no date in it."))
    return v.strict(T.DATE, [text], lambda x: x.str.to_date(format_, strict=False), fallible=True)


def _to_datetime(text: Value, format_: str, zone: str | None = None) -> Value:
    return v.strict(T.DATETIME, [text], lambda x: read_datetime(x, format_, zone or "UTC"), fallible=True)


def read_datetime(value: pl.Expr, format_: str, zone: str, ambiguous: str = "null") -> pl.Expr:
    """A text as a time in UTC; without an offset in it, one of the zone's. A time that the zone skips is null, one that it has twice `ambiguous`."""
    import polars as pl

    if has_zone(format_):
        return value.str.to_datetime(format_, strict=False, time_unit="us", time_zone="UTC")
    if has_time(format_):
        naive = value.str.to_datetime(format_, strict=False, time_unit="us")
    else:
        naive = value.str.to_date(format_, strict=False).cast(pl.Datetime("us"))
    if zone == "UTC":  # which skips and doubles no hour
        return naive.dt.replace_time_zone("UTC")
    return naive.dt.replace_time_zone(zone, ambiguous=ambiguous, non_existent="null").dt.convert_time_zone("UTC")  # type: ignore[arg-type]


def _to_char(value: Value, format_: str, zone: str | None = None) -> Value:
    if value.type is T.DATE and (has_time(format_) or has_zone(format_)):
        raise ExpressionError(_("A date has no hours; this format asks for them."))
    return v.strict(T.TEXT, [value], lambda x: (x.dt.convert_time_zone(zone) if zone and value.type is T.DATETIME else x).dt.strftime(format_))


TRUNCATIONS = {"second": "1s", "minute": "1m", "hour": "1h", "day": "1d", "week": "1w", "month": "1mo", "quarter": "1q", "year": "1y"}
PARTS: dict[str, Callable[[pl.Expr], pl.Expr]] = {
    "year": lambda x: x.dt.year(),
    "quarter": lambda x: x.dt.quarter(),
    "month": lambda x: x.dt.month(),
    "week": lambda x: x.dt.week(),
    "day": lambda x: x.dt.day(),
    "isodow": lambda x: x.dt.weekday(),
    "dow": lambda x: x.dt.weekday() % 7,
    "doy": lambda x: x.dt.ordinal_day(),
    "hour": lambda x: x.dt.hour(),
    "minute": lambda x: x.dt.minute(),
    "second": lambda x: x.dt.second(),
    "epoch": lambda x: x.dt.epoch("s"),
}


def _date_trunc(unit: str, value: Value) -> Value:
    if value.type is T.DATE and unit in ("second", "minute", "hour"):
        return value
    return v.strict(value.type or T.DATETIME, [value], lambda x: x.dt.truncate(TRUNCATIONS[unit]))


def _date_part(unit: str, value: Value) -> Value:
    if value.type is T.DATE and unit in ("hour", "minute", "second"):
        raise ExpressionError(_("A date has no {unit}."), unit=unit)
    return v.strict(T.INTEGER, [value], lambda x: PARTS[unit](x).cast(frame_type(T.INTEGER)))


def _local_date(value: Value, zone: str = "UTC") -> Value:
    if value.type is T.DATE:
        return value
    return v.strict(T.DATE, [value], lambda x: x.dt.convert_time_zone(zone).dt.date())


def _now() -> Value:
    import polars as pl

    return v.column(lambda: pl.lit(dt.datetime.now(dt.UTC), frame_type(T.DATETIME)), T.DATETIME)


def _today(zone: str = "UTC") -> Value:
    import zoneinfo

    import polars as pl

    return v.column(lambda: pl.lit(dt.datetime.now(zoneinfo.ZoneInfo(zone)).date(), pl.Date), T.DATE)


_FORMAT, _ZONE = Argument("format", _format), Argument("zone", _zone, optional=True)
declare(
    "to_date", TEXT("text"), _FORMAT, make=_to_date, text=_("A date that is written in this format."),
    example="to_date('24.11.2026', 'DD.MM.YYYY') = '2026-11-24'",
)  # fmt: skip
declare(
    "to_datetime", TEXT("text"), _FORMAT, _ZONE, make=_to_datetime, text=_("A time that is written in this format, of this zone if it names none."),
    example="to_datetime('2026-11-24 10:42', 'YYYY-MM-DD HH:mm', 'Asia/Shanghai') = '2026-11-24T02:42:00Z'",
)  # fmt: skip
declare(
    "to_char", TEMPORAL("time"), _FORMAT, _ZONE, make=_to_char, text=_("A date or time written in this format, as the clocks of this zone show it."),
    example="to_char(to_date('2026-11-24', 'YYYY-MM-DD'), 'DD.MM.YYYY') = '24.11.2026'",
)  # fmt: skip
declare(
    "date_trunc", Argument("unit", _unit(TRUNCATIONS)), TEMPORAL("time"), make=_date_trunc,
    text=_("The start of the month, week, hour … that a time lies in."),
    example="date_trunc('month', '2026-11-24') = '2026-11-01'",
)  # fmt: skip
declare(
    "date_part", Argument("unit", _unit(PARTS)), TEMPORAL("time"), make=_date_part, text=_("The year, month, hour … of a time, as a number."),
    example="date_part('year', '2026-11-24') = 2026",
)  # fmt: skip
for _name, _number in (("year", 2026), ("quarter", 4), ("month", 11), ("week", 48), ("day", 24), ("hour", 10), ("minute", 42), ("second", 7)):

    def _part_of(value: Value, unit: str = _name) -> Value:
        return _date_part(unit, value)

    declare(
        _name, TEMPORAL("time"), make=_part_of, text=_("This part of a time, as a number."),
        example=f"{_name}('2026-11-24T10:42:07Z') = {_number}",
    )  # fmt: skip
declare(
    "date", TEMPORAL("time"), _ZONE, make=_local_date, text=_("The day of a time, by the calendar of this zone."),
    example="date('2026-11-24T22:00:00Z', 'Asia/Shanghai') = '2026-11-25'",
)  # fmt: skip
declare("now", make=_now, text=_("The time at which the work began."), example="now() > '2020-01-01T00:00:00Z'")
declare("today", _ZONE, make=_today, text=_("The day on which the work began, by the calendar of this zone."), example="today() > '2020-01-01'")
