"""The broker that the tests run with: in memory, or the server that BROKER_URL names, in queues of their own there.

A hub that works on the same server must never take up a message of a test, which names a row of another database; and no run of tests those of another.
"""

import contextlib
import uuid

from django.conf import settings
from kombu import Exchange, Queue

from integration_hub.celery import app
from integration_hub.core.health import QUEUES

FORGOTTEN_AFTER_MS = 3_600_000  # where a run of tests was killed, which leaves its queues behind


@contextlib.contextmanager
def own_queues():
    """For as long as the block lasts, what is sent to a queue goes to one of this process alone, which goes with it."""
    if settings.BROKER_URL.startswith("memory:"):
        yield
        return
    expiring = {"x-expires": FORGOTTEN_AFTER_MS} if settings.BROKER_URL.startswith("amqp") else {}
    queues = [own_queue(name, queue_arguments=expiring) for name in QUEUES]
    for queue in queues:
        app.amqp.queues.add(queue)
    yield
    with app.connection_for_write() as connection:
        for queue in queues:
            forget(queue(connection.default_channel))


def own_queue(name: str, **more) -> Queue:
    """One that goes by this name in the hub, and by another on the server."""
    own = f"hub-test-{uuid.uuid4().hex[:12]}.{name}"
    return Queue(own, Exchange(own), routing_key=own, alias=name, **more)


def forget(queue: Queue) -> None:
    """With what lies in it."""
    queue.declare()
    queue.purge()
    queue.delete()
    queue.exchange.delete()


def taken(name: str) -> list[tuple[str, list]]:
    """All messages of a queue, taken out: (task, its arguments)."""
    with app.connection_for_read() as connection:
        queue, found = app.amqp.queues[name](connection.default_channel), []
        queue.declare()
        while (message := queue.get(no_ack=True)) is not None:
            found.append((message.headers["task"], list(message.payload[0])))
    return found
