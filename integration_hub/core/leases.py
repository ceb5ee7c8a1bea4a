"""Leases: a row is worked on by the one process that holds it, for twenty seconds at a time.

Taken and renewed by one conditional UPDATE, by the database's clock. Every commit of the holder repeats the condition as its last statement
(`Lease.fence`), so that a holder that slept past its lease can change nothing. A heartbeat on a thread of its own renews what is held. The
holder itself goes by a monotonic deadline that lies five seconds before the end, so that it stops before anyone else may begin.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

from django.db import DatabaseError, close_old_connections, connection, models
from django.db.models import F, Q
from django.db.models.functions import Now

LEASE_SECONDS = 20.0
HEARTBEAT_SECONDS = 5.0
STOP_EARLY_SECONDS = 5.0
GIVE_BACK_AGAIN_SECONDS = 1.0  # when the database was away

log = logging.getLogger(__name__)


class LeaseLost(Exception):
    """Another process has taken the row, or may have: nothing of this transaction may stand."""


class LeasedQuerySet(models.QuerySet[Any]):
    def free(self) -> Self:
        """Rows that nobody holds, or whose holder has let its lease run out."""
        return self.filter(Q(lease_until=None) | Q(lease_until__lte=Now()))


class Leased(models.Model):
    """A row that one process at a time works on."""

    lease_number = models.PositiveIntegerField(default=0)  # rises with every holder: the fencing number
    lease_until = models.DateTimeField(null=True)
    lease_holder = models.CharField(max_length=200, blank=True)
    lost_leases = models.PositiveSmallIntegerField(default=0)  # not given back, since the last progress

    objects = LeasedQuerySet.as_manager()

    class Meta:
        abstract = True


class Lease:
    """A lease that is held. Use it as a context manager: it renews itself in the background and gives the row back at the end.

    `deadline` is the `time.monotonic()` at which the holder must have stopped; it moves with every renewal.
    """

    def __init__(self, model: type[Leased], row_id: int, number: int, taken: float) -> None:
        self.model, self.row_id, self.number = model, row_id, number
        self.deadline = taken + LEASE_SECONDS - STOP_EARLY_SECONDS
        self.lost = False
        self._ended = threading.Event()
        self._heart = threading.Thread(target=self._beat, name=f"lease-{model.__name__}-{row_id}", daemon=True)

    def __enter__(self) -> Lease:
        self._heart.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        self._heart.join()
        while not self._given_back() and time.monotonic() < self.deadline:
            time.sleep(GIVE_BACK_AGAIN_SECONDS)

    def fence(self, **changes: Any) -> None:
        """The last statement of a commit: renews the lease and sets `changes` on its row. Raises LeaseLost, which rolls the transaction back."""
        started = time.monotonic()
        if not self._mine().update(lease_until=Now() + timedelta(seconds=LEASE_SECONDS), lost_leases=0, **changes):
            self.lost = True
            raise LeaseLost(f"{self.model.__name__} {self.row_id} is held by another")
        self.deadline = max(self.deadline, started + LEASE_SECONDS - STOP_EARLY_SECONDS)

    def check(self) -> None:
        """Raises LeaseLost when the time to work is over."""
        if self.lost or time.monotonic() >= self.deadline:
            raise LeaseLost(f"The lease of {self.model.__name__} {self.row_id} is over")

    def _mine(self) -> models.QuerySet[Leased]:
        return self.model._default_manager.filter(pk=self.row_id, lease_number=self.number, lease_until__isnull=False)

    def _given_back(self) -> bool:
        """Whether the row is free again. It is worth another try: a lease that just runs out keeps others waiting and counts as lost."""
        try:
            self._mine().update(lease_until=None, lease_holder="")
        except DatabaseError:
            log.warning("lease not given back", extra={"row": self.row_id}, exc_info=True)
            close_old_connections()
            return False
        return True

    def _beat(self) -> None:
        try:
            while not self._ended.wait(HEARTBEAT_SECONDS):
                started = time.monotonic()
                try:
                    held = self._mine().update(lease_until=Now() + timedelta(seconds=LEASE_SECONDS))
                except DatabaseError:  # tried again at the next beat; the deadline stands meanwhile
                    log.warning("heartbeat failed", extra={"row": self.row_id}, exc_info=True)
                    close_old_connections()
                    continue
                if not held:
                    self.lost = True
                    return
                self.deadline = started + LEASE_SECONDS - STOP_EARLY_SECONDS
        finally:
            connection.close()


def take(row: Leased) -> Lease | None:
    """Take the lease of this row as it was last seen; None where another was quicker or still holds it."""
    model, started = type(row), time.monotonic()
    free = model._default_manager.filter(Q(lease_until=None) | Q(lease_until__lte=Now()), pk=row.pk, lease_number=row.lease_number)
    taken = free.update(
        lease_number=F("lease_number") + 1,
        lost_leases=models.Case(models.When(lease_until=None, then=F("lost_leases")), default=F("lost_leases") + 1),
        lease_until=Now() + timedelta(seconds=LEASE_SECONDS),
        lease_holder=f"{socket.gethostname()}:{os.getpid()}",
    )
    return Lease(model, row.pk, row.lease_number + 1, started) if taken else None
