"""The columns of a table: which field each becomes, how its values come out of a query's frame, and what does not fit.

A database hands a column over in the form that costs it least (numbers and moments as they are, what Arrow or a driver would bend as text);
`Column.fitted` makes the field's own type of it, whole columns at a time. Only a page that holds a misfit is looked at value by value.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import sqlalchemy as sa

from connectors.base import Field, FieldType, Misfit, Text, _
from connectors.canonical import canonical_json, from_canonical

T = FieldType
TEXT_SHOWN = 200
UUID = re.compile(r"\A[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}\Z")
FIRST, LAST = dt.date(1, 1, 1), dt.date(9999, 12, 31)
INFINITE = {  # what PostgreSQL's infinity becomes on its way through Arrow, which counts from 1970: the sum runs over
    -2_147_472_692: "infinity",
    -2_147_472_691: "-infinity",
    -9_222_425_352_054_775_809: "infinity",
    -9_222_425_352_054_775_808: "-infinity",
}


class Unfit(ValueError):
    """A canonical text that no value of this column can be."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table and the field it is to the hub."""

    sql: sa.Column[Any]
    field: Field
    zone: ZoneInfo | None = None  # of moments that are stored without one
    is_uuid: bool = False
    is_array: bool = False
    is_bits: bool = False  # a number that MySQL keeps, and hands over, as bytes
    exact: bool = True  # no stored decimal has more digits than the field
    is_clean: bool = False  # the database itself allows no NUL in a text, and nothing but valid UTF-8

    @property
    def name(self) -> str:
        return self.field.name

    @property
    def as_stored(self) -> Column:
        """Its moments as they stand in the database: also those that its time zone does not have have a place in the order."""
        return replace(self, zone=ZoneInfo("UTC")) if self.zone is not None else self

    # --- what was read ---

    def fitted(self, raw: pl.Series) -> tuple[pl.Series, list[Misfit]]:
        """A column of a query's frame as the field's type, and what of it does not fit."""
        made = self._made(raw)
        if made.null_count() == raw.null_count():  # no value is made of null
            return made.alias(self.name), []
        rows = (made.is_null() & raw.is_not_null()).arg_true().to_list()
        return made.alias(self.name), [Misfit(row, self.name, self.shown(raw, row), self._reason(raw, row)) for row in rows]

    def _made(self, raw: pl.Series) -> pl.Series:
        match self.field.type:
            case T.TEXT:
                if raw.dtype == pl.Binary:
                    return _decoded(raw)
                return raw.cast(pl.String) if self.is_clean else _clean_text(raw.cast(pl.String))
            case T.INTEGER:
                return raw.cast(pl.Int64, strict=False)
            case T.NUMBER:
                numbers = raw.cast(pl.Float64, strict=False)
                return numbers if numbers.is_finite().all() else pl.select(pl.when(numbers.is_finite()).then(numbers)).to_series()
            case T.DECIMAL:
                return self._decimals(raw)
            case T.BOOLEAN:
                return raw if raw.dtype == pl.Boolean else _booleans(raw.cast(pl.Int64, strict=False))
            case T.DATE:
                return _in_calendar(raw if raw.dtype == pl.Date else raw.cast(pl.String).str.to_date("%Y-%m-%d", strict=False))
            case T.TIME:
                return raw if raw.dtype == pl.Time else raw.cast(pl.String).str.to_time("%H:%M:%S%.f", strict=False)
            case T.DATETIME:
                return self._moments(raw)
            case T.JSON:
                return pl.Series(raw.name, [None if text is None else _canonical(text) for text in raw.to_list()], dtype=pl.String)
        return raw.cast(pl.Binary)

    def _decimals(self, raw: pl.Series) -> pl.Series:
        if isinstance(raw.dtype, pl.Decimal):
            return raw.cast(pl.Decimal(38, self.field.scale), strict=False)
        texts = raw.cast(pl.String)
        if not self.exact:  # Polars would cut digits behind the scale
            long = texts.str.contains(rf"\.\d{{{self.field.scale}}}\d*[1-9]|[eE]")
            texts = pl.select(pl.when(~long).then(texts)).to_series() if long.any() else texts
        return texts.cast(pl.Decimal(38, self.field.scale), strict=False)

    def _moments(self, raw: pl.Series) -> pl.Series:
        moments = raw
        if not isinstance(raw.dtype, pl.Datetime):
            texts = raw.cast(pl.String).str.replace("T", " ", literal=True)
            zoned = self.zone is None
            moments = texts.str.to_datetime("%Y-%m-%d %H:%M:%S%.f%#z" if zoned else "%Y-%m-%d %H:%M:%S%.f", time_unit="us", strict=False)
        moments = _in_calendar(moments.cast(pl.Datetime("us", getattr(moments.dtype, "time_zone", None))))
        if self.zone is None:
            return moments.dt.convert_time_zone("UTC") if moments.dtype.time_zone else moments.dt.replace_time_zone("UTC")  # type: ignore[attr-defined]
        if self.zone.key == "UTC":
            return moments.dt.replace_time_zone("UTC")
        return moments.dt.replace_time_zone(self.zone.key, ambiguous="earliest", non_existent="null").dt.convert_time_zone("UTC")

    def part(self, value: Any) -> Any:
        """A driver's value of this column, a part of a key, as a frame would hold it."""
        if isinstance(value, dt.datetime) and value.tzinfo is None:
            return value.replace(tzinfo=self.zone or dt.UTC)
        return bool(value) if self.field.type is T.BOOLEAN and value is not None else value

    def shown(self, raw: pl.Series, row: int) -> str:
        if raw.dtype in (pl.Date, pl.Datetime):
            number = int(raw.to_physical()[row])
            return INFINITE.get(number) or str(raw.slice(row, 1).cast(pl.String)[0])
        value = raw[row]
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        return text[:TEXT_SHOWN]

    def _reason(self, raw: pl.Series, row: int) -> Text:
        if self.field.type is T.DATETIME and self.zone is not None and self.as_stored._made(raw.slice(row, 1))[0] is not None:
            return Text(_("does not exist in the time zone {zone}"), {"zone": self.zone.key})
        match self.field.type:
            case T.DATE | T.DATETIME if isinstance(raw.dtype, pl.Date | pl.Datetime):
                return Text(_("is not within the years 1 to 9999"))
            case T.TEXT:
                return Text(_("holds characters that no text can have: a NUL, or bytes that are not valid UTF-8"))
            case T.DECIMAL:
                return Text(_("is no decimal of at most 38 digits, {scale} of them behind the point"), {"scale": self.field.scale})
        return Text(_("is no {type}"), {"type": str(self.field.type)})

    # --- what is asked for ---

    def value(self, text: str) -> Any:
        """The value of a canonical text, as a driver binds it. Raises Unfit for what no value of this column can be."""
        if self.is_clean and "\0" in text:
            raise Unfit(text)
        if self.is_uuid and not UUID.match(text):
            raise Unfit(text)
        if self.field.choices and text not in self.field.choices:
            raise Unfit(text)
        try:
            value = from_canonical(text, self.field.type)
            if isinstance(value, Decimal) and not value.is_finite():
                raise Unfit(text)
            if isinstance(value, int) and not -(2**63) <= value < 2**63:
                raise Unfit(text)
            if isinstance(value, dt.datetime) and self.zone is not None:
                return value.astimezone(self.zone).replace(tzinfo=None)
        except (ValueError, ArithmeticError, KeyError) as error:
            raise Unfit(text) from error
        return value

    def since(self, text: str) -> Any:
        """As `value`, for a lower bound: from the whole second, which may be all that the column keeps, and where clocks were put back, from the
        start of the hour that came twice."""
        value = self.value(text)
        if isinstance(value, dt.datetime):
            value = value.replace(microsecond=0)
        if isinstance(value, dt.datetime) and self.zone is not None:
            local = value.replace(tzinfo=self.zone)
            twice = (local.utcoffset() or dt.timedelta()) - (local.replace(fold=1).utcoffset() or dt.timedelta())
            return value - max(twice, dt.timedelta())
        return value

    # --- what is written ---

    def plain(self, column: pl.Series) -> pl.Series:
        """A column of changes with its moments as the database stores them."""
        if self.field.type is T.DATETIME and self.zone is not None:
            return column.dt.convert_time_zone(self.zone.key).dt.replace_time_zone(None)
        return column


