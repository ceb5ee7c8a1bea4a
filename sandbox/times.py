"""The ways in which the systems write a moment. Inside, a moment is always milliseconds since 1970, rounded down to what the way can tell."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import Any

SHANGHAI = timezone(timedelta(hours=8))
NEW_YORK_WINTER = timezone(timedelta(hours=-5))


@dataclass(frozen=True)
class TimeStyle:
    """How one system writes moments: `write(ms)`, `read(what was written)` (ValueError where it is none), and the smallest step it can tell apart."""

    step: int
    write: Callable[[int], Any]
    read: Callable[[str], int]
    schema: dict[str, Any]

    def floor(self, ms: int) -> int:
        return ms - ms % self.step


def _by_format(pattern: str, zone: timezone, step: int, regex: str, note: str) -> TimeStyle:
    @lru_cache(maxsize=64)  # most records of a second share its text
    def of_second(second: int) -> str:
        return datetime.fromtimestamp(second, zone).strftime(pattern)

    def read(text: str) -> int:
        return int(datetime.strptime(text, pattern).replace(tzinfo=zone).timestamp() * 1000)

    return TimeStyle(step, lambda ms: of_second(ms // 1000), read, {"type": "string", "pattern": regex, "description": note})


@lru_cache(maxsize=64)
def _iso_second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _read_iso(text: str) -> int:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("no time zone")
    return int(moment.timestamp() * 1000 + 0.5)


ISO_Z = TimeStyle(
    1,
    lambda ms: f"{_iso_second(ms // 1000)}.{ms % 1000:03}Z",
    _read_iso,
    {"type": "string", "format": "date-time", "description": "ISO 8601, UTC, milliseconds"},
)
_offset = _by_format(
    "%Y-%m-%dT%H:%M:%S-05:00", NEW_YORK_WINTER, 1000, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d-05:00$", "ISO 8601 with the fixed offset -05:00"
)
ISO_OFFSET = TimeStyle(1000, _offset.write, _read_iso, _offset.schema)
LOCAL = _by_format("%Y-%m-%d %H:%M:%S", SHANGHAI, 1000, r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$", "YYYY-MM-DD HH:MM:SS, Asia/Shanghai")
COMPACT = _by_format("%Y%m%d%H%M%S", UTC, 1000, r"^\d{14}$", "YYYYMMDDHHMMSS, UTC")
PLANT = _by_format("%d/%m/%Y %H:%M", UTC, 60_000, r"^\d\d/\d\d/\d{4} \d\d:\d\d$", "DD/MM/YYYY HH:mm, UTC")
EPOCH_SECONDS = TimeStyle(1000, lambda ms: ms // 1000, lambda text: int(text) * 1000, {"type": "integer", "description": "seconds since 1970, UTC"})
EPOCH_MILLISECONDS = TimeStyle(1, lambda ms: ms, int, {"type": "integer", "description": "milliseconds since 1970, UTC"})


def is_moment(style: TimeStyle, value: Any) -> bool:
    if style.schema["type"] == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if not isinstance(value, str) or not re.search(style.schema.get("pattern", ""), value):
        return False
    try:
        style.read(value)
    except ValueError:
        return False
    return True
