"""What the six systems have in common: entities, tables, the checked way of writing. How each of them speaks is in its own module."""

from __future__ import annotations

import abc
import base64
import binascii
import contextlib
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

import orjson

from sandbox.entities import BASE_TIME, DAY, Entity, Making
from sandbox.fields import Problem, merged
from sandbox.http import Answer, NotJson, Request, json_answer
from sandbox.people import dice
from sandbox.store import Clock, Journal, Key, Memory, Record, Table
from sandbox.times import TimeStyle


class Refused(Exception):
    """A request or a record that is not accepted. Each system says it in its own words."""

    def __init__(self, status: int, code: str, message: str, problems: Sequence[Problem] = (), *headers: tuple[bytes, bytes]) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.problems = problems
        self.headers = headers


def not_found(what: str, key: Any) -> Refused:
    return Refused(404, "not_found", f"There is no {what} {key}.")


def invalid(problems: Sequence[Problem]) -> Refused:
    return Refused(422, "validation_failed", problems[0].message, problems)


def as_object(value: Any) -> dict[str, Any]:
    """The value, if it is a JSON object."""
    if not isinstance(value, dict):
        raise invalid([Problem("", "invalid", "A JSON object is expected.")])
    return value


def write_cursor(stamp: int, key: Key) -> str:
    """A place in a listing, opaque to the reader."""
    return base64.urlsafe_b64encode(orjson.dumps([stamp, key])).rstrip(b"=").decode()


def read_cursor(text: str, keys: type[Key]) -> tuple[int, Key]:
    """The place that a cursor names, in a table whose keys are of this type."""
    with contextlib.suppress(ValueError, TypeError, binascii.Error):
        stamp, key = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if isinstance(stamp, int) and isinstance(key, keys):
            return stamp, key
    raise invalid([Problem("cursor", "invalid", "The cursor is not one of ours.")])


