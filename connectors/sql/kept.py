"""Connections that outlive their connector for some seconds, for the next one with the same settings.

A run's parts, each with connectors of its own for reading, looking up and writing, follow one another closely. To connect anew, learn the types of the
database and reflect the table takes a tenth of a second each time, a quarter of what a part of 60,000 unchanged records takes as a whole.
"""

from __future__ import annotations

import os
import threading
import time

from connectors.base import Host
from connectors.sql.databases import Database
from connectors.sql.settings import SqlSettings

IDLE_SECONDS = 5.0  # after which nobody is expected any more
MOST_SECONDS = 60.0  # after which even a busy one is closed: so long the table may be remembered as it was

_lock = threading.Lock()
_idle: list[tuple[float, Database]] = []  # since when, which
_closes = False  # whether a timer is on its way to close them


def taken(settings: SqlSettings, host: Host) -> Database | None:
    """A database with these settings whose connections are open, now the caller's alone. Raises AddressRefused where it may no longer be spoken to."""
    with _lock:
        place = next((place for place, (_since, one) in enumerate(_idle) if one.settings == settings), None)
        database = _idle.pop(place)[1] if place is not None else None
    if database is None:
        return None
    try:
        if database.goes_on_for(host):
            return database
    except BaseException:
        database.close()
        raise
    database.close()
    return None


def keep(database: Database) -> None:
    """Leave it to the next, or close it where it cannot be kept."""
    if not database.can_be_kept or time.monotonic() - database.made_at > MOST_SECONDS:
        database.close()
        return
    with _lock:
        _idle.append((time.monotonic(), database))
        _close_later()


def _close_later() -> None:
    """One timer for all: whoever comes and goes each second must not start a thread each time."""
    global _closes
    if _closes:
        return
    _closes = True
    timer = threading.Timer(IDLE_SECONDS, _close_idle)
    timer.daemon = True
    timer.start()


def _close_idle() -> None:
    global _closes
    with _lock:
        _closes = False
        over = [one for since, one in _idle if time.monotonic() - since >= IDLE_SECONDS]
        _idle[:] = [(since, one) for since, one in _idle if one not in over]
        if _idle:
            _close_later()
    for one in over:
        one.close()


def _forget() -> None:
    """In a child the connections are its parent's."""
    global _lock, _closes
    _lock, _closes = threading.Lock(), False
    _idle.clear()


os.register_at_fork(after_in_child=_forget)
