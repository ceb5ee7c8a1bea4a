"""The parts pages are made of, as values: a view says what is so, the partials in templates/hub say how it looks. Each names its partial.

`state` is always one of ok, run, warn, bad, idle: colour is meaning. Texts are translated by whoever makes the part.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt
from typing import Any


@dataclass(frozen=True)
class Link:
    text: str
    href: str = ""


@dataclass(frozen=True)
class Act:
    """A button (hub/_act.html). With `href` it leads somewhere, with `post` it does something.

    `confirm` asks first, `note` says what follows, `reason` is "" | "optional" | "required"; `danger` marks what cannot be taken back.
    One `primary` a page: the next step. `quiet`: a plain link in a row.
    """

    label: str
    href: str = ""
    post: str = ""
    primary: bool = False
    danger: bool = False
    quiet: bool = False
    icon: str = ""
    size: str = "sm"
    confirm: str = ""
    note: str = ""
    reason: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)  # hidden fields of the form
    title: str = ""


@dataclass(frozen=True)
class Verdict:
    """The head of a page (hub/_verdict.html): state and since, one sentence with numbers, the next step or why nothing is needed."""

    state: str
    word: str
    sentence: str
    icon: str = ""
    since: Sequence[str | Link] = ()
    next: Sequence[str | Link] = ()
    asks: bool = False  # begin the last line with "Next:"
    acts: Sequence[Act] = ()


@dataclass(frozen=True)
class Fact:
    """At most five in a row (hub/_facts.html)."""

    label: str
    value: str
    note: str = ""
    href: str = ""


@dataclass(frozen=True)
class Count:
    """One number of a balance; zero is shown grey, so give "warn" or "bad" only as what it means when it is not zero."""

    n: int | None
    name: str
    op: str = ""
    state: str = ""
    href: str = ""
    title: str = ""

    @property
    def shown_state(self) -> str:
        return "zero" if not self.n else self.state


@dataclass(frozen=True)
class Sum:
    label: str
    left: Sequence[Count]
    right: Sequence[Count]


@dataclass(frozen=True)
class Balance:
    """Two sums that must come out (hub/_balance.html)."""

    lines: Sequence[Sum]
    state: str
    verdict: str
    note: str = ""


@dataclass(frozen=True)
class Bar:
    """One run in the row of bars: what its height shows, and how it ended."""

    size: float
    state: str
    title: str
    href: str = ""
    tick: str = ""  # a label under this bar


@dataclass(frozen=True)
class Bars:
    """The last runs (hub/_bars.html): height is the square root of a size, such as duration, so that the small ones can be seen beside the large."""

    label: str
    bars: Sequence[Bar]
    slots: int = 30
    width: int = 1120

    @property
    def items(self) -> list[dict[str, Any]]:
        largest = max((bar.size for bar in self.bars), default=0) or 1
        step = self.width / self.slots
        shift = self.width - step * len(self.bars)  # the newest stands at the right edge
        drawn = []
        for place, bar in enumerate(self.bars):
            height = max(3.0, 70 * sqrt(max(bar.size, 0) / largest))
            at = {"x": round(shift + place * step, 1), "w": round(step - 6, 1), "y": round(76 - height, 1), "h": round(height, 1)}
            drawn.append({"bar": bar, **at})
        return drawn

    @property
    def ticks(self) -> list[dict[str, Any]]:
        last = len(self.bars) - 1
        return [
            {"x": item["x"] + (item["w"] if place == last else 0), "anchor": "end" if place == last else "start", "text": item["bar"].tick}
            for place, item in enumerate(self.items)
            if item["bar"].tick
        ]


@dataclass(frozen=True)
class Slot:
    """A stretch of time in a chart of what was written and what was rejected."""

    title: str
    up: int
    down: int = 0
    tick: str = ""


@dataclass(frozen=True)
class UpDown:
    """Written above the line, rejected below it on a scale of its own (hub/_updown.html)."""

    label: str
    slots: Sequence[Slot]
    width: int = 620

    @property
    def top(self) -> int:
        return nice_ceiling(max((slot.up for slot in self.slots), default=0))

    @property
    def lowest(self) -> int:
        return max((slot.down for slot in self.slots), default=0)

    @property
    def grid(self) -> list[dict[str, Any]]:
        lines = [{"y": y + 0.5, "ty": y + 4, "n": round(self.top * (1 - (y - 8) / 112))} for y in (8, 64, 120)]
        return [*lines, {"y": 160.5, "ty": 164, "n": self.lowest}] if self.lowest else lines

    @property
    def bars(self) -> list[dict[str, Any]]:
        step = (self.width - 50) / max(len(self.slots), 1)
        drawn = []
        for place, slot in enumerate(self.slots):
            up = 112 * slot.up / self.top if self.top else 0
            down = max(2.0, 34 * slot.down / self.lowest) if slot.down else 0
            drawn.append(
                {
                    "slot": slot,
                    "x": round(50 + place * step, 1),
                    "w": round(max(step - 3, 1), 1),
                    "y": round(120 - max(up, 1 if slot.up else 0), 1),
                    "h": round(max(up, 1 if slot.up else 0), 1),
                    "down": round(down, 1),
                }
            )
        return drawn


def nice_ceiling(value: int) -> int:
    """The next of 2, 4, 10, 20, 40, 100 … at or above, so that half of it is round too: 38,200 → 40,000."""
    size = 1
    while True:
        for step in (2, 4, 10):
            if step * size >= value:
                return step * size
        size *= 10


@dataclass(frozen=True)
class Progress:
    """How far something has got (hub/_progress.html). `share` 0 to 100, None while nobody can know."""

    share: float | None
    numbers: Sequence[tuple[str, str]]  # value, what it is
    left: tuple[str, str] | None = None
    stages: Sequence[tuple[str, str]] = ()  # done | now | to come, its name
    state: str = "run"


@dataclass(frozen=True)
class Moment:
    """One line of a story (hub/_story.html), newest first."""

    at: Any
    icon: str
    what: str
    how: str = ""
    state: str = ""


def hidden_values(values: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """Name and value of each hidden field; a list becomes several fields."""
    for name, value in values.items():
        for one in value if isinstance(value, list | tuple) else [value]:
            yield name, one
