"""Functions of dates and times."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import TYPE_CHECKING

from connectors.base import _, frame_type

from .. import values as v
from ..errors import ExpressionError
from ..formats import has_date, has_time, has_zone, whole_years
from ..values import Value
from .base import TEMPORAL, TEXT, Argument, T, declare, written_format, written_unit, written_zone

if TYPE_CHECKING:
    import polars as pl


def _to_date(text: Value, format_: str) -> Value:
    if not has_date(format_):
        raise ExpressionError(_("This format has no date in it."))
    return v.strict(T.DATE, [text], lambda x: read_date(x, format_), fallible=True)


def _to_datetime(text: Value, format_: str, zone: str | None = None) -> Value:
    return v.strict(T.DATETIME, [text], lambda x: read_datetime(x, format_, zone or "UTC"), fallible=True)


def read_date(value: pl.Expr, format_: str) -> pl.Expr:
    return whole_years(value, format_).str.to_date(format_, strict=False)


def read_datetime(value: pl.Expr, format_: str, zone: str, ambiguous: str = "null") -> pl.Expr:
    """A text as a time in UTC; without an offset in it, one of the zone's. A time that the zone skips is null, one that it has twice `ambiguous`."""
    import polars as pl

    value = whole_years(value, format_)
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


_FORMAT, _ZONE = Argument("format", written_format), Argument("zone", written_zone, optional=True)
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
    "date_trunc", Argument("unit", written_unit(TRUNCATIONS)), TEMPORAL("time"), make=_date_trunc,
    text=_("The start of the month, week, hour … that a time lies in."),
    example="date_trunc('month', '2026-11-24') = '2026-11-01'",
)  # fmt: skip
declare(
    "date_part", Argument("unit", written_unit(PARTS)), TEMPORAL("time"), make=_date_part, text=_("The year, month, hour … of a time, as a number."),
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
