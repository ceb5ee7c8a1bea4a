"""A file's texts as typed values, whole columns at a time. What does not fit its field becomes a misfit with its text, never null in silence."""

from __future__ import annotations

import codecs
import datetime as dt
from dataclasses import dataclass

import polars as pl

from connectors.base import Field, FieldType, Misfit, Text, _, frame_type
from connectors.canonical import canonical_json
from connectors.files.settings import Csv

T = FieldType
TEXT_SHOWN = 200
LARGEST_VALUE = 1024 * 1024  # bytes; a record with a larger one is rejected
ISO_MOMENTS = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M%#z")
ISO_TIMES = ("%H:%M:%S%.f", "%H:%M")


@dataclass(frozen=True, slots=True)
class Column:
    """One field and how a file writes it."""

    field: Field
    texts: Csv
    encoding: str = "utf-8"

    @property
    def dtype(self) -> pl.DataType:
        return frame_type(self.field.type, self.field.scale)

    def fitted(self, raw: pl.Series, *, is_plain: bool = False) -> tuple[pl.Series, list[Misfit]]:
        """A column of texts (or of bytes, where some are no text) as the field's type, and what of it does not fit.

        `is_plain`: no text of it holds a NUL or is too large, which a whole block tells sooner than each of its columns.
        """
        texts, broken = _decoded(raw) if raw.dtype == pl.Binary else (raw, [])
        if self.texts.null_values:
            texts = pl.select(pl.when(~texts.is_in(list(self.texts.null_values))).then(texts)).to_series()
            raw = pl.select(pl.when(texts.is_not_null() | pl.Series(range(raw.len())).is_in(broken)).then(raw)).to_series()
        made = (texts if is_plain and self.field.type is T.TEXT else self._made(texts)).alias(self.field.name)
        if made.null_count() == raw.null_count():
            return made, []
        lost = made.is_null() & raw.is_not_null()
        no_text = set(broken)
        return made, [Misfit(row, self.field.name, shown(raw[row]), self._reason(raw[row], row in no_text)) for row in lost.arg_true().to_list()]

    def _made(self, texts: pl.Series) -> pl.Series:
        match self.field.type:
            case T.TEXT:
                return fit_to_store(texts)
            case T.INTEGER:
                return texts.cast(pl.Int64, strict=False)
            case T.NUMBER:
                numbers = self._point(texts).cast(pl.Float64, strict=False)
                return only(numbers, numbers.is_finite())
            case T.DECIMAL:
                return self._decimals(self._point(texts))
            case T.BOOLEAN:
                yes, _slash, no = self.texts.boolean.lower().partition("/")
                return texts.str.to_lowercase().replace_strict({yes: True, no: False}, default=None, return_dtype=pl.Boolean)
            case T.DATE:
                pattern = "%Y-%m-%d" if self.texts.date == "iso" else self.texts.date
                return in_calendar(_whole_years(texts, pattern).str.to_date(pattern, strict=False))
            case T.TIME:
                return _first_that_fits(texts, ISO_TIMES if self.texts.time == "iso" else (self.texts.time,), _time)
            case T.DATETIME:
                if self.texts.datetime == "iso":
                    texts = texts.str.replace("T", " ", literal=True)
                return _first_that_fits(texts, ISO_MOMENTS if self.texts.datetime == "iso" else (self.texts.datetime,), self._moment)
            case T.JSON:
                return pl.Series([None if text is None else _canonical(text) for text in texts.to_list()], dtype=pl.String)
        return texts.str.decode("base64", strict=False)

    def _point(self, texts: pl.Series) -> pl.Series:
        if self.texts.decimal_mark == ".":
            return texts
        pointed = texts.str.contains(".", literal=True)
        texts = only(texts, ~pointed | texts.str.contains(r"^[+-]?\d{1,3}(\.\d{3})+(,|$)"))  # else 1.5 would become 15
        return texts.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)

    def _decimals(self, texts: pl.Series) -> pl.Series:
        fit = ~texts.str.contains(rf"\.\d{{{self.field.scale}}}\d*[1-9]|[eE]")  # Polars would cut digits behind the scale
        texts = only(texts, fit)
        return texts.cast(pl.Decimal(38, self.field.scale), strict=False)

    def _moment(self, texts: pl.Series, pattern: str) -> pl.Series:
        texts = _whole_years(texts, pattern)
        if "%#z" in pattern or "%z" in pattern:
            return in_calendar(texts.str.to_datetime(pattern, time_unit="us", strict=False)).dt.convert_time_zone("UTC")
        naive = in_calendar(texts.str.to_datetime(pattern, time_unit="us", strict=False))
        if self.texts.zone == "UTC":
            return naive.dt.replace_time_zone("UTC")
        return naive.dt.replace_time_zone(self.texts.zone, ambiguous="earliest", non_existent="null").dt.convert_time_zone("UTC")

    def _reason(self, value: str | bytes, is_no_text: bool) -> Text:
        if is_no_text and self.texts.encoding:
            return Text(_("holds bytes that are no text in the encoding {encoding}"), {"encoding": self.encoding})
        if is_no_text:
            reason = _(
                "holds bytes that are no text in the encoding {encoding}, which was found out. Set the encoding of the file in the system's settings"
            )
            return Text(reason, {"encoding": self.encoding})
        if len(value) > LARGEST_VALUE // 4:
            return Text(_("is larger than a value may be ({limit} bytes)"), {"limit": LARGEST_VALUE})
        match self.field.type:
            case T.TEXT:
                return Text(_("holds a NUL character, which no text can have"))
            case T.DECIMAL:
                return Text(_("is no decimal of at most 38 digits, {scale} of them behind the point"), {"scale": self.field.scale})
        return Text(_("is no {type}"), {"type": str(self.field.type)})

    # --- what is written ---

    def text(self, values: pl.Series) -> pl.Series:
        """A column of the field's type as the file writes it. What was read from it gives the same values again."""
        match self.field.type:
            case T.INTEGER:
                return values  # the one type that needs no quotes
            case T.BOOLEAN:
                yes, _slash, no = self.texts.boolean.partition("/")
                return values.replace_strict({True: yes, False: no}, default=None, return_dtype=pl.String)
            case T.NUMBER:
                return self._mark(values.cast(pl.String))
            case T.DECIMAL:
                texts = values.cast(pl.String)
                return self._mark(texts.str.strip_chars_end("0").str.strip_chars_end(".") if self.field.scale else texts)
            case T.DATE:
                return values.dt.strftime("%Y-%m-%d" if self.texts.date == "iso" else self.texts.date)
            case T.TIME:
                if self.texts.time != "iso":
                    return values.dt.strftime(self.texts.time)
                return values.dt.strftime("%H:%M:%S%.6f").str.strip_suffix(".000000")
            case T.DATETIME:
                local = values.dt.convert_time_zone(self.texts.zone)
                if self.texts.datetime != "iso":
                    return local.dt.strftime(self.texts.datetime.replace("%#z", "%z"))
                return values.dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").str.replace(".000000Z", "Z", literal=True)
            case T.BINARY:
                return values.bin.encode("base64")
        return values.cast(pl.String)

    def _mark(self, texts: pl.Series) -> pl.Series:
        return texts if self.texts.decimal_mark == "." else texts.str.replace(".", ",", literal=True)


