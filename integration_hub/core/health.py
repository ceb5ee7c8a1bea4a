"""Whether the hub can work: its database with all migrations and no others, files, room for more, broker, a living worker for each queue, a scheduler."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.db import connection

from integration_hub.celery import app
from integration_hub.core import installation, release, space
from integration_hub.core.models import Heartbeat

OK = "ok"
QUEUES = ("interactive", "events", "bulk")


def parts() -> dict[str, str]:
    """Each part with "ok" or a sentence that says what is wrong."""
    return {name: _said(check) for name, check in PARTS.items()}


def is_ready(parts: dict[str, str]) -> bool:
    return all(said == OK for said in parts.values())


def _said(check: Callable[[], str]) -> str:
    try:
        return check()
    except Exception as error:  # whatever a driver raises is an answer here; its text may hold an address, so the class alone is told
        return f"It does not answer ({type(error).__name__})."


def _database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return OK


def _migrations() -> str:
    return release.misfit() or OK


def _storage() -> str:
    return installation.misfit() or OK


def _space() -> str:
    why = space.shortage()
    return why.template.format(**why.values) if why else OK


def _broker() -> str:
    with app.connection_for_write(settings.BROKER_URL, connect_timeout=2) as broker:
        broker.ensure_connection(max_retries=1, interval_start=0, timeout=2)
        if broker.transport.driver_type == "redis":
            broker.default_channel.client.ping()  # its connection is made at the first command only
    return OK


def _workers() -> str:
    workers = Heartbeat.objects.alive().filter(kind=Heartbeat.Kind.WORKER).order_by("name")
    served = {queue for worker in workers for queue in worker.queues}
    if not workers:
        return "No worker is running."
    missing = [queue for queue in QUEUES if queue not in served]
    refusing = [worker.name for worker in workers if not worker.queues]
    why = f" Some take up no work, and say why in their logs: {', '.join(refusing)}." if refusing else ""
    return f"No worker serves {', '.join(missing)}.{why}" if missing else OK


def _scheduler() -> str:
    return OK if Heartbeat.objects.alive().filter(kind=Heartbeat.Kind.SCHEDULER).exists() else "No scheduler is running."


PARTS: dict[str, Callable[[], str]] = {
    "database": _database,
    "migrations": _migrations,
    "storage": _storage,
    "space": _space,
    "broker": _broker,
    "workers": _workers,
    "scheduler": _scheduler,
}
