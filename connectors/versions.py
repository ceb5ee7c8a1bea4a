"""The versions of records that lookups have met: what has changed since is then not overwritten.

A step compares with what it looks up, and another writes, each with a connector of its own; so these are not a connector's, but shared by all that work
on one part of a run, and held by their host.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

MOST = 20_000  # more than are looked up before they are written


class Versions:
    """Safe to use from any thread. What was noted longest ago is forgotten where there are too many."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._lock = threading.Lock()

    def note(self, entity: str, key: str, version: str) -> None:
        with self._lock:
            self._known[entity, key] = version
            self._known.move_to_end((entity, key))
            if len(self._known) > MOST:
                self._known.popitem(last=False)

    def of(self, entity: str, key: str) -> str | None:
        """None: it was not looked up, or has been forgotten."""
        return self._known.get((entity, key))

    def forget(self, entity: str, key: str) -> None:
        """It was written by us, and so has another now."""
        with self._lock:
            self._known.pop((entity, key), None)
