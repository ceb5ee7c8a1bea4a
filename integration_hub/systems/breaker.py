"""The circuit to a system, shared by all workers: after some failures in a row no more requests are sent for a while, then one probe at a time.

A pause that the system has asked for (429 with Retry-After) is kept by all workers likewise. While all is well nothing is written; a worker looks at
the row every two seconds. Failures are counted locally and written at most once a second.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db.models import F, Q
from django.db.models.functions import Now

from connectors.base import SystemDown, SystemPausing, _
from integration_hub.systems.models import Circuit, System

FAILURES = 5  # in a row open the circuit
FIRST_WAIT = 5  # seconds; doubled with each opening
LONGEST_WAIT = 300
LOOK_EVERY = 2.0


class Breaker:
    """One worker's view of a system's circuit. `always` lets every request through and still reports its outcome: for the health check."""

    def __init__(self, system: System, in_database: Callable[[Callable[[], Any]], Any], *, always: bool = False) -> None:
        self._system = system
        self._in_database = in_database
        self._always = always
        self._lock = threading.Lock()
        self._look_at = 0.0
        self._shared_failures = self._openings = 0
        self._opens_at = 0.0  # monotonic: until then the circuit is open, or where it is closed, the system rests
        self._probing = False
        self._unsaved, self._saved_at = 0, 0.0

    def before(self) -> None:
        """Raises SystemDown while the circuit is open, SystemPausing while the system has asked for a pause."""
        if self._always:
            return
        with self._lock:
            if time.monotonic() >= self._look_at:
                self._in_database(self._look)
            wait = self._opens_at - time.monotonic()
            if not self._openings:
                if wait > 0:
                    raise SystemPausing(_("{system} has asked us to wait."), retry_after=max(1.0, wait), system=self._system.name)
                return
            if wait <= 0 and not self._probing and self._in_database(self._take_probe):
                self._probing = True
                return
            raise SystemDown(
                _("{system} failed several times in a row and is left alone for a moment; the next try is in {seconds} s."),
                retry_after=max(1.0, wait),
                system=self._system.name,
                seconds=max(1, round(wait)),
            )

    def after(self, *, ok: bool) -> None:
        with self._lock:
            if ok:
                self._unsaved = 0
                if self._shared_failures or self._openings or self._probing or self._always:
                    self._in_database(self._close)
                return
            self._unsaved += 1
            if self._probing or self._shared_failures + self._unsaved >= FAILURES or time.monotonic() - self._saved_at > 1:
                self._in_database(self._count)

    def rest(self, seconds: float) -> None:
        """The system has asked for a pause. A circuit that is open anyway stays as it is."""
        with self._lock:
            self._in_database(lambda: self._note_rest(seconds))

    def finish(self) -> None:
        """Write down what is not yet written."""
        with self._lock:
            if self._unsaved:
                self._in_database(self._count)

    def _look(self) -> None:
        row = Circuit.objects.filter(pk=self._system.pk).annotate(now=Now()).first()
        self._look_at = time.monotonic() + LOOK_EVERY
        self._shared_failures, self._openings = (row.failure_count, row.openings) if row else (0, 0)
        left = (row.open_until - row.now).total_seconds() if row and row.open_until else 0.0
        self._opens_at = time.monotonic() + left

    def _take_probe(self) -> bool:
        free = Circuit.objects.filter(Q(probe_until=None) | Q(probe_until__lt=Now()), pk=self._system.pk, openings__gt=0, open_until__lte=Now())
        return bool(free.update(probe_until=Now() + timedelta(seconds=self._system.time_out_seconds + 5)))

    def _close(self) -> None:
        broken = Circuit.objects.filter(Q(failure_count__gt=0) | Q(openings__gt=0), pk=self._system.pk)
        broken.update(failure_count=0, openings=0, open_until=None, probe_until=None)
        self._shared_failures = self._openings = 0
        self._opens_at, self._probing = 0.0, False

    def _note_rest(self, seconds: float) -> None:
        Circuit.objects.get_or_create(system=self._system)
        until = Now() + timedelta(seconds=seconds)
        Circuit.objects.filter(Q(open_until=None) | Q(open_until__lt=until), pk=self._system.pk, openings=0).update(open_until=until)
        self._look_at = 0.0

    def _count(self) -> None:
        """Add the failures to the row, and open the circuit where there are enough of them, or where this was the probe."""
        circuit, _created = Circuit.objects.get_or_create(system=self._system)
        Circuit.objects.filter(pk=circuit.pk).update(failure_count=F("failure_count") + self._unsaved)
        self._saved_at, self._unsaved, was_probe, self._probing = time.monotonic(), 0, self._probing, False
        circuit.refresh_from_db()
        self._shared_failures, self._look_at = circuit.failure_count, 0.0
        if circuit.failure_count < FAILURES or (circuit.openings and not was_probe):
            return
        wait = min(LONGEST_WAIT, FIRST_WAIT * 2**circuit.openings)
        opened = Circuit.objects.filter(pk=circuit.pk, openings=circuit.openings).update(
            openings=circuit.openings + 1, open_until=Now() + timedelta(seconds=wait), probe_until=None
        )
        if opened:  # the health check finds out what is wrong, and tells
            System.objects.filter(pk=self._system.pk, next_check_at__gt=Now()).update(next_check_at=Now())
