"""How dates and times are written. People write `YYYY-MM-DD HH:mm` or `%Y-%m-%d %H:%M`; both are understood everywhere."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from connectors.base import _

from .errors import ExpressionError

if TYPE_CHECKING:
    import polars as pl

MAX_LENGTH = 100
_WORDS = {
    "YYYY": "%Y", "yyyy": "%Y", "YY": "%y", "yy": "%y", "MMMM": "%B", "MMM": "%b", "Month": "%B", "Mon": "%b", "MM": "%m", "DD": "%d", "dd": "%d",
    "HH24": "%H", "HH12": "%I", "HH": "%H", "hh": "%I", "MI": "%M", "mm": "%M", "SS": "%S", "ss": "%S", "MS": "%3f", "SSS": "%3f",
    "A": "%p", "AM": "%p",
    "ZZ": "%z", "Z": "%#z",
}  # fmt: skip
_WORD = re.compile("|".join(sorted(_WORDS, key=len, reverse=True)) + r"|M|D|H")
_SHORT = {"M": "%-m", "D": "%-d", "H": "%-H"}
_DIRECTIVE = re.compile(r"%(?:[-_0]?[YymdejHkIlMSpPbBaAhfzZsTDFRuw]|\.[369]?f|[369]f|#z|:z|\+|%)")
_DATE = re.compile(r"%[-_0]?(?:[YymdejbBFDs]|\+)")
_TIME = re.compile(r"%[-_0]?(?:[HkIlMSTRs]|\+)")
_ZONE = re.compile(r"%(?:z|:z|#z|\+|s)")


@lru_cache(maxsize=500)
def read_format(text: str) -> str:
    """The format in % signs. Raises ExpressionError for one that says nothing or is not understood."""
    if not text or len(text) > MAX_LENGTH:
        raise ExpressionError(_("A format needs 1 to {limit} characters."), limit=MAX_LENGTH)
    format_ = text if "%" in text else _WORD.sub(lambda word: _WORDS.get(word[0]) or _SHORT[word[0]], text)
    if "%" in _DIRECTIVE.sub("", format_) or not _DIRECTIVE.search(format_):
        raise ExpressionError(_("“{format}” is not a format of dates or times. Write it like YYYY-MM-DD HH:mm:ss or %Y-%m-%d."), format=text)
    return format_


def has_date(format_: str) -> bool:
    return _DATE.search(format_) is not None


def has_time(format_: str) -> bool:
    return _TIME.search(format_) is not None


def has_zone(format_: str) -> bool:
    return _ZONE.search(format_) is not None


def whole_years(value: pl.Expr, format_: str) -> pl.Expr:
    """Null where the format asks for a year of four digits and none is there: Polars would take 24.11.26 for a day of the year 26."""
    import polars as pl

    return pl.when(value.str.contains(r"\d{4}")).then(value) if "%Y" in format_ else value


def check_zone(name: str) -> str:
    """The name of a time zone, as given. Raises ExpressionError for one that does not exist."""
    import zoneinfo

    from .errors import did_you_mean

    if name in zoneinfo.available_timezones():
        return name
    suggestion = did_you_mean(name, zoneinfo.available_timezones())
    if suggestion:
        raise ExpressionError(_("There is no time zone {zone}. Did you mean {suggestion}?"), zone=name, suggestion=suggestion)
    raise ExpressionError(_("There is no time zone {zone}. Write it like Europe/Berlin or Asia/Shanghai."), zone=name)
