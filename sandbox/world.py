"""All that the sandbox holds: the six systems, their faults, the log of requests, the life of their own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import Counter, defaultdict, deque
from pathlib import Path
from typing import Any

from sandbox.faults import Faults
from sandbox.http import Answer, Request
from sandbox.store import Clock, Journal
from sandbox.systems import SYSTEMS
from sandbox.systems.base import System

log = logging.getLogger("sandbox")

# What the demo's syncs write. Life edits none of these and adds nothing to these entities, so that what stands there is the hub's doing alone.
SYNC_WRITTEN: dict[str, frozenset[str]] = {
    "crm.users": frozenset({"external_id", "employee_id", "full_name", "email"}),
    "erp.customers": frozenset({"EXT_REF", "NAME", "TAX_NO", "STREET", "CITY", "POSTAL_CODE", "COUNTRY", "PHONE"}),
    "mrp.production-orders": frozenset({"SalesOrderRef", "CustomerRef", "ItemCode", "Quantity", "DueDate", "Remark"}),
    "marketing.subscribers": frozenset({"email", "merge", "language", "country", "status", "tags"}),
}


class World:
    def __init__(self, *, seed: int = 1, scale: int = 1, folder: Path | None = None) -> None:
        self.seed, self.scale = seed, scale
        self.clock = Clock()
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        self.journal = Journal(folder / "sandbox.jsonl" if folder is not None else None)
        self.systems: dict[str, System] = {s.name: s(seed=seed, scale=scale, clock=self.clock, journal=self.journal) for s in SYSTEMS}
        self.faults = {name: Faults() for name in self.systems}
        self.latency_ms = 0.0
        self.life = Life(self)
        self.counts: Counter[str] = Counter()
        self.log: deque[tuple[Any, ...]] = deque(maxlen=5000)
        self._restore()

    # --- staying ---

    def _restore(self) -> None:
        """Take up what the journal holds; without one, begin with the demo data."""
        rows: dict[str, dict[Any, tuple[Any, int]]] = defaultdict(dict)
        numbers: Counter[str] = Counter()
        for name, key, stamp, number, record in self.journal.read():
            numbers[name] = max(numbers[name], number)
            if record is not None:
                rows[name][key] = (record, stamp)
            else:
                rows[name].pop(key, None)
        if not rows:
            self.reset()
            return
        for system in self.systems.values():
            for table in system.tables.values():
                table.load(((key, record, stamp) for key, (record, stamp) in rows[table.name].items()), numbers[table.name])
                self.clock.latest = max(self.clock.latest, *table.stamps.values(), 0)
            system.memory.load({key: value for key, (value, _) in rows[system.memory.name].items()})
        self.rewrite()

    def rewrite(self) -> None:
        self.journal.rewrite(entry for system in self.systems.values() for entry in system.entries())

    def reset(self) -> None:
        """As on the first day: demo data, no faults, no limits, empty log."""
        for name, system in self.systems.items():
            system.seed_all()
            system.refusals = []
            system.per_minute = 0
            system.token_seconds = type(system).token_lasts
            self.faults[name].clear()
        self.latency_ms = 0.0
        self.forget_log()
        self.rewrite()

    # --- the log ---

    def note(self, system: System, request: Request, answer: Answer | None, fault: str | None) -> None:
        """`what` is "" for a request that was not looked at."""
        self.counts[f"{system.name} {request.what or request.method}"] += 1
        self.log.append((system.name, request.method, request.target, request.what, answer.status if answer else None, fault))

    def logged(self, system: str | None) -> list[dict[str, Any]]:
        names = ("system", "method", "path", "what", "status", "fault")
        return [dict(zip(names, entry, strict=True)) for entry in self.log if system in (None, entry[0])]

    def forget_log(self) -> None:
        self.counts.clear()
        self.log.clear()
        for system in self.systems.values():
            system.applied.clear()


class Life:
    """Records are made and changed while one watches; nothing is deleted."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.chance = random.Random(world.seed)
        self.is_paused = False
        self.seconds = (3.0, 10.0)  # between two steps, over all systems
        self.steps = 0
        self.pace_changed = asyncio.Event()

    async def go_on(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.pace_changed.wait(), self.chance.uniform(*self.seconds))
                self.pace_changed.clear()
                continue
            if not self.is_paused:
                log.info(self.step())

    def set_pace(self, least: float, most: float) -> None:
        self.seconds = (least, most)
        self.pace_changed.set()

    def step(self) -> str:
        alive = [(system, entity) for system in self.world.systems.values() for entity in system.entities if entity.is_alive]
        system, entity = self.chance.choice(alive)
        self.steps += 1
        return f"{system.name}.{entity.name}: {system.live(entity, self.chance)}"