def only(values: pl.Series, fit: pl.Series) -> pl.Series:
    return values if fit.all() else pl.select(pl.when(fit).then(values)).to_series()


def fit_to_store(texts: pl.Series) -> pl.Series:
    size = texts.str.len_bytes().max()
    if isinstance(size, int) and size > LARGEST_VALUE:
        texts = only(texts, texts.str.len_bytes() <= LARGEST_VALUE)
    return only(texts, ~texts.str.contains("\0", literal=True))


def _first_that_fits(texts: pl.Series, patterns: tuple[str, ...], parse: object) -> pl.Series:
    made = parse(texts, patterns[0])  # type: ignore[operator]
    for pattern in patterns[1:]:
        lost = made.is_null() & texts.is_not_null()
        if not lost.any():
            break
        made = made.zip_with(~lost, parse(only(texts, lost), pattern))  # type: ignore[operator]
    return made  # type: ignore[no-any-return]


def _time(texts: pl.Series, pattern: str) -> pl.Series:
    return texts.str.to_time(pattern, strict=False)


def _whole_years(texts: pl.Series, pattern: str) -> pl.Series:
    """Null where the pattern asks for a year of four digits and none is there: Polars would take 24.11.26 for a day of the year 26."""
    return only(texts, texts.str.contains(r"\d{4}")) if "%Y" in pattern else texts


def in_calendar(moments: pl.Series) -> pl.Series:
    """Null for what lies outside the years that every part of the hub can name."""
    years = moments.dt.year()
    first, last = years.min(), years.max()
    if isinstance(first, int) and isinstance(last, int) and (first < dt.MINYEAR or last > dt.MAXYEAR):
        return only(moments, (years >= dt.MINYEAR) & (years <= dt.MAXYEAR))
    return moments


def _decoded(raw: pl.Series) -> tuple[pl.Series, list[int]]:
    """Bytes as texts, and the rows that are none."""
    try:
        return raw.cast(pl.String), []
    except pl.exceptions.PolarsError:
        texts = [None if value is None else _utf8(value) for value in raw.to_list()]
        series = pl.Series(raw.name, texts, dtype=pl.String)
        return series, (series.is_null() & raw.is_not_null()).arg_true().to_list()


def _utf8(value: bytes) -> str | None:
    try:
        return codecs.utf_8_decode(value, "strict", True)[0]
    except UnicodeDecodeError:
        return None


def _canonical(text: str) -> str | None:
    try:
        return canonical_json(text)
    except (ValueError, RecursionError):
        return None


def shown(value: object) -> str:
    """A value as people may see it, cut."""
    text = value[: 4 * TEXT_SHOWN].decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return text[:TEXT_SHOWN]


def inferred(name: str, texts: pl.Series, style: Csv) -> Field:
    """The narrowest type that takes all of these texts. Digits behind a leading nought are a text, as in postal codes; so is a column without values."""
    present = (_decoded(texts)[0] if texts.dtype == pl.Binary else texts).drop_nulls()
    if not present.len():
        return Field(name=name)
    padded = present.str.contains(r"^[+-]?0\d|^\+").any()
    for type_ in (T.BOOLEAN, T.INTEGER, T.DECIMAL, T.NUMBER, T.DATE, T.DATETIME, T.TIME):
        if padded and type_ in (T.INTEGER, T.DECIMAL, T.NUMBER):
            continue
        field = Field(name=name, type=type_)
        if not Column(field, style).fitted(present)[1]:
            return field
    return Field(name=name)
