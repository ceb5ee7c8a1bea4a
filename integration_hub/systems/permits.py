"""Rate limits that hold across all workers, on any database.

A system's requests share one row, `Quota`. A worker draws a block of permits from it, at most what one second allows, by one conditional UPDATE,
and then uses it locally. Under a limit per second every permit is a slot of time of its own (the generic cell rate algorithm, ITU-T I.371), so
that any second holds at most the limit and one permit for each worker, wherever it begins. Minutes and days are counted by the clock, in UTC.
A system without limits never touches the database.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.models import F
from django.db.models.functions import Now

from integration_hub.systems.models import Quota, System

LAPSE = 0.25  # seconds after which an unused slot is gone, lest a worker that paused catches up in one burst
AHEAD = 2.0  # seconds that may be taken ahead of now
TRIES = 6


@dataclass(frozen=True, slots=True)
class Limits:
    per_second: float | None
    per_minute: int | None
    per_day: int | None

    @classmethod
    def of(cls, system: System) -> Limits:
        return cls(system.requests_per_second, system.requests_per_minute, system.requests_per_day)

    @property
    def block(self) -> int:
        """How many permits one second is worth, at least one."""
        worth = [limit / seconds for limit, seconds in ((self.per_second, 1), (self.per_minute, 60), (self.per_day, 86_400)) if limit is not None]
        return max(1, math.floor(min(worth)))

    def __bool__(self) -> bool:
        return any(limit is not None for limit in (self.per_second, self.per_minute, self.per_day))


@dataclass(frozen=True, slots=True)
class Block:
    """What one draw would take: `count` permits, of which the first may be used at `start`; none: nothing is left for `wait` seconds."""

    count: int
    start: float = 0.0
    wait: float = 0.0
    row: dict[str, Any] | None = None


def plan_block(limits: Limits, quota: Quota, now: float, wanted: int) -> Block:
    """What can be drawn at the Unix time `now`. Pure; the caller makes it true by a conditional UPDATE."""
    count, start = min(wanted, limits.block), now
    row: dict[str, Any] = {}
    for name, limit, seconds in (("minute", limits.per_minute, 60), ("day", limits.per_day, 86_400)):
        if limit is None:
            continue
        number = int(now // seconds)
        used = getattr(quota, f"{name}_used") if getattr(quota, name) == number else 0
        if used >= limit:
            return Block(0, wait=(number + 1) * seconds - now)
        count = min(count, limit - used)
        row[name], row[f"{name}_used"] = number, used
    if limits.per_second is not None:
        start = max(quota.free_at, now)
        if start - now > AHEAD:
            return Block(0, wait=start - now - AHEAD / 2)
        row["free_at"] = start + count / limits.per_second
    for name in ("minute_used", "day_used"):
        if name in row:
            row[name] += count
    return Block(count, start, 0.0, row)


class Permits:
    """One worker's share of a system's limits. May be called from any thread."""

    def __init__(self, system: System, in_database: Callable[[Callable[[], Any]], Any]) -> None:
        self.limits = Limits.of(system)
        self._system = system
        self._in_database = in_database
        self._lock = threading.Lock()
        self._slots: deque[float] = deque()  # monotonic times from which one permit each may be used
        self._size, self._drawn_at = 1, 0.0
        self._drawn: dict[str, Any] = {}
        self._offset: float | None = None  # the database's clock less ours: workers on several machines share one clock

    def take(self, wanted: int) -> tuple[int, float]:
        """Up to `wanted` permits: (granted, seconds until more may be had)."""
        if not self.limits:
            return wanted, 0.0
        with self._lock:
            while self._slots and self._slots[0] < time.monotonic() - self._lapse:
                self._slots.popleft()
            if not self._slots and (wait := self._in_database(lambda: self._draw(wanted))):
                return 0, wait
            now, granted = time.monotonic(), 0
            while granted < wanted and self._slots and self._slots[0] <= now:
                self._slots.popleft()
                granted += 1
            return granted, max(0.0, self._slots[0] - now) if self._slots else 0.0

    def give_back(self) -> None:
        """Return what was drawn and not used."""
        with self._lock:
            if self._slots and self._drawn:
                self._in_database(self._return_unused)
            self._slots.clear()

    @property
    def _lapse(self) -> float:
        return LAPSE if self.limits.per_second else 60.0

    def _draw(self, wanted: int) -> float:
        """Fill the slots with a block; else the seconds to wait. Blocks double while they last less than a second."""
        self._size = max(wanted, self._size * 2 if time.monotonic() - self._drawn_at < 1 else 1)
        self._size = min(self._size, self.limits.block)
        for _try in range(TRIES):
            quota, _created = Quota.objects.get_or_create(system=self._system)
            local, now = time.monotonic(), self._now()
            block = plan_block(self.limits, quota, now, self._size)
            if block.row is None:
                return block.wait
            if Quota.objects.filter(pk=quota.pk, draws=quota.draws).update(draws=F("draws") + 1, **block.row):
                pace = 1 / self.limits.per_second if self.limits.per_second else 0.0
                self._slots.extend(local + (block.start - now) + number * pace for number in range(block.count))
                self._drawn_at, self._drawn = local, block.row
                return 0.0
        return 0.05  # many workers at the same row; asked again in a moment

    def _now(self) -> float:
        if self._offset is None:
            before = time.time()
            database = Quota.objects.filter(pk=self._system.pk).values_list(Now(), flat=True).get()
            self._offset = database.timestamp() - (before + time.time()) / 2
        return time.time() + self._offset

    def _return_unused(self) -> None:
        unused, row = len(self._slots), self._drawn
        mine = Quota.objects.filter(pk=self._system.pk)
        for name in ("minute", "day"):
            if name in row:
                mine.filter(**{name: row[name], f"{name}_used__gte": unused}).update(**{f"{name}_used": F(f"{name}_used") - unused})
        if "free_at" in row and self.limits.per_second:
            mine.filter(free_at=row["free_at"]).update(free_at=row["free_at"] - unused / self.limits.per_second, draws=F("draws") + 1)


def quota_left(system: System) -> list[tuple[str, int, int]]:
    """(minute or day, what is left of it, the limit) for each limit that is counted."""
    quota = Quota.objects.filter(system=system).first() or Quota()
    now = time.time()
    left = []
    for name, limit, seconds in (("minute", system.requests_per_minute, 60), ("day", system.requests_per_day, 86_400)):
        if limit is not None:
            used = getattr(quota, f"{name}_used") if getattr(quota, name) == int(now // seconds) else 0
            left.append((name, max(0, limit - used), limit))
    return left
