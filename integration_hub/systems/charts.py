"""The latency of a system over the last day, as a line that breaks where there was no answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from django.utils import timezone

from integration_hub.core.parts import nice_ceiling
from integration_hub.systems.models import HealthCheck, System

SPAN = timedelta(minutes=10)
SLOTS = 144
LEFT, WIDTH, TOP, BOTTOM = 48, 1120, 10, 110


@dataclass(frozen=True, slots=True)
class Latency:
    """For templates/systems/_latency.html. One point each ten minutes: the slowest of its checks."""

    slots: Sequence[int | None]  # milliseconds; None: no check was answered
    failed: Sequence[bool]
    start: datetime
    median_ms: int | None
    slowest_ms: int | None
    count: int

    @property
    def highest(self) -> int:
        return nice_ceiling(max((ms for ms in self.slots if ms is not None), default=1))

    @property
    def lines(self) -> list[str]:
        """A polyline for each stretch that was answered."""
        found: list[list[str]] = [[]]
        for place, ms in enumerate(self.slots):
            if ms is None:
                if found[-1]:
                    found.append([])
            else:
                found[-1].append(f"{self._x(place):.1f},{BOTTOM - (BOTTOM - TOP) * ms / self.highest:.1f}")
        return [" ".join(points if len(points) > 1 else [*points, *points]) for points in found if points]

    @property
    def washes(self) -> list[dict[str, Any]]:
        """The stretches in which checks failed and none was answered."""
        found: list[dict[str, Any]] = []
        step = (WIDTH - LEFT) / SLOTS
        for place, failed in enumerate(self.failed):
            if failed and found and found[-1]["end"] == place:
                found[-1]["end"] = place + 1
            elif failed:
                found.append({"start": place, "end": place + 1})
        return [{"x": f"{self._x(w['start']):.1f}", "w": f"{(w['end'] - w['start']) * step:.1f}"} for w in found]

    @property
    def grid(self) -> list[dict[str, Any]]:
        return [{"y": y, "ty": y + 4, "ms": round(self.highest * (BOTTOM - y) / (BOTTOM - TOP))} for y in (TOP, (TOP + BOTTOM) // 2, BOTTOM)]

    @property
    def ticks(self) -> list[dict[str, Any]]:
        """Every four full hours."""
        first = timezone.localtime(self.start).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        hours = [first + timedelta(hours=number) for number in range(24)]
        return [
            {"x": f"{LEFT + (WIDTH - LEFT) * ((at - self.start) / (SPAN * SLOTS)):.1f}", "text": f"{at:%H:%M}"} for at in hours if at.hour % 4 == 0
        ]

    def _x(self, place: int) -> float:
        return LEFT + (WIDTH - LEFT) * place / SLOTS


def latency_of(system: System) -> Latency:
    end = timezone.now()
    start = end - SPAN * SLOTS
    slots: list[int | None] = [None] * SLOTS
    failed = [False] * SLOTS
    answered: list[int] = []
    for at, ok, ms in HealthCheck.objects.filter(system=system, at__gt=start).values_list("at", "ok", "latency_ms"):
        place = min(SLOTS - 1, int((at - start) / SPAN))
        if ok and ms is not None:
            slots[place] = max(slots[place] or 0, ms)
            answered.append(ms)
        else:
            failed[place] = True
    failed = [bad and slots[place] is None for place, bad in enumerate(failed)]
    return Latency(slots, failed, start, round(median(answered)) if answered else None, max(answered, default=None), len(answered))