class System(abc.ABC):
    """One demo system. `serve` answers a request that was let in; `error` puts a refusal into the system's own words."""

    name: ClassVar[str]
    title: ClassVar[str]
    about: ClassVar[str]
    credentials: ClassVar[dict[str, str]]
    times: ClassVar[TimeStyle]
    entities: ClassVar[tuple[Entity, ...]]
    page_size: ClassVar[int] = 100
    max_page_size: ClassVar[int] = 1000
    token_lasts: ClassVar[int] = 7200  # seconds

    def __init__(self, *, seed: int, scale: int, clock: Clock, journal: Journal) -> None:
        self.seed = seed
        self.scale = scale
        self.clock = clock
        self.tables = {e.name: Table(f"{self.name}.{e.name}", journal, e.lookups) for e in self.entities}
        self.by_name = {e.name: e for e in self.entities}
        self.memory = Memory(f"{self.name}#memory", journal)
        self.refusals: list[dict[str, Any]] = []  # records ordered to be refused
        self.applied: Counter[str] = Counter()
        self.token_seconds = self.token_lasts
        self.per_minute = 0  # requests; 0: no limit
        self._window = (0, 0)
        self._first_day: dict[str, list[tuple[Key, Record, int]]] = {}

    # --- the door ---

    def answer(self, request: Request) -> Answer:
        try:
            if request.parts == ["openapi.json"]:
                request.what = "document"
                return json_answer(self.openapi(request.origin))
            open_door = self.open_door(request)
            if open_door is not None:
                return open_door
            self.authenticate(request)
            if self.per_minute:
                self.count_request()
            return self.serve(request)
        except Refused as refused:
            return self.error(refused)
        except NotJson:
            return self.error(Refused(400, "not_json", "The body is not JSON."))

    def open_door(self, request: Request) -> Answer | None:
        """What is answered without authentication, such as token calls."""
        return None

    @abc.abstractmethod
    def authenticate(self, request: Request) -> None:
        """Raise Refused unless the request may come in."""

    @abc.abstractmethod
    def serve(self, request: Request) -> Answer: ...

    @abc.abstractmethod
    def error(self, refused: Refused) -> Answer: ...

    @abc.abstractmethod
    def openapi(self, origin: str) -> dict[str, Any]: ...

    def count_request(self) -> None:
        """Hold the limit of requests a minute."""
        minute, count = self._window
        now = self.clock.now() // 60_000
        count = count + 1 if minute == now else 1
        self._window = (now, count)
        if count > self.per_minute:
            wait = 60 - self.clock.now() // 1000 % 60
            raise Refused(429, "rate_limited", f"More than {self.per_minute} requests a minute.", (), (b"retry-after", str(wait).encode()))

    def expired(self) -> Answer:
        """What is answered to an expired token."""
        return self.error(Refused(401, "unauthorized", "Your credentials are no longer valid."))

    def expire_tokens(self, *, refresh: bool) -> int:
        """Make access tokens invalid, where there are any."""
        return 0

    @property
    def remaining(self) -> int:
        minute, count = self._window
        return max(self.per_minute - count, 0) if minute == self.clock.now() // 60_000 else self.per_minute

    # --- reading ---

    def entity(self, name: str) -> Entity:
        found = self.by_name.get(name)
        if found is None:
            raise Refused(404, "not_found", f"{self.title} has no {name}.")
        return found

    def key_of(self, entity: Entity, text: str) -> Key:
        """The key as it stands in a path; numbers where the system's keys are numbers."""
        return text

    def record(self, entity: Entity, key: Key) -> Record:
        found = self.tables[entity.name].rows.get(key) if isinstance(key, str | int) else None
        if found is None:
            raise not_found(entity.name, key)
        return found

    def moment(self, text: str, name: str) -> int:
        try:
            return self.times.read(text)
        except ValueError:
            raise invalid([Problem(name, "invalid", f"{name}: {text[:60]!r} is no {self.times.schema['description']}.")]) from None

    def number(self, text: str | None, default: int, name: str, *, least: int = 0, most: int | None = None) -> int:
        if text is None:
            return default
        if not text.isdecimal() or int(text) < least:
            raise invalid([Problem(name, "invalid", f"{name}: {text[:60]!r} is no whole number from {least} on.")])
        return min(int(text), most) if most is not None else int(text)

    def lookup_keys(self, entity: Entity, query: dict[str, str], known: Iterable[str]) -> list[Key] | None:
        """Keys found by the filters of a query (several values divided by commas); None where there is no filter. Unknown parameters are refused."""
        keys: list[Key] | None = None
        for name, text in query.items():
            if name in known:
                continue
            values = text.split(",")
            if name == entity.key:
                rows = self.tables[entity.name].rows
                found = [key for value in values if (key := self.key_of(entity, value)) in rows]
            elif name in entity.lookups:
                found = self.tables[entity.name].find(name, values)
            else:
                raise Refused(
                    400,
                    "unknown_parameter",
                    f"{entity.name} cannot be filtered by {name}.",
                    [Problem(name, "unknown_parameter", "Unknown parameter.")],
                )
            keys = found if keys is None else [key for key in keys if key in set(found)]
        return keys

    # --- writing: what is sent is checked; what life, the demo data and the control interface set is not ---

    def create(self, entity: Entity, values: Any) -> Record:
        clean, problems = entity.checker.check(values, whole=True)
        table = self.tables[entity.name]
        if problems:
            raise invalid(problems)
        self._hold_refusals(entity, clean)
        self._hold_unique(entity, clean, None)
        table.number += 1
        key = self.new_key(entity, table.number, clean)
        record = merged(entity.checker.blank(), clean)
        record[entity.key] = key
        self.defaults(entity, record)
        self.applied[f"{entity.name}.create"] += 1
        return self.store(entity, key, record, is_new=True)

    def update(self, entity: Entity, key: Key, values: Any) -> Record:
        old = self.record(entity, key)
        clean, problems = entity.checker.check(values, whole=False)
        if problems:
            raise invalid(problems)
        record = merged(old, clean)
        self._hold_refusals(entity, record)
        self._hold_unique(entity, clean, key)
        self.applied[f"{entity.name}.update"] += 1
        return self.store(entity, key, record)

    def upsert(self, entity: Entity, by: str, values: Any) -> tuple[Record, bool]:
        """Update the one record whose field `by` has this value, or create it: (record, whether it is new)."""
        value = values.get(by) if isinstance(values, dict) else None
        if not isinstance(value, str) or not value:
            raise invalid([Problem(by, "required", f"{by} must not be empty.")])
        table = self.tables[entity.name]
        found = [value] if by == entity.key and value in table.rows else table.find(by, [value]) if by in entity.lookups else []
        if len(found) > 1:
            raise Refused(409, "ambiguous", f"{len(found)} {entity.name} have {by} {value}.", [Problem(by, "ambiguous", "Not unique.")])
        return (self.update(entity, found[0], values), False) if found else (self.create(entity, values), True)

    def delete(self, entity: Entity, key: Key) -> None:
        self.record(entity, key)
        self.tables[entity.name].delete(key)
        self.applied[f"{entity.name}.delete"] += 1

    def new_key(self, entity: Entity, number: int, values: Record) -> Key:
        return entity.new_key(number)

    def defaults(self, entity: Entity, record: Record) -> None:  # noqa: B027  most fill in nothing
        """What the system fills in itself in a new record."""

    def store(self, entity: Entity, key: Key, record: Record, *, is_new: bool = False) -> Record:
        """Stamp the record with the time of its change and keep it. Readers never see a record change under them: each change is a new dict."""
        stamp = self.times.floor(self.clock.now())
        record[entity.changed] = self.times.write(stamp)
        if is_new and entity.created:
            self.stamp_created(entity, record, stamp)
        self.tables[entity.name].put(key, record, stamp)
        return record

    def stamp_created(self, entity: Entity, record: Record, stamp: int) -> None:
        record[entity.created] = self.times.write(stamp)

    def _hold_refusals(self, entity: Entity, record: Record) -> None:
        for rule in self.refusals:
            if rule["entity"] == entity.name and (not rule.get("field") or str(record.get(rule["field"])) == str(rule.get("value"))):
                if rule.get("times") is not None:
                    rule["times"] -= 1
                    self.refusals = [r for r in self.refusals if r.get("times") != 0]
                raise Refused(
                    422,
                    "refused",
                    rule.get("because") or "Refused.",
                    [Problem(rule.get("field") or "", "refused", rule.get("because") or "Refused.")],
                )

    def _hold_unique(self, entity: Entity, values: Record, key: Key | None) -> None:
        for name in entity.unique:
            value = values.get(name)
            if value is not None and any(other != key for other in self.tables[entity.name].find(name, [value])):
                raise Refused(409, "not_unique", f"Another of {entity.name} has {name} {value}.", [Problem(name, "not_unique", "Taken.")])

    # --- faults that need to know what is answered (the others are in sandbox/faults.py) ---

    def faulty_page(self, request: Request, records: list[Record]) -> list[Record]:
        match request.fault and request.fault["kind"]:
            case "empty":
                return []
            case "duplicate":
                return [*records, *records[-1:]]
        return records

    def faulty_next(self, request: Request, following: str, here: str) -> str | None:
        match request.fault and request.fault["kind"]:
            case "empty":
                return None
            case "stuck_page":
                return here
        return following

    def faulty_row(self, request: Request, number: int) -> None:
        """Refuse some rows of a bulk write: those of `rows`, else every third."""
        if request.fault and request.fault["kind"] == "partial":
            rows = request.fault.get("rows")
            if number in rows if rows is not None else number % 3 == 2:
                raise Refused(422, "refused", "Refused by order.", [Problem("", "refused", "Refused by order.")])

    # --- demo data ---

    def seed_entity(self, entity: Entity, count: int, *, dirty: bool = True) -> None:
        """Replace an entity's records by `count` demo records: the same ones for a seed, whatever was there before."""
        entries = self._demo_records(entity, count, dirty=dirty)
        self.clock.latest = max(self.clock.latest, *(stamp for _, _, stamp in entries), 0)
        self.tables[entity.name].load(entries, count)

    def _demo_records(self, entity: Entity, count: int, *, dirty: bool) -> list[tuple[Key, Record, int]]:
        entries = []
        for number in range(1, count + 1):
            name = self.tables[entity.name].name
            when = dice(self.seed, f"{name} when", number)  # dice of its own, so that other systems can make the same record anew
            created = BASE_TIME + min(number * DAY * 150 // count, DAY * 150) + when.randrange(DAY // 2)
            changed = created + when.randrange(1, DAY * 20)
            is_dirty = when.random() < entity.dirt and dirty
            making = Making(self.seed, number, dice(self.seed, name, number), self.times.floor(created), self.times.floor(changed), is_dirty)
            record = entity.make(making)
            entries.append((record[entity.key], record, making.changed))
        return entries

    def put_raw(self, entity: Entity, values: Record, *, bare: bool) -> Record:
        """Keep a record as it is, over a demo record unless `bare`; its key and time are made where they are missing. A time that is given counts."""
        table = self.tables[entity.name]
        now = self.times.floor(self.clock.now())
        table.number += 1
        chance = dice(self.seed, table.name, table.number)
        record = merged({} if bare else entity.make(Making(self.seed, table.number, chance, now, now, is_dirty=False)), values)
        key = record.setdefault(entity.key, self.new_key(entity, table.number, record))
        record.setdefault(entity.changed, self.times.write(now))
        try:
            stamp = self.times.read(str(record[entity.changed]))
        except ValueError:
            stamp = now
        table.put(key, record, stamp)
        return record

    def entries(self) -> Iterator[list[Any]]:
        """Everything as lines of the journal."""
        for table in self.tables.values():
            yield from table.entries()
        yield from self.memory.entries()

    def seed_all(self) -> None:
        for entity in self.entities:
            count = entity.base_count * self.scale
            if entity.name not in self._first_day:  # made once: no one changes a record in place
                self._first_day[entity.name] = self._demo_records(entity, count, dirty=True)
            self.tables[entity.name].load(self._first_day[entity.name], count)
            self.clock.latest = max(self.clock.latest, *self.tables[entity.name].stamps.values(), 0)
        self.memory.load({})

    def live(self, entity: Entity, chance: random.Random) -> str:
        """One step of life: a new record, or a change of one. Says what happened."""
        table = self.tables[entity.name]
        if entity.grows and (not entity.edits or not table.rows or chance.random() < 0.4):
            now = self.times.floor(self.clock.now())
            table.number += 1
            own = dice(self.seed, table.name, table.number)
            record = entity.make(Making(self.seed, table.number, own, now, now, own.random() < entity.dirt))
            self.store(entity, record[entity.key], record)
            return f"made {record[entity.key]}"
        if not table.rows:
            return ""
        key = chance.choice(table.keys())
        name = chance.choice(sorted(entity.edits))
        self.store(entity, key, merged(table.rows[key], {name: entity.edits[name](chance)}))
        return f"changed {name} of {key}"
