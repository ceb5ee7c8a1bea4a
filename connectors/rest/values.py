"""One field's values on their way between JSON and a frame.

Reading goes by columns: a whole column is converted at once, and only where some value of it does not fit are its values looked at one by
one. Nothing is coerced in silence: what does not fit becomes a misfit with its text, never null.
"""

from __future__ import annotations

import datetime as dt
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec
import orjson
import polars as pl

from connectors.base import Field, FieldType, Misfit, SettingsError, _, frame_type
from connectors.canonical import canonical_text
from connectors.rest.parsing import EPOCHS, INTEGER_LIMIT, JSON_DATE, PARSERS, Unfit, canonical_json
from connectors.rest.settings import FieldSettings, Formats

T = FieldType
INTEGER = Annotated[int, msgspec.Meta(ge=-INTEGER_LIMIT, le=INTEGER_LIMIT - 1)]
TEXT_SHOWN = 200
FIRST_MILLISECOND = -62_135_596_800_000  # of the year 1
LAST_MILLISECOND = 253_402_300_800_000  # of the year 9999, counted from 1970


def zone_of(name: str, field: str) -> ZoneInfo:
    """Raises SettingsError, naming the field, where there is no such zone."""
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        raise SettingsError(_("There is no time zone {zone} (field {field}). Correct it in the system's settings."), zone=name, field=field) from None


