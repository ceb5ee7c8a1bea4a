"""A figure beside its limit, and whether it reaches the bar."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

ROUNDS = 3
TOLERANCE = 0.10  # a bar missed by less is told, but does not fail: machines differ from hour to hour


@dataclass(frozen=True)
class Figure:
    """`ratio` is value / limit; it reaches its bar from below where `at_most`, else from above. No bar: worth knowing."""

    name: str
    value: float
    limit: float
    bar: float | None = None
    at_most: bool = False

    @property
    def ratio(self) -> float:
        return self.value / self.limit if self.limit else 0.0

    @property
    def ok(self) -> bool:
        return self._reaches(0.0)

    @property
    def nearly_ok(self) -> bool:
        return self._reaches(TOLERANCE)

    def _reaches(self, tolerance: float) -> bool:
        if self.bar is None:
            return True
        return self.ratio <= self.bar * (1 + tolerance) if self.at_most else self.ratio >= self.bar * (1 - tolerance)

    def as_json(self) -> dict[str, Any]:
        """As results.json has it."""
        told = {name: value for name, value in asdict(self).items() if name != "at_most"}
        return {**told, "value": round(self.value, 1), "limit": round(self.limit, 1), "ratio": round(self.ratio, 3), "ok": self.ok}

    def as_line(self) -> str:
        sign = "" if self.bar is None else f"{'≤' if self.at_most else '≥'} {self.bar:.0%}"
        verdict = "" if self.bar is None else "ok" if self.ok else "nearly" if self.nearly_ok else "MISSED"
        return f"{self.name:<66} {self.value:>12,.1f} {self.limit:>12,.1f} {self.ratio:>7.1%} {sign:>7}  {verdict}"


def side_by_side(ours: Callable[[], float], limit: Callable[[], float], rounds: int = ROUNDS) -> tuple[float, float]:
    """The medians of both, measured in turn, so that both meet the same weather."""
    values, limits = [], []
    for _round in range(rounds):
        limits.append(limit())
        values.append(ours())
    return statistics.median(values), statistics.median(limits)


def table(figures: Sequence[Figure]) -> str:
    head = f"{'':<66} {'value':>12} {'limit':>12} {'ratio':>7} {'bar':>7}"
    return "\n".join([head, *(figure.as_line() for figure in figures)])
