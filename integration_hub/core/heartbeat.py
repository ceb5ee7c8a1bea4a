"""Workers and the scheduler say every five seconds that they live, from a thread.

In a prefork worker the children write and the parent does not: a thread that holds a lock of the database's library while the parent forks would
leave it locked in the child for good. A child does not fork. All children of a worker share its row.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from datetime import timedelta
from typing import Any

from celery import signals
from django.db import DatabaseError, close_old_connections, connection
from django.db.models.functions import Now

from integration_hub import __version__
from integration_hub.core.models import Heartbeat
from integration_hub.core.tied import tie

SECONDS = 5.0
FORGOTTEN_AFTER = timedelta(days=1)
log = logging.getLogger(__name__)


class Beating(threading.Thread):
    """Writes the row `name` every five seconds until it is told to stop."""

    def __init__(self, name: str, *, kind: str, queues: list[str], slots: int = 0) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self.row = {"kind": kind, "queues": queues, "slots": slots, "host": socket.gethostname(), "version": __version__}
        self.row_name = name
        self.stopping = threading.Event()

    def run(self) -> None:
        while True:
            close_old_connections()
            self.beat()
            if self.stopping.wait(SECONDS):
                break
        connection.close()

    def beat(self) -> None:
        """A database that is away is told once a beat and tried again at the next."""
        try:
            known = Heartbeat.objects.filter(name=self.row_name).update(**self.row, seen_at=Now())
            if not known:
                Heartbeat.objects.get_or_create(name=self.row_name, defaults={**self.row, "seen_at": Now()})
        except DatabaseError as error:
            log.warning("heartbeat not written", extra={"worker": self.row_name, "error": type(error).__name__})


_worker: Beating | None = None  # made in the parent, started in each child
_parent = 0


def forget_lost() -> None:
    """A sweep: workers not seen for a day are forgotten."""
    Heartbeat.objects.filter(seen_at__lt=Now() - FORGOTTEN_AFTER).delete()


@signals.celeryd_after_setup.connect
def _know_the_worker(sender: str, instance: Any, **kwargs: Any) -> None:
    global _worker, _parent
    _parent = os.getpid()
    queues = sorted(instance.app.amqp.queues.consume_from)
    _worker = Beating(sender, kind=Heartbeat.Kind.WORKER, queues=queues, slots=instance.concurrency)


@signals.worker_process_init.connect
def _begin_in_child(**kwargs: Any) -> None:
    if _worker and os.getpid() != _parent:  # a pool without children sends this signal too
        tie(_parent)
        _worker.start()


@signals.worker_ready.connect
def _begin_without_children(sender: Any, **kwargs: Any) -> None:
    if _worker and not sender.pool.__class__.__module__.endswith("prefork"):
        _worker.start()


@signals.worker_shutdown.connect
def _end(**kwargs: Any) -> None:
    """Stopped on purpose: the row goes at once. The children are gone by now, and the parent forks no more."""
    if _worker:
        _worker.stopping.set()
        Heartbeat.objects.filter(name=_worker.row_name).delete()


@signals.beat_init.connect
def _begin_scheduler(**kwargs: Any) -> None:
    Beating(f"scheduler@{socket.gethostname()}", kind=Heartbeat.Kind.SCHEDULER, queues=[]).start()
