"""The control interface under /_control: data, faults, life and limits to order, and the log of what was asked. JSON in, JSON out, no authentication.

It stands beside the systems, not in them: what it does is neither checked nor counted as a request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.entities import Entity
from sandbox.faults import KINDS
from sandbox.fields import merged
from sandbox.store import Key
from sandbox.systems.base import System
from sandbox.world import World

Order = dict[str, Any]


class WrongOrder(Exception):
    """What was ordered cannot be done."""


class Control:
    """One method an order; each takes the JSON body and returns what is answered."""

    def __init__(self, world: World) -> None:
        self.world = world

    def _system(self, order: Order) -> System:
        try:
            return self.world.systems[order["system"]]
        except KeyError:
            raise WrongOrder(f"system must be one of {', '.join(self.world.systems)}.") from None

    def _entity(self, order: Order) -> tuple[System, Entity]:
        system = self._system(order)
        try:
            return system, system.by_name[order["entity"]]
        except KeyError:
            raise WrongOrder(f"entity must be one of {', '.join(system.by_name)}.") from None

    def _row(self, order: Order) -> tuple[System, Entity, Key]:
        system, entity = self._entity(order)
        if order.get("key") not in system.tables[entity.name].rows:
            raise WrongOrder(f"There is no {order.get('key')!r} in {system.name}.{entity.name}.")
        return system, entity, order["key"]

    # --- data ---

    def reset(self, order: Order) -> Any:
        """As on the first day: demo data, no faults, no limits, empty log."""
        self.world.reset()
        return self.state(order)

    def has(self, order: Order) -> Any:
        """Replace an entity's records by `count` demo records; `dirty` false: only good ones."""
        system, entity = self._entity(order)
        system.seed_entity(entity, int(order["count"]), dirty=order.get("dirty", True))
        self.world.rewrite()
        return {"count": len(system.tables[entity.name])}

    def add(self, order: Order) -> Any:
        """Put a record as it is, good or bad: over a demo record, or with `bare` true alone. Key and time are made where they are missing."""
        system, entity = self._entity(order)
        return system.put_raw(entity, order.get("record", {}), bare=order.get("bare", False))

    def change(self, order: Order) -> Any:
        """Set fields of a record, unchecked."""
        system, entity, key = self._row(order)
        return system.store(entity, key, merged(system.tables[entity.name].rows[key], order.get("values", {})))

    def delete(self, order: Order) -> Any:
        system, entity, key = self._row(order)
        system.tables[entity.name].delete(key)
        return {"deleted": key}

    def records(self, order: Order) -> Any:
        """All records of an entity as they are, in the order of their creation."""
        system, entity = self._entity(order)
        return list(system.tables[entity.name].rows.values())

    # --- trouble ---

    def fault(self, order: Order) -> Any:
        """Order a fault for a system; see /_control/faults for the kinds."""
        system = self._system(order)
        try:
            self.world.faults[system.name].order({name: value for name, value in order.items() if name != "system"})
        except ValueError as error:
            raise WrongOrder(str(error)) from None
        return self.faults(order)

    def faults(self, order: Order) -> Any:
        return {"kinds": KINDS, "orders": {name: faults.orders for name, faults in self.world.faults.items()}}

    def clear_faults(self, order: Order) -> Any:
        """Clear the faults and refusals of a system, or of all."""
        for name in [self._system(order).name] if "system" in order else self.world.systems:
            self.world.faults[name].clear()
            self.world.systems[name].refusals = []
        return self.faults(order)

    def refuse(self, order: Order) -> Any:
        """Refuse to write records of an entity whose `field` has this `value` (without a field: all), `because`; `times` or until cleared."""
        system, entity = self._entity(order)
        system.refusals.append({"entity": entity.name, **{name: order[name] for name in ("field", "value", "because", "times") if name in order}})
        return {"refusals": system.refusals}

    def expire_tokens(self, order: Order) -> Any:
        """Make a system's access tokens invalid; `refresh` true: its refresh tokens too."""
        return {"expired": self._system(order).expire_tokens(refresh=order.get("refresh", False))}

    def set(self, order: Order) -> Any:
        """latency_ms for every answer; for a `system`: per_minute (limit of requests), token_seconds."""
        if "latency_ms" in order:
            self.world.latency_ms = float(order["latency_ms"])
        for name in ("per_minute", "token_seconds"):
            if name in order:
                setattr(self._system(order), name, int(order[name]))
        return self.state(order)

    # --- life ---

    def life(self, order: Order) -> Any:
        """paused: true or false; seconds: [least, most] between two steps; steps: so many at once, now."""
        life = self.world.life
        life.is_paused = bool(order.get("paused", life.is_paused))
        if "seconds" in order:
            least, most = order["seconds"]
            life.set_pace(float(least), float(most))
        return {
            "paused": life.is_paused,
            "seconds": life.seconds,
            "did": [life.step() for _ in range(int(order.get("steps", 0)))],
            "steps": life.steps,
        }

    # --- looking ---

    def state(self, order: Order) -> Any:
        world = self.world
        counts = {name: {entity.name: len(system.tables[entity.name]) for entity in system.entities} for name, system in world.systems.items()}
        return {"seed": world.seed, "scale": world.scale, "counts": counts, "latency_ms": world.latency_ms, "life_paused": world.life.is_paused}

    def requests(self, order: Order) -> Any:
        """How often was asked what (`counts`), what took effect (`applied`), and the last requests in their order (`log`, with `log` true)."""
        world = self.world
        answer: dict[str, Any] = {"counts": world.counts, "applied": {name: system.applied for name, system in world.systems.items()}}
        if order.get("log"):
            answer["log"] = world.logged(order.get("system"))
        return answer

    def forget(self, order: Order) -> Any:
        """Empty the log and its counters."""
        self.world.forget_log()
        return {}


READING = ("records", "faults", "state", "requests")
ORDERS = ("reset", "has", "add", "change", "delete", "fault", "clear_faults", "refuse", "expire_tokens", "set", "life", "forget", *READING)


def routes(world: World) -> list[Route]:
    control = Control(world)

    def route(name: str, act: Callable[[Order], Any]) -> Route:
        async def endpoint(request: Request) -> Response:
            try:
                order = orjson.loads(await request.body() or b"{}") if request.method == "POST" else dict(request.query_params)
                return _json(act(order))
            except (WrongOrder, KeyError, TypeError, ValueError) as error:
                return _json({"error": f"{type(error).__name__}: {error}"}, 400)

        return Route(f"/_control/{name}", endpoint, methods=["GET", "POST"] if name in READING else ["POST"])

    return [route(name, getattr(control, name)) for name in ORDERS]


def _json(value: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS), status, media_type="application/json")