@dataclass(frozen=True, eq=False)
class Form:
    """How one field is written by the system."""

    field: Field
    format: str
    zone: ZoneInfo
    max_bytes: int
    write_as: str
    null_values: frozenset[str] = frozenset()

    @cached_property
    def dtype(self) -> pl.DataType:
        return frame_type(self.field.type, self.field.scale)

    @classmethod
    def of(cls, field: Field, declared: FieldSettings | None, formats: Formats, max_bytes: int) -> Form:
        default = {
            T.DATETIME: formats.datetime,
            T.DATE: formats.date,
            T.TIME: formats.time,
            T.DECIMAL: formats.decimal,
            T.BOOLEAN: formats.boolean,
            T.INTEGER: "number",
            T.NUMBER: "number",
        }.get(field.type, "")
        zone = zone_of((declared.zone if declared else "") or formats.zone, field.name)
        if declared is None:
            return cls(field, default, zone, max_bytes, field.name)
        return cls(field, declared.format or default, zone, max_bytes, declared.write_as or field.name, frozenset(declared.null_values))

    @property
    def wire_type(self) -> Any:
        """What a typed JSON decoder should accept for a value that is neither null nor absent."""
        match self.field.type:
            case T.TEXT:
                return str | int | float | bool if self.format == "any" else str
            case T.INTEGER:
                return str if self.format == "text" else str | INTEGER if self.format == "any" else INTEGER
            case T.NUMBER:
                return str if self.format == "text" else str | float if self.format == "any" else float
            case T.DECIMAL:
                return Decimal
            case T.BOOLEAN:
                return bool if self.format == "true/false" else str | int | bool
            case T.JSON:
                return msgspec.Raw
            case T.BINARY:
                return str
        return int | float if self.format in EPOCHS else str

    # --- from the system ---

    def series(self, column: Sequence[Any], *, trusted: bool = False) -> tuple[pl.Series, list[Misfit]]:
        """A column of decoded JSON (None: null; no ABSENT in it) as the frame has it, and what did not fit.

        `trusted`: a typed decoder made it, so every number is finite, and the whole page is smaller than a single value may be.
        """
        if self.null_values:
            column = [None if isinstance(v, str) and v in self.null_values else v for v in column]
        fast = self._fast(column, trusted)
        if fast is not None:
            return fast.alias(self.field.name), []
        return self._one_by_one(column)

    def _fast(self, column: Sequence[Any], trusted: bool) -> pl.Series | None:
        """The whole column at once; None if any value of it needs a closer look."""
        try:
            series = self._converted(column, trusted)
        except (TypeError, ValueError, OverflowError, AttributeError, RuntimeError, pl.exceptions.PolarsError):  # of Polars, or of what is no value
            return None
        if series is None or series.null_count() != column.count(None):
            return None
        if not trusted and series.dtype == pl.String and (series.str.len_bytes() > self.max_bytes).any():
            return None
        return series

    def _converted(self, column: Sequence[Any], trusted: bool) -> pl.Series | None:
        match self.field.type:
            case T.TEXT if self.format != "any":
                return pl.Series(column, dtype=self.dtype, strict=True)
            case T.INTEGER if self.format != "number" and set(map(type, column)) <= {str, type(None)}:
                return self._whole_numbers(pl.Series(column, dtype=pl.String))
            case T.INTEGER if self.format != "text" and (trusted or bool not in map(type, column)):
                return pl.Series(column, dtype=self.dtype, strict=True)
            case T.NUMBER if self.format != "text" and (trusted or bool not in map(type, column)):
                series = pl.Series(column, dtype=self.dtype, strict=True)
                return series if trusted or series.is_finite().all() else None
            case T.DECIMAL:
                return self._decimals([None if v is None else str(v) for v in column])
            case T.BOOLEAN if self.format == "true/false":
                return pl.Series(column, dtype=self.dtype, strict=True)
            case T.JSON if trusted or set(map(type, column)) <= {msgspec.Raw, type(None)}:
                return pl.Series([None if v is None else canonical_json(v) for v in column], dtype=self.dtype)
            case T.DATETIME | T.DATE:
                moments = self._moments(column, self.dtype)  # Polars takes 24.11.26 for a day of the year 26: such are looked at one by one
                return None if moments is not None and (moments.dt.year() < 1000).any() else moments
            case T.TIME:
                return self._moments(column, self.dtype)
        return None

    @staticmethod
    def _whole_numbers(texts: pl.Series) -> pl.Series | None:
        return texts.cast(pl.Int64, strict=False) if texts.str.contains(r"^-?\d{1,19}$").all() else None

    def _decimals(self, texts: list[str | None]) -> pl.Series | None:
        """Polars would cut digits that do not fit the scale; texts shorter than the scale cannot have any."""
        series = pl.Series(texts, dtype=pl.String)
        longest = max((len(t) for t in texts if t is not None), default=0)
        if any("E" in t or "e" in t for t in texts if t is not None):
            return None
        if longest > self.field.scale and series.str.contains(rf"\.\d{{{self.field.scale}}}\d*[1-9]|[^-0-9.]").any():
            return None
        return series.cast(self.dtype, strict=False)

    def _moments(self, column: Sequence[Any], dtype: pl.DataType) -> pl.Series | None:
        if self.format in EPOCHS:
            if set(map(type, column)) - {int, type(None)}:
                return None
            micros = pl.Series(column, dtype=pl.Int64, strict=True)
            limit = LAST_MILLISECOND * 1000 // EPOCHS[self.format]
            if (micros.abs() >= limit).any():
                return None
            moments = (micros * EPOCHS[self.format]).cast(pl.Datetime("us", "UTC"))
            return moments if self.field.type is T.DATETIME else moments.dt.convert_time_zone(self.zone.key).dt.date()
        texts = pl.Series(column, dtype=pl.String, strict=True)
        first = next((v for v in column if v is not None), None)
        if first is None:
            return texts.cast(dtype)
        if self.format == "json_date":
            return self._json_dates(texts)
        if self.field.type is T.DATE:
            return texts.str.to_date("%Y-%m-%d" if self.format == "iso" else self.format, strict=False, exact=True)
        if self.field.type is T.TIME:
            return texts.str.to_time("%H:%M:%S%.f" if self.format == "iso" else self.format, strict=False)
        pattern = _iso_pattern(first) if self.format == "iso" else self.format
        if pattern.endswith("Z") and "%" in pattern:
            return texts.str.to_datetime(pattern, time_unit="us", time_zone="UTC", strict=False)
        if "%z" in pattern or "%#z" in pattern:
            return texts.str.to_datetime(pattern, time_unit="us", strict=False).dt.convert_time_zone("UTC")
        naive = texts.str.to_datetime(pattern, time_unit="us", strict=False)
        return naive.dt.replace_time_zone(self.zone.key, ambiguous="earliest", non_existent="null").dt.convert_time_zone("UTC")

    def _json_dates(self, texts: pl.Series) -> pl.Series:
        clock = texts.str.extract(f"^{JSON_DATE.pattern}$").cast(pl.Int64, strict=False)
        clock = pl.select(pl.when(clock.is_between(FIRST_MILLISECOND, LAST_MILLISECOND, closed="left")).then(clock)).to_series()
        if self.field.type is T.DATE:
            return clock.cast(pl.Datetime("ms")).cast(pl.Date)
        moments = (clock * 1000).cast(pl.Datetime("us"))
        return moments.dt.replace_time_zone(self.zone.key, ambiguous="earliest", non_existent="null").dt.convert_time_zone("UTC")

    def _one_by_one(self, column: Sequence[Any]) -> tuple[pl.Series, list[Misfit]]:
        values: list[Any] = []
        misfits = []
        for row, value in enumerate(column):
            try:
                values.append(None if value is None else self.parse(value))
            except Unfit as unfit:
                values.append(None)
                misfits.append(Misfit(row, self.field.name, shown(value), unfit.reason))
        return pl.Series(self.field.name, values, dtype=self.dtype), misfits

    def parse(self, value: Any) -> Any:
        """One value as the frame has it. Raises Unfit."""
        if isinstance(value, msgspec.Raw):
            try:
                value = msgspec.json.decode(value)
            except (ValueError, RecursionError):
                raise Unfit(_("is no valid JSON")) from None
        if isinstance(value, str):
            self.examine_text(value)
        return PARSERS[self.field.type](self, value)

    def examine_text(self, value: str) -> None:
        try:
            size = len(value) if len(value) * 4 <= self.max_bytes else len(value.encode())
        except UnicodeEncodeError:
            raise Unfit(_("holds characters that are not valid UTF-8")) from None
        if size <= self.max_bytes and not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise Unfit(_("holds characters that are not valid UTF-8")) from None
        if size > self.max_bytes:
            raise Unfit(_("is {size} bytes long; the limit is {limit}"), size=size, limit=self.max_bytes)

    # --- to the system ---

    def outgoing(self, column: pl.Series) -> list[Any]:
        """A column of the frame as values for JSON."""
        plain = self.plain(column)
        if plain is not None:
            return plain.to_list()
        if self.field.type is T.DECIMAL:
            return [None if text is None else orjson.Fragment(text) for text in _without_zeros(column).to_list()]
        return [None if v is None else self.write(v) for v in column.to_list()]

    def plain(self, column: pl.Series) -> pl.Series | None:
        """The same as a column of texts, numbers or booleans as they stand in JSON; None where its values have to be written one by one."""
        match self.field.type:
            case T.TEXT:
                return column
            case T.INTEGER | T.NUMBER if self.format != "text":
                return column
            case T.BOOLEAN if self.format == "true/false":
                return column
            case T.DATETIME if self.format not in EPOCHS and self.format != "json_date":
                return self._written_moments(column)
            case T.DATE if self.format == "iso":
                return column.dt.to_string("%Y-%m-%d")
            case T.DECIMAL if self.format == "text":
                return _without_zeros(column)
        return None

    def _written_moments(self, column: pl.Series) -> pl.Series:
        if self.format == "iso":
            return column.dt.to_string("%Y-%m-%dT%H:%M:%S%.6fZ").str.replace(".000000Z", "Z", literal=True)
        return column.dt.convert_time_zone(self.zone.key).dt.to_string(self.format.replace("%#z", "%z"))

    def write(self, value: Any) -> Any:
        """One value of the frame as a value for JSON."""
        match self.field.type:
            case T.DECIMAL:
                text = canonical_text(value)
                return text if self.format == "text" else orjson.Fragment(text)
            case T.INTEGER | T.NUMBER if self.format == "text":
                return str(value)
            case T.BOOLEAN if self.format != "true/false":
                yes, _slash, no = self.format.partition("/")
                word = yes if value else no
                return int(word) if self.format == "1/0" else word
            case T.DATETIME | T.DATE if self.format in EPOCHS:
                return self._epoch(value)
            case T.DATETIME | T.DATE if self.format == "json_date":
                return f"/Date({self._clock(value) // dt.timedelta(milliseconds=1)})/"
            case T.DATETIME:
                return self._written_moments(pl.Series([value], dtype=pl.Datetime("us", "UTC")))[0]
            case T.DATE | T.TIME:
                return value.isoformat() if self.format == "iso" else value.strftime(self.format)
            case T.JSON:
                return orjson.Fragment(value)
            case T.BINARY:
                return urlsafe_b64encode(value).decode().rstrip("=") if self.format == "base64url" else msgspec.to_builtins(value)
        return value

    def _clock(self, value: dt.datetime | dt.date) -> dt.timedelta:
        """What a clock in this form's time zone shows, counted from 1970."""
        clock = value.astimezone(self.zone).replace(tzinfo=None) if isinstance(value, dt.datetime) else dt.datetime.combine(value, dt.time())
        return clock - dt.datetime(1970, 1, 1)  # noqa: DTZ001

    def _epoch(self, value: dt.datetime | dt.date) -> int:
        if not isinstance(value, dt.datetime):
            value = dt.datetime(value.year, value.month, value.day, tzinfo=self.zone)
        micros = (value - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)
        return micros // EPOCHS[self.format]