def _booleans(numbers: pl.Series) -> pl.Series:
    return numbers.replace_strict({0: False, 1: True}, default=None, return_dtype=pl.Boolean)


def _clean_text(raw: pl.Series) -> pl.Series:
    broken = raw.str.contains("\0", literal=True)
    return pl.select(pl.when(~broken).then(raw)).to_series() if broken.any() else raw


def _decoded(raw: pl.Series) -> pl.Series:
    try:
        return _clean_text(raw.cast(pl.String))
    except pl.exceptions.PolarsError:
        return _clean_text(pl.Series(raw.name, [None if value is None else _utf8(value) for value in raw.to_list()], dtype=pl.String))


def _utf8(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def _in_calendar(moments: pl.Series) -> pl.Series:
    """Null for what lies outside the years that every part of the hub can name."""
    if moments.is_null().all():
        return moments
    number = moments.to_physical()
    day = 1 if moments.dtype == pl.Date else 86_400_000_000
    low, high = (FIRST.toordinal() - 719_163) * day, (LAST.toordinal() - 719_163 + 1) * day
    inside = (number >= low) & (number < high)
    return moments if inside.all() else pl.select(pl.when(inside).then(moments)).to_series()


def _canonical(text: str) -> str | None:
    try:
        return canonical_json(text)
    except (ValueError, RecursionError):
        return None
