"""Transforms of numbers."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from connectors.base import FieldType, _, frame_type
from integration_hub.core.expressions.conversions import convert, decimal_text, finite, number_text
from integration_hub.core.expressions.errors import ExpressionError
from integration_hub.core.expressions.functions.numbers import round_to, within_decimal
from integration_hub.core.expressions.sharing import let

from .base import NUMERIC, Example, Parameter, T, transform

if TYPE_CHECKING:
    import polars as pl

GROUP = _("Numbers")
Digits = Annotated[int, Parameter(title=_("Digits behind the point"), ge=0, le=9)]


def _check_signs(parameters: Any) -> None:
    _two_signs(parameters.grouping, parameters.decimal)


def _two_signs(grouping: str, decimal: str) -> None:
    if grouping == decimal:
        raise ExpressionError(_("The same sign cannot stand between groups and before decimals."))


@transform(
    _("Read a number"),
    _("Reads a number as people write it, with signs between its groups and before its decimals. Currency signs and spaces around it are allowed."),
    group=GROUP,
    takes=T.TEXT,
    gives=T.DECIMAL,
    reason=_("“{value}” is not a number with “{grouping}” between groups and “{decimal}” before decimals, of at most 9 decimals."),
    examples=[
        Example("1,234.50", "1234.5"),
        Example("1.234,50 €", "1234.5", {"grouping": ".", "decimal": ","}),
        Example("1 234 567", "1234567", {"grouping": " "}),
        Example("-0.5", "-0.5"),
    ],
)
def parse_number(
    value: "pl.Expr",
    grouping: Annotated[Literal[",", ".", " ", "'", ""], Parameter(title=_("Between groups"))] = ",",
    decimal: Annotated[Literal[".", ","], Parameter(title=_("Before decimals"))] = ".",
) -> "pl.Expr":
    import polars as pl

    _two_signs(grouping, decimal)  # else 1,5 would become 15
    spaced = value.str.replace_all(r"[\s\u{a0}\u{202f}]", " ").str.strip_chars(" €$£¥￥₹")
    if grouping == " ":
        whole = r"(?:\d{1,3}(?: \d{3})+|\d+)"
    elif grouping:
        whole = rf"(?:\d{{1,3}}(?:\{grouping}\d{{3}})+|\d+)"
    else:
        whole = r"\d+"
    pattern = rf"^[+-]? ?{whole}(?:\{decimal}\d*)?$|^[+-]?\{decimal}\d+$"

    def read(bare: "pl.Expr") -> "pl.Expr":
        plain = bare.str.replace_all(grouping, "", literal=True) if grouping else bare
        if decimal == ",":
            plain = plain.str.replace(",", ".", literal=True)
        return pl.when(bare.str.contains(pattern)).then(plain.str.replace(" ", "", literal=True))

    return let(let(spaced, read), lambda plain: convert(plain, T.TEXT, T.DECIMAL))


@transform(
    _("Write a number"),
    _("Writes a number with a fixed count of decimals and a sign between groups of three digits."),
    group=GROUP,
    takes=NUMERIC,
    gives=T.TEXT,
    check=_check_signs,
    reason=_("{value} cannot be written with {digits} digits behind the point."),
    examples=[
        Example(1234567.5, "1,234,567.50"),
        Example(1234567, "1.234.567", {"grouping": ".", "decimal": ",", "digits": 0}),
        Example(-1234.5, "-1234.5", {"grouping": "", "digits": 1}),
    ],
)
def format_number(
    value: "pl.Expr",
    digits: Digits = 2,
    grouping: Annotated[Literal[",", ".", " ", "'", ""], Parameter(title=_("Between groups"))] = ",",
    decimal: Annotated[Literal[".", ","], Parameter(title=_("Before decimals"))] = ".",
) -> "pl.Expr":
    import polars as pl

    text = (
        within_decimal(value.cast(pl.Decimal(38, 9), strict=False))
        .round(digits, mode="half_away_from_zero")
        .cast(pl.Decimal(38, digits), strict=False)
        .cast(pl.String)
    )
    whole, rest = text.str.extract(r"^[+-]?(\d+)", 1), text.str.extract(r"\.(\d+)$", 1)
    if grouping:
        # There is no look-ahead: groups are counted from the end of the reversed text.
        whole = whole.str.reverse().str.replace_all(r"(\d{3})", f"${{1}}{grouping}").str.strip_chars_end(grouping).str.reverse()
    sign = pl.when(text.str.starts_with("-")).then(pl.lit("-")).otherwise(pl.lit(""))
    parts = [sign, whole, pl.lit(decimal), rest] if digits else [sign, whole]
    return pl.concat_str(parts)


@transform(
    _("Round"),
    _("Rounds to so many digits. Halves go away from zero."),
    group=GROUP,
    takes=NUMERIC,
    reason=_("{value} is too large to be rounded."),
    examples=[Example(2.5, 3.0, {"digits": 0}), Example(1.249, 1.25), Example(1.259, 1.25, {"how": "trunc"})],
)
def round_(
    value: "pl.Expr",
    of: FieldType,
    digits: Digits = 2,
    how: Annotated[Literal["round", "trunc"], Parameter(title=_("How"))] = "round",
) -> "pl.Expr":
    return value if of is T.INTEGER else round_to(value, digits, how, of)


@transform(
    _("Whole number"),
    _("Makes a whole number. “exact” refuses a number with decimals."),
    group=GROUP,
    takes=NUMERIC,
    gives=T.INTEGER,
    reason=_("{value} is not a whole number of at most 18 digits."),
    examples=[Example(2.0, 2), Example(2.5, 3, {"how": "round"}), Example(2.9, 2, {"how": "floor"}), Example(2.1, 3, {"how": "ceil"})],
)
def to_integer(
    value: "pl.Expr",
    of: FieldType,
    how: Annotated[Literal["exact", "round", "floor", "ceil", "trunc"], Parameter(title=_("Decimals"))] = "exact",
) -> "pl.Expr":
    if of is T.INTEGER:
        return value
    return let(value if how == "exact" else round_to(value, 0, how, of), lambda number: convert(number, of, T.INTEGER))


@transform(
    _("Calculate"),
    _("Multiplies by a factor, then adds."),
    group=GROUP,
    takes=NUMERIC,
    reason=_("{value} × {factor} + {add} is too large."),
    gives=lambda before, parameters: before if before is not T.INTEGER or _whole(parameters) else T.NUMBER,
    examples=[Example(1.5, 1500.0, {"factor": 1000}), Example(20.0, 68.0, {"factor": 1.8, "add": 32}), Example(5, 10, {"factor": 2})],
)
def scale(
    value: "pl.Expr",
    of: FieldType,
    factor: Annotated[float, Parameter(title=_("Factor"), allow_inf_nan=False)] = 1.0,
    add: Annotated[float, Parameter(title=_("Add"), allow_inf_nan=False)] = 0.0,
) -> "pl.Expr":
    import polars as pl

    if of is T.INTEGER and factor == int(factor) and add == int(add) and max(abs(factor), abs(add)) < 2**60:
        return (value.cast(pl.Int128) * int(factor) + int(add)).cast(pl.Int64, strict=False)
    if of is T.DECIMAL:
        from decimal import Decimal

        near = (value.cast(pl.Float64) * factor + add).abs()
        fits = near.is_finite() & (near < 9.9e28)
        kept = pl.when(fits).then(value)
        return (kept * pl.lit(Decimal(repr(factor)), frame_type(T.DECIMAL)) + pl.lit(Decimal(repr(add)), frame_type(T.DECIMAL))).cast(
            frame_type(T.DECIMAL)
        )
    return finite(value.cast(pl.Float64) * factor + add)


def _whole(parameters: Any) -> bool:
    return bool(parameters.factor == int(parameters.factor) and parameters.add == int(parameters.add))


@transform(
    _("Without sign"),
    _("Makes negative numbers positive."),
    group=GROUP,
    takes=NUMERIC,
    reason=_("{value} is too large."),
    examples=[Example(-5, 5), Example(-2.5, 2.5)],
)
def absolute(value: "pl.Expr", of: FieldType) -> "pl.Expr":
    import polars as pl

    return value.cast(pl.Int128).abs().cast(pl.Int64, strict=False) if of is T.INTEGER else value.abs()


@transform(
    _("Money to smallest units"),
    _(
        "Makes an integer of the currency's smallest unit: 12.30 EUR are 1230 cents, 500 JPY are 500 yen. More decimals than the currency has are refused."
    ),
    group=GROUP,
    takes=NUMERIC,
    gives=T.INTEGER,
    reason=_("{value} is not an amount with at most {digits} decimals."),
    examples=[Example(12.3, 1230), Example(500, 500, {"digits": 0})],
)
def to_minor_units(
    value: "pl.Expr", of: FieldType, digits: Annotated[int, Parameter(title=_("Decimals of the currency"), ge=0, le=4)] = 2
) -> "pl.Expr":
    import polars as pl

    def shifted(exact: "pl.Expr") -> "pl.Expr":
        fits: pl.Expr = pl.when(exact.cast(pl.Float64).abs() < 9.2e18 / 10**digits).then(exact)
        minor: pl.Expr = fits.cast(pl.Decimal(38, 4)) * 10**digits
        return minor.cast(pl.Int64, strict=False)

    return let(convert(value, of, T.DECIMAL, digits), shifted)


@transform(
    _("Money from smallest units"),
    _("The opposite: 1230 cents are 12.30 EUR."),
    group=GROUP,
    takes=T.INTEGER,
    gives=T.DECIMAL,
    examples=[Example(1230, "12.3"), Example(500, "500", {"digits": 0})],
)
def from_minor_units(value: "pl.Expr", digits: Annotated[int, Parameter(title=_("Decimals of the currency"), ge=0, le=4)] = 2) -> "pl.Expr":
    import polars as pl

    return value.cast(frame_type(T.DECIMAL)) / pl.lit(10**digits).cast(frame_type(T.DECIMAL))


@transform(
    _("Number as text"),
    _("Writes a number with as few digits as it needs."),
    group=GROUP,
    takes=NUMERIC,
    gives=T.TEXT,
    reason=_("{value} is not a number."),
    examples=[Example(12.0, "12"), Example(0.5, "0.5")],
)
def number_to_text(value: "pl.Expr", of: FieldType) -> "pl.Expr":
    import polars as pl

    return decimal_text(value) if of is T.DECIMAL else number_text(finite(value)) if of is T.NUMBER else value.cast(pl.String)