def _without_zeros(column: pl.Series) -> pl.Series:
    """Decimals without the zeros that their scale puts behind them."""
    texts = column.cast(pl.String)
    if isinstance(column.dtype, pl.Decimal) and column.dtype.scale:
        texts = texts.str.strip_chars_end("0").str.strip_chars_end(".")
    return texts


def shown(value: Any) -> str:
    """A value as people may see it, cut."""
    if isinstance(value, msgspec.Raw):
        value = bytes(value)[: 4 * TEXT_SHOWN].decode("utf-8", "replace")
    try:
        text = value if isinstance(value, str) else canonical_json(value)
    except (TypeError, ValueError, RecursionError):
        text = str(value) if not isinstance(value, list | dict) else "…"
    return text[:TEXT_SHOWN].encode("utf-8", "replace").decode()


def _iso_pattern(first: str) -> str:
    """The pattern of this ISO moment; the others of its column are tried with it."""
    day, separator, clock = first[:10], first[10:11], first[11:]
    if not clock:
        return "%Y-%m-%d"
    clock = "%H:%M" if len(clock.rstrip("Zz").split("+")[0].split("-")[0]) == 5 else "%H:%M:%S%.f"
    tail = first[11:].upper()
    zone = "Z" if tail.endswith("Z") else "%#z" if "+" in tail or "-" in tail else ""
    return f"%Y-%m-%d{separator}{clock}{zone}" if day.count("-") == 2 else "%+"
