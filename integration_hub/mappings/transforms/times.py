"""Transforms of dates and times. A time is always one of UTC; a zone says how people of a place write it."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from connectors.base import FieldType, _
from integration_hub.core.expressions.conversions import within_calendar
from integration_hub.core.expressions.errors import ExpressionError
from integration_hub.core.expressions.formats import check_zone, has_date, has_time, has_zone, read_format
from integration_hub.core.expressions.functions.times import TRUNCATIONS, read_date, read_datetime

from .base import Example, Parameter, T, transform

if TYPE_CHECKING:
    import polars as pl

GROUP = _("Dates and times")
TIMES = frozenset({T.DATE, T.DATETIME})
Formats = Annotated[list[str], Parameter(title=_("Formats, tried in order"), min_length=1, max_length=10, json_schema_extra={"widget": "formats"})]
Format = Annotated[str, Parameter(title=_("Format"), min_length=1, max_length=100, json_schema_extra={"widget": "format"})]
Zone = Annotated[str, Parameter(title=_("Time zone"), max_length=64, json_schema_extra={"widget": "zone"})]


def _check_times(parameters: Any) -> None:
    for format_ in getattr(parameters, "formats", None) or [getattr(parameters, "format", "%Y")]:
        read_format(format_)
    if hasattr(parameters, "zone"):
        check_zone(parameters.zone)


def _check_date_formats(parameters: Any) -> None:
    for format_ in parameters.formats:
        if not has_date(read_format(format_)):
            raise ExpressionError(_("The format “{format}” has no date in it."), format=format_)
    if hasattr(parameters, "zone"):
        check_zone(parameters.zone)


@transform(
    _("Read a date"),
    _("Reads a date that is written in one of these formats."),
    group=GROUP,
    takes=T.TEXT,
    gives=T.DATE,
    check=_check_date_formats,
    reason=_("“{value}” is not a date in the format {formats}."),
    examples=[
        Example("2026-11-24", "2026-11-24"),
        Example("24.11.2026", "2026-11-24", {"formats": ["DD.MM.YYYY"]}),
        Example("11/24/2026", "2026-11-24", {"formats": ["YYYY-MM-DD", "%m/%d/%Y"]}),
    ],
)
def parse_date(value: "pl.Expr", formats: Formats = ["YYYY-MM-DD"]) -> "pl.Expr":  # noqa: B006  pydantic copies it
    import polars as pl

    return pl.coalesce(read_date(value, read_format(format_)) for format_ in formats)


@transform(
    _("Read a time"),
    _("Reads a date with its time. Where the text names no offset, it is a time of this zone; one that the zone skips in spring is refused."),
    group=GROUP,
    takes=T.TEXT,
    gives=T.DATETIME,
    check=_check_date_formats,
    reason=_("“{value}” is not a time in the format {formats} (time zone {zone})."),
    examples=[
        Example("2026-11-24T10:42:00Z", "2026-11-24T10:42:00Z"),
        Example("24.11.2026 10:42", "2026-11-24T02:42:00Z", {"formats": ["DD.MM.YYYY HH:mm"], "zone": "Asia/Shanghai"}),
    ],
)
def parse_datetime(
    value: "pl.Expr",
    formats: Formats = ["%Y-%m-%dT%H:%M:%S%.f%#z"],  # noqa: B006
    zone: Zone = "UTC",
    ambiguous: Annotated[Literal["reject", "earliest", "latest"], Parameter(title=_("A time that autumn has twice"))] = "reject",
) -> "pl.Expr":
    import polars as pl

    twice = "null" if ambiguous == "reject" else ambiguous
    return pl.coalesce(read_datetime(value, read_format(format_), zone, twice) for format_ in formats)


UNITS = {"seconds": 1_000_000, "milliseconds": 1_000, "microseconds": 1}
Unit = Annotated[Literal["seconds", "milliseconds", "microseconds"], Parameter(title=_("Unit"))]


@transform(
    _("Read Unix time"),
    _("Makes a time of the seconds (or parts of them) since 1970."),
    group=GROUP,
    takes=frozenset({T.INTEGER, T.NUMBER, T.DECIMAL}),
    gives=T.DATETIME,
    reason=_("{value} is not a time between the years 0 and 9999 in {unit} since 1970."),
    examples=[Example(1795516920, "2026-11-24T10:42:00Z"), Example(1795516920500, "2026-11-24T10:42:00.500Z", {"unit": "milliseconds"})],
)
def from_epoch(value: "pl.Expr", of: FieldType, unit: Unit = "seconds") -> "pl.Expr":
    import polars as pl

    if of is T.INTEGER:
        micros = value.cast(pl.Int128) * UNITS[unit]
    else:
        micros = (value.cast(pl.Float64) * UNITS[unit]).round().cast(pl.Int128, strict=False)
    known = (micros >= -62_167_219_200_000_000) & (micros <= 253_402_300_799_999_999)
    return pl.when(known).then(micros).cast(pl.Int64, strict=False).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


@transform(
    _("Write Unix time"),
    _("The seconds (or parts of them) since 1970, as a whole number."),
    group=GROUP,
    takes=TIMES,
    gives=T.INTEGER,
    examples=[
        Example("2026-11-24T10:42:00Z", 1795516920, type=T.DATETIME),
        Example("2026-11-24T10:42:00Z", 1795516920000, {"unit": "milliseconds"}, type=T.DATETIME),
    ],
)
def to_epoch(value: "pl.Expr", unit: Unit = "seconds") -> "pl.Expr":
    return value.dt.epoch("us") // UNITS[unit]


def _check_format(parameters: Any) -> None:
    read_format(parameters.format)
    check_zone(parameters.zone)


@transform(
    _("Write a date or time"),
    _("Writes a date or a time in a format, as the clocks of a zone show it."),
    group=GROUP,
    takes=TIMES,
    gives=T.TEXT,
    check=_check_format,
    examples=[
        Example("2026-11-24", "24.11.2026", {"format": "DD.MM.YYYY"}, type=T.DATE),
        Example("2026-11-24T02:42:00Z", "2026-11-24 10:42", {"format": "YYYY-MM-DD HH:mm", "zone": "Asia/Shanghai"}, type=T.DATETIME),
    ],
)
def format_date(value: "pl.Expr", of: FieldType, format: Format = "YYYY-MM-DD", zone: Zone = "UTC") -> "pl.Expr":
    import polars as pl

    written = read_format(format)
    if of is T.DATETIME:
        return value.dt.convert_time_zone(zone).dt.strftime(written)
    if has_time(written) or has_zone(written):  # a date as its midnight
        return value.cast(pl.Datetime("us")).dt.replace_time_zone("UTC").dt.strftime(written)
    return value.dt.strftime(written)


@transform(
    _("Date of a time"),
    _("The day on which a time falls, by the calendar of a zone."),
    group=GROUP,
    takes=T.DATETIME,
    gives=T.DATE,
    check=lambda parameters: _check_times(parameters),
    examples=[Example("2026-11-24T22:00:00Z", "2026-11-25", {"zone": "Asia/Shanghai"}, type=T.DATETIME)],
)
def date_of(value: "pl.Expr", zone: Zone = "UTC") -> "pl.Expr":
    return value.dt.convert_time_zone(zone).dt.date()


@transform(
    _("Start of day"),
    _("The time at which a date begins in a zone."),
    group=GROUP,
    takes=T.DATE,
    gives=T.DATETIME,
    check=lambda parameters: _check_times(parameters),
    reason=_("{value} has no midnight in {zone}."),
    examples=[Example("2026-11-25", "2026-11-24T16:00:00Z", {"zone": "Asia/Shanghai"}, type=T.DATE)],
)
def start_of_day(value: "pl.Expr", zone: Zone = "UTC") -> "pl.Expr":
    import polars as pl

    midnight = value.cast(pl.Datetime("us")).dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    return midnight.dt.convert_time_zone("UTC")


@transform(
    _("Shift zone"),
    _("Corrects times that were stored as if they were UTC but are those of a zone's clocks."),
    group=GROUP,
    takes=T.DATETIME,
    check=lambda parameters: _check_times(parameters),
    reason=_("{value} is skipped or there twice in {zone}."),
    examples=[Example("2026-11-24T10:42:00Z", "2026-11-24T02:42:00Z", {"zone": "Asia/Shanghai"}, type=T.DATETIME)],
)
def shift_zone(value: "pl.Expr", zone: Zone = "UTC") -> "pl.Expr":
    return value.dt.replace_time_zone(None).dt.replace_time_zone(zone, ambiguous="null", non_existent="null").dt.convert_time_zone("UTC")


@transform(
    _("Cut to unit"),
    _("The start of the hour, day, week, month, quarter or year in which a date or time lies."),
    group=GROUP,
    takes=TIMES,
    examples=[
        Example("2026-11-24", "2026-11-01", {"unit": "month"}, type=T.DATE),
        Example("2026-11-24T10:42:07Z", "2026-11-24T10:00:00Z", {"unit": "hour"}, type=T.DATETIME),
    ],
)
def truncate_time(
    value: "pl.Expr",
    of: FieldType,
    unit: Annotated[Literal["second", "minute", "hour", "day", "week", "month", "quarter", "year"], Parameter(title=_("Unit"))] = "day",
) -> "pl.Expr":
    if of is T.DATE and unit in ("second", "minute", "hour"):
        return value
    return value.dt.truncate(TRUNCATIONS[unit])


_STEPS = {"seconds": "s", "minutes": "m", "hours": "h", "days": "d", "weeks": "w", "months": "mo", "years": "y"}


@transform(
    _("Add time"),
    _("Adds days, months, hours … or with a negative amount takes them away. The end of a month stays within the month."),
    group=GROUP,
    takes=TIMES,
    gives=lambda before, parameters: T.DATETIME if parameters.unit in ("seconds", "minutes", "hours") else before,
    reason=_("{value} would come to lie outside the years 1 to 9999."),
    examples=[
        Example("2026-01-31", "2026-02-28", {"amount": 1, "unit": "months"}, type=T.DATE),
        Example("2026-11-24T10:42:00Z", "2026-11-24T08:42:00Z", {"amount": -2, "unit": "hours"}, type=T.DATETIME),
    ],
)
def add_time(
    value: "pl.Expr",
    of: FieldType,
    amount: Annotated[int, Parameter(title=_("Amount"), ge=-10_000, le=10_000)] = 1,
    unit: Annotated[Literal["seconds", "minutes", "hours", "days", "weeks", "months", "years"], Parameter(title=_("Unit"))] = "days",
) -> "pl.Expr":
    import polars as pl

    if of is T.DATE and unit in ("seconds", "minutes", "hours"):
        value = value.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
        of = T.DATETIME
    return within_calendar(value.dt.offset_by(f"{amount}{_STEPS[unit]}"), of)
