"""Where the records live: in memory, and line by line in a journal when there is a data folder.

A journal rather than a database: a write costs one `write()` of one line, which the kernel keeps even when this process is killed the next instant.
At the start it is read back and written anew without what was superseded.
"""

from __future__ import annotations

import os
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson

Key = str | int
Record = dict[str, Any]


class Clock:
    """Milliseconds that never go back, also not behind the demo data."""

    def __init__(self) -> None:
        self.latest = 0

    def now(self) -> int:
        self.latest = max(int(time.time() * 1000), self.latest)
        return self.latest


class Journal:
    """Lines `[table, key, stamp, number, record]`; a record that is null was deleted. A torn last line (killed while writing) is passed over."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._file = -1

    def read(self) -> Iterator[list[Any]]:
        if self.path is None or not self.path.exists():
            return
        with self.path.open("rb") as lines:
            for line in lines:
                if line.endswith(b"\n"):
                    yield orjson.loads(line)

    def rewrite(self, entries: Iterable[list[Any]]) -> None:
        """Replace the journal by these entries and go on behind them."""
        if self.path is None:
            return
        self.close()
        fresh = self.path.with_suffix(".new")
        with fresh.open("wb") as file:
            file.writelines(orjson.dumps(entry) + b"\n" for entry in entries)
        fresh.replace(self.path)
        self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND)

    def write(self, table: str, key: Key | None, stamp: int, number: int, record: Any) -> None:
        if self._file >= 0:
            os.write(self._file, orjson.dumps([table, key, stamp, number, record]) + b"\n")

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


class Table:
    """The records of one entity by key, in the order of their creation, with an index by (changed, key) and one for each field of `lookups`.

    The change index keeps outdated entries until they are as many as the records; readers pass over them.
    """

    def __init__(self, name: str, journal: Journal, lookups: Iterable[str] = ()) -> None:
        self.name = name
        self.journal = journal
        self.rows: dict[Key, Record] = {}
        self.stamps: dict[Key, int] = {}
        self.number = 0  # of the last record made; keys are made from it and never used twice
        self.version = 0
        self._keys: list[Key] | None = []
        self._changed: list[tuple[int, Key]] = []
        self._by: dict[str, dict[Any, dict[Key, None]]] = {field: {} for field in lookups}
        self._remembered: tuple[Any, list[Key]] = (None, [])

    def __len__(self) -> int:
        return len(self.rows)

    def put(self, key: Key, record: Record, stamp: int) -> None:
        self._index(key, record, stamp)
        self.journal.write(self.name, key, stamp, self.number, record)

    def delete(self, key: Key) -> None:
        self.version += 1
        self._unindex(key, self.rows.pop(key))
        del self.stamps[key]
        self._keys = None
        self.journal.write(self.name, key, 0, self.number, None)

    def load(self, entries: Iterable[tuple[Key, Record, int]], number: int) -> None:
        """Replace everything, without the journal."""
        self.rows.clear()
        self.stamps.clear()
        for index in self._by.values():
            index.clear()
        self.version += 1
        self.number = number
        for key, record, stamp in entries:
            self.rows[key] = record
            self.stamps[key] = stamp
            self._index_fields(key, record)
        self._keys = None
        self._tidy()

    def entries(self) -> Iterator[list[Any]]:
        """As lines of the journal."""
        yield [self.name, None, 0, self.number, None]
        for key, record in self.rows.items():
            yield [self.name, key, self.stamps[key], self.number, record]

    def keys(self) -> list[Key]:
        """All keys in the order of creation, which no change disturbs."""
        if self._keys is None:
            self._keys = list(self.rows)
        return self._keys

    def keys_since(self, since: int, before: int | None = None) -> list[Key]:
        """Keys of what changed in [since, before), in the order of creation. Remembered, since page after page asks for the same."""
        question = (self.version, since, before)
        if self._remembered[0] != question:
            stamps = self.stamps
            self._remembered = (question, [key for key in self.keys() if stamps[key] >= since and (before is None or stamps[key] < before)])
        return self._remembered[1]

    def changed_after(self, stamp: int, key: Key | None, limit: int, before: int | None = None) -> list[Key]:
        """Up to `limit` keys in the order (changed, key): behind this place, or from this moment on where no key is given."""
        index, stamps = self._changed, self.stamps
        found: list[Key] = []
        at = bisect_left(index, (stamp,) if key is None else (stamp, key))
        while at < len(index) and len(found) < limit:
            entry = index[at]
            if before is not None and entry[0] >= before:
                break
            if stamps.get(entry[1]) == entry[0] and entry != (stamp, key):
                found.append(entry[1])
            at += 1
        return found

    def find(self, field: str, values: Iterable[Any]) -> list[Key]:
        """Keys of the records whose field is one of these values, in bulk, through an index."""
        index = self._by[field]
        return [key for value in dict.fromkeys(values) for key in index.get(value, ())]

    def _index(self, key: Key, record: Record, stamp: int) -> None:
        self.version += 1
        old = self.rows.get(key)
        if old is not None:
            self._unindex(key, old)
        elif self._keys is not None:
            self._keys.append(key)
        self.rows[key] = record
        self._index_fields(key, record)
        if self.stamps.get(key) != stamp:
            self.stamps[key] = stamp
            entry = (stamp, key)
            at = bisect_left(self._changed, entry)
            if at == len(self._changed) or self._changed[at] != entry:
                self._changed.insert(at, entry)
            if len(self._changed) > 2 * len(self.rows) + 1000:
                self._tidy()

    def _index_fields(self, key: Key, record: Record) -> None:
        for field, index in self._by.items():
            value = record.get(field)
            if value is not None:
                index.setdefault(value, {})[key] = None

    def _unindex(self, key: Key, record: Record) -> None:
        for field, index in self._by.items():
            value = record.get(field)
            if value is not None and (found := index.get(value)) is not None:
                found.pop(key, None)
                if not found:
                    del index[value]

    def _tidy(self) -> None:
        self._changed = sorted((stamp, key) for key, stamp in self.stamps.items())


class Memory:
    """What a system has to remember besides records (tokens, answers under an idempotency key), oldest dropped beyond `limit`."""

    def __init__(self, name: str, journal: Journal, limit: int = 100_000) -> None:
        self.name = name
        self.journal = journal
        self.limit = limit
        self.values: dict[str, Any] = {}

    def get(self, key: str) -> Any:
        return self.values.get(key)

    def put(self, key: str, value: Any) -> None:
        self.values[key] = value
        if len(self.values) > self.limit:
            del self.values[next(iter(self.values))]
        self.journal.write(self.name, key, 0, 0, value)

    def drop(self, key: str) -> None:
        if self.values.pop(key, None) is not None:
            self.journal.write(self.name, key, 0, 0, None)

    def drop_where(self, condition: Callable[[str, Any], bool]) -> int:
        gone = [key for key, value in self.values.items() if condition(key, value)]
        for key in gone:
            self.drop(key)
        return len(gone)

    def load(self, values: dict[str, Any]) -> None:
        self.values = values

    def entries(self) -> Iterator[list[Any]]:
        for key, value in self.values.items():
            yield [self.name, key, 0, 0, value]
