"""What a kind of record is: its fields, how a demo record of it is made, and what life does to it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sandbox.fields import Checker, Field
from sandbox.store import Key, Record

BASE_TIME = 1_767_571_200_000  # 2026-01-05T00:00:00Z: when the demo company began to keep records
DAY = 86_400_000


@dataclass(frozen=True)
class Making:
    """What a record is made from: its number, its own chance, when it was made, and whether it may be dirty (a few percent are)."""

    seed: int
    number: int
    chance: random.Random
    created: int
    changed: int
    is_dirty: bool

    def flaw(self, *kinds: str) -> str:
        """Which of these flaws this record has; "" mostly."""
        return self.chance.choice(kinds) if self.is_dirty else ""


@dataclass(frozen=True)
class Entity:
    """One kind of record in a system. `make` makes a demo record; `edits` are the fields that life changes, and how."""

    name: str
    key: str
    changed: str
    fields: tuple[Field, ...]
    make: Callable[[Making], Record]
    base_count: int
    new_key: Callable[[int], Key]
    created: str = ""
    lookups: tuple[str, ...] = ()
    unique: tuple[str, ...] = ()
    edits: dict[str, Callable[[random.Random], Any]] = field(default_factory=dict)
    grows: bool = False  # life adds records
    dirt: float = 0.0
    checker: Checker = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "checker", Checker(self.fields))

    @property
    def is_alive(self) -> bool:
        return self.grows or bool(self.edits)
