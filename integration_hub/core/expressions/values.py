"""Typed values of an expression, and the operators on them.

What an operator cannot answer (a division by zero, an overflow, a text that is no number) is null, and is known as a failure: `Value.failed`
is true for exactly those records. It is not confused with a null that was there before or that a formula gives on purpose.

Most operators are *strict*: null in, null out. A tree of strict operators failed if its result is null and all it began with is present, so
one look at the ends is enough. `leaves` are these beginnings: fields, and values of operators that are not strict (CASE, COALESCE, AND …).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

from connectors.base import FieldType, _, frame_type

from .conversions import convert, finite, within_calendar
from .errors import ExpressionError
from .sharing import let_all

if TYPE_CHECKING:
    import polars as pl

T = FieldType
Build = Callable[[], "pl.Expr"]
NUMERIC = (T.INTEGER, T.DECIMAL, T.NUMBER)
MAX_WEIGHT = 1_000  # of an expression as it is built; what is written once may have to be computed several times
MAX_GROWTH = 100.0  # how many times longer than a record's own text a result may become
NO_LITERAL = object()


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """`type` None: the word NULL. `fallible`: something strict between the leaves and here can fail. `own_failed`: for a leaf, whether it did."""

    type: FieldType | None
    build: Build
    leaves: tuple[Value, ...] = ()
    fallible: bool = False
    own_failed: Build | None = None
    literal: Any = NO_LITERAL
    growth: float = 1.0
    weight: int = 1
    plain: bool = False  # a column or a literal: using it twice costs nothing

    @property
    def is_literal(self) -> bool:
        return self.literal is not NO_LITERAL

    @property
    def failed(self) -> Build | None:
        """True where the value is missing because something failed; None: nothing can."""
        leaves = self.leaves or (self,)
        parts = [leaf.own_failed for leaf in leaves if leaf.own_failed]
        if self.fallible:
            parts.append(self._lost)
        return any_of(parts)

    def _lost(self) -> pl.Expr:
        import polars as pl

        return self.build().is_null() & pl.all_horizontal(leaf.build().is_not_null() for leaf in self.leaves)


def any_of(parts: Sequence[Build | None]) -> Build | None:
    given = [part for part in parts if part]
    if not given:
        return None
    return lambda: reduce(lambda left, right: left | right, [part() for part in given])


def null() -> Value:
    import polars as pl

    return Value(None, lambda: pl.lit(None), literal=None, plain=True)


def literal(value: Any, type_: FieldType) -> Value:
    def build() -> pl.Expr:
        import polars as pl

        return pl.lit(value, frame_type(type_))

    return Value(type_, build, literal=value, plain=True)


def column(build: Build, type_: FieldType, *, plain: bool = True) -> Value:
    return Value(type_, build, plain=plain)


def strict(
    type_: FieldType, arguments: Sequence[Value], build: Callable[..., pl.Expr], *, fallible: bool = False, growth: float | None = None
) -> Value:
    """An operator that is null where any argument is. `fallible`: it may also be null where none is."""
    leaves = dict.fromkeys(leaf for argument in arguments if not argument.is_literal for leaf in argument.leaves or (argument,))

    def built() -> pl.Expr:
        parts = [argument.build() for argument in arguments]
        return build(*parts) if all(argument.plain for argument in arguments) else let_all(parts, build)

    return Value(
        type_,
        built,
        leaves=tuple(leaves) or tuple(arguments),
        fallible=fallible or any(argument.fallible for argument in arguments),
        growth=check_growth(max((argument.growth for argument in arguments), default=1.0) if growth is None else growth),
        weight=check_weight(arguments),
    )


def lenient(type_: FieldType | None, uses: Sequence[Value], build: Build, failed: Build | None, *, growth: float = 1.0) -> Value:
    """An operator over these values for which null means something. It says itself where it failed."""
    return Value(type_, build, own_failed=failed, growth=check_growth(growth), weight=check_weight(uses))


def check_weight(uses: Sequence[Value]) -> int:
    weight = 1 + sum(value.weight for value in uses)
    if weight > MAX_WEIGHT:
        raise ExpressionError(_("This would have to be computed too many times over. Make several fields or steps of it."))
    return weight


def check_growth(growth: float) -> float:
    if growth > MAX_GROWTH:
        raise ExpressionError(_("This could make text more than {limit} times as long as it was."), limit=int(MAX_GROWTH))
    return growth


# --- types ------------------------------------------------------------------------------------------------------------


def as_type(value: Value, type_: FieldType) -> Value:
    """A value of another type, where the language changes types by itself: NULL, literals, between numbers, a date among times."""
    if value.type is type_:
        return value
    if value.type is None:
        return Value(type_, lambda: null().build().cast(frame_type(type_)), literal=None, plain=True)
    if value.is_literal and value.type is T.TEXT and type_ is not T.TEXT:
        return literal(read_literal(value.literal, type_), type_)
    if value.is_literal and value.type is T.NUMBER and type_ is T.DECIMAL:
        return literal(value.literal, type_)
    if value.type is T.INTEGER and type_ is T.NUMBER:
        return strict(type_, [value], lambda x: x.cast(frame_type(T.NUMBER)))
    if (value.type, type_) in _WIDER:
        return strict(type_, [value], lambda x: convert(x, value.type or T.TEXT, type_), fallible=(value.type, type_) == (T.INTEGER, T.DECIMAL))
    raise ExpressionError(
        _("{type} does not go with {wanted} here. Use CAST(… AS …) to make one of the other."), type=name_of(value.type), wanted=type_
    )


_WIDER = {(T.INTEGER, T.DECIMAL), (T.DECIMAL, T.NUMBER), (T.DATE, T.DATETIME)}


def as_text(value: Value) -> Value:
    """Any value as text, as it would be shown."""
    if value.type is T.TEXT:
        return value
    if value.type is None:
        return as_type(value, T.TEXT)
    from_ = value.type
    return strict(T.TEXT, [value], lambda x: convert(x, from_, T.TEXT), fallible=from_ is T.JSON)


def common_type(values: Sequence[Value]) -> FieldType | None:
    """The one type that all these values can have. A text in quotes takes the type of the others."""
    types = {value.type for value in values if value.type is not None and not (value.is_literal and value.type is T.TEXT)}
    if not types:
        return T.TEXT if any(value.type for value in values) else None
    if len(types) == 1:
        return types.pop()
    if types <= set(NUMERIC):
        if T.NUMBER not in types or (T.DECIMAL in types and all(value.is_literal for value in values if value.type is T.NUMBER)):
            return T.DECIMAL
        return T.NUMBER
    if types == {T.DATE, T.DATETIME}:
        return T.DATETIME
    first, second = sorted(map(str, types))[:2]
    raise ExpressionError(_("{type} does not go with {wanted} here. Use CAST(… AS …) to make one of the other."), type=first, wanted=second)


def name_of(type_: FieldType | None) -> str:
    return type_ or "null"


def read_literal(text: str, type_: FieldType) -> Any:
    """A text in quotes as a value of the type it is compared with."""
    try:
        return _LITERALS[type_](text)
    except (KeyError, ValueError, ArithmeticError):
        raise ExpressionError(_("“{value}” is not {type}."), value=text[:200], type=type_) from None


def _read_integer(text: str) -> int:
    number = int(text)
    if not -(2**63) <= number < 2**63:
        raise ValueError
    return number


def _read_number(text: str) -> float:
    number = float(text)
    if number != number or number in (float("inf"), float("-inf")):
        raise ValueError
    return number


def _read_decimal(text: str) -> Any:
    from decimal import Decimal

    number = Decimal(text)
    exponent = number.as_tuple().exponent
    if not number.is_finite() or not isinstance(exponent, int) or exponent < -9 or number.adjusted() > 28:
        raise ValueError
    return number


def _read_datetime(text: str) -> dt.datetime:
    moment = dt.datetime.fromisoformat(text)
    return moment.astimezone(dt.UTC) if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


_LITERALS: dict[FieldType, Callable[[str], Any]] = {
    T.TEXT: str,
    T.INTEGER: _read_integer,
    T.NUMBER: _read_number,
    T.DECIMAL: _read_decimal,
    T.BOOLEAN: lambda text: {"true": True, "false": False}[text.lower()],
    T.DATE: dt.date.fromisoformat,
    T.TIME: dt.time.fromisoformat,
    T.DATETIME: _read_datetime,
}


# --- logic ------------------------------------------------------------------------------------------------------------


def need(value: Value, type_: FieldType) -> Value:
    """The value, which must be of this type."""
    if value.type is None or (value.is_literal and value.type is T.TEXT and type_ is not T.TEXT):
        return as_type(value, type_)
    if value.type is not type_:
        raise ExpressionError(_("{wanted} is needed here, but this is {type}."), wanted=type_, type=name_of(value.type))
    return value


def logic(left: Value, right: Value, operator: Callable[[pl.Expr, pl.Expr], pl.Expr]) -> Value:
    """AND and OR as in SQL: false AND null is false, true OR null is true. A failure counts where it leaves the answer open."""
    a, b = need(left, T.BOOLEAN), need(right, T.BOOLEAN)

    def build() -> pl.Expr:
        return operator(a.build(), b.build())

    failed = any_of([a.failed, b.failed])
    return lenient(T.BOOLEAN, [a, b], build, (lambda: build().is_null() & failed()) if failed else None)


def choose(conditions: Sequence[Value], results: Sequence[Value], otherwise: Value) -> Value:
    """CASE. A failure counts only in what was reached."""
    import polars as pl

    type_ = common_type([*results, otherwise])
    checked = [need(condition, T.BOOLEAN) for condition in conditions]
    branches = [as_type(result, type_) if type_ else result for result in results]
    last = as_type(otherwise, type_) if type_ else otherwise

    def build() -> pl.Expr:
        value = last.build()
        for condition, branch in zip(reversed(checked), reversed(branches), strict=True):
            value = pl.when(condition.build()).then(branch.build()).otherwise(value)
        return value

    def failed() -> pl.Expr:
        open_ = last.failed() if last.failed else pl.lit(False)
        for condition, branch in zip(reversed(checked), reversed(branches), strict=True):
            open_ = pl.when(condition.build()).then(branch.failed() if branch.failed else pl.lit(False)).otherwise(open_)
            if condition.failed:
                open_ = condition.failed() | open_
        return open_

    growth = max(value.growth for value in [*branches, last])
    uses = [*checked, *branches, last]
    return lenient(type_, uses, build, failed if any(value.failed for value in uses) else None, growth=growth)


def first_present(values: Sequence[Value]) -> Value:
    """COALESCE. What stands behind the first present value is not reached; a failure before it is one."""
    import polars as pl

    type_ = common_type(values)
    typed = [as_type(value, type_) if type_ else value for value in values]

    def failed() -> pl.Expr:
        open_ = pl.lit(False)
        for value in reversed(typed):
            here = value.failed() if value.failed else pl.lit(False)
            open_ = here | (value.build().is_null() & open_)
        return open_

    growth = max(value.growth for value in typed)
    return lenient(type_, typed, lambda: pl.coalesce(v.build() for v in typed), failed if any(v.failed for v in typed) else None, growth=growth)


COMPARISONS: dict[str, Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
    "=": lambda a, b: a == b,
    "<>": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def same_type(left: Value, right: Value) -> tuple[Value, Value]:
    type_ = common_type([left, right]) or T.TEXT
    return as_type(left, type_), as_type(right, type_)


def compare(sign: str, left: Value, right: Value) -> Value:
    return strict(T.BOOLEAN, same_type(left, right), COMPARISONS[sign], growth=1.0)


# --- arithmetic -------------------------------------------------------------------------------------------------------


def arithmetic(sign: str, left: Value, right: Value) -> Value:
    if T.DATE in (left.type, right.type) or T.DATETIME in (left.type, right.type):
        return _between_times(sign, left, right)
    for value in (left, right):
        if value.type is not None and value.type not in NUMERIC:
            raise ExpressionError(_("“{sign}” works on numbers, but this is {type}."), sign=sign, type=name_of(value.type))
    type_ = common_type([left, right]) or T.INTEGER
    if sign == "/" and type_ is T.INTEGER:
        type_ = T.NUMBER
    a, b = as_type(left, type_), as_type(right, type_)
    return strict(type_, [a, b], _ARITHMETIC[type_][sign], fallible=True)


def negative(value: Value) -> Value:
    if value.is_literal and value.type in NUMERIC:
        return literal(-value.literal, value.type or T.INTEGER)
    return arithmetic("-", literal(0, T.INTEGER), value)


def _wide(operator: Callable[[pl.Expr, pl.Expr], pl.Expr]) -> Callable[[pl.Expr, pl.Expr], pl.Expr]:
    """Whole numbers in 128 bits and back: what does not fit into 64 is null, where Polars would wrap around."""

    def build(a: pl.Expr, b: pl.Expr) -> pl.Expr:
        import polars as pl

        return operator(a.cast(pl.Int128), b.cast(pl.Int128)).cast(pl.Int64, strict=False)

    return build


def _float(operator: Callable[[pl.Expr, pl.Expr], pl.Expr]) -> Callable[[pl.Expr, pl.Expr], pl.Expr]:
    return lambda a, b: finite(operator(a, b))


def _decimal(operator: Callable[[pl.Expr, pl.Expr], pl.Expr]) -> Callable[[pl.Expr, pl.Expr], pl.Expr]:
    """Polars raises for the whole column where one decimal overflows or is divided by zero: these are made null before."""

    def build(a: pl.Expr, b: pl.Expr) -> pl.Expr:
        import polars as pl

        near = operator(a.cast(pl.Float64), b.cast(pl.Float64)).abs()
        fits = near.is_finite() & (near < 9.9e28)
        return operator(pl.when(fits).then(a), pl.when(fits).then(b)).cast(frame_type(T.DECIMAL), strict=False)

    return build


def _modulo(a: pl.Expr, b: pl.Expr) -> pl.Expr:
    """With the sign of the first, as in SQL; Polars gives that of the second."""
    import polars as pl

    rest = a % b
    return pl.when((rest != 0) & ((a < 0) != (b < 0))).then(rest - b).when(b != 0).then(rest)


def _plus(a: pl.Expr, b: pl.Expr) -> pl.Expr:
    return a + b


def _minus(a: pl.Expr, b: pl.Expr) -> pl.Expr:
    return a - b


def _times(a: pl.Expr, b: pl.Expr) -> pl.Expr:
    return a * b


def _divided(a: pl.Expr, b: pl.Expr) -> pl.Expr:
    return a / b


def whole_division(a: pl.Expr, b: pl.Expr) -> pl.Expr:
    """Without the rest, towards zero; null for a zero divisor."""
    import polars as pl

    quotient = a // b
    return pl.when((a % b != 0) & ((a < 0) != (b < 0))).then(quotient + 1).when(b != 0).then(quotient)


_SIGNS = {"+": _plus, "-": _minus, "*": _times}
_ARITHMETIC: dict[FieldType, dict[str, Callable[[pl.Expr, pl.Expr], pl.Expr]]] = {
    T.INTEGER: {**{sign: _wide(operator) for sign, operator in _SIGNS.items()}, "%": _modulo},
    T.NUMBER: {**{sign: _float(operator) for sign, operator in _SIGNS.items()}, "/": _float(_divided), "%": _float(_modulo)},
    T.DECIMAL: {**{sign: _decimal(operator) for sign, operator in _SIGNS.items()}, "/": _decimal(_divided), "%": _decimal(_modulo)},
}


def _days_later(date: pl.Expr, days: pl.Expr) -> pl.Expr:
    import polars as pl

    later = date.cast(pl.Int32).cast(pl.Int128) + days.cast(pl.Int128)
    return within_calendar(later.cast(pl.Int32, strict=False).cast(pl.Date), T.DATE)


def _between_times(sign: str, left: Value, right: Value) -> Value:

    if sign == "-" and T.INTEGER not in (left.type, right.type):
        a, b = same_type(left, right)
        if a.type is T.DATE:
            return strict(T.INTEGER, [a, b], lambda x, y: (x - y).dt.total_days())
        return strict(T.NUMBER, [a, b], lambda x, y: (x - y).dt.total_microseconds() / 1_000_000)
    if left.type is T.DATE and right.type is T.INTEGER and sign in "+-":
        days = negative(right) if sign == "-" else right
        return strict(T.DATE, [left, days], _days_later, fallible=True)
    raise ExpressionError(
        _("“{sign}” does not work on {left} and {right}. Add days to a date, or an INTERVAL such as INTERVAL '2 hours' to a time."),
        sign=sign,
        left=name_of(left.type),
        right=name_of(right.type),
    )
