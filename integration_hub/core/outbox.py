"""What happened, written in the same transaction as what it tells of; who listens is told after the commit.

Apps listen through `listen`, below them nothing knows of them. A message is told at least once: a listener makes sure that twice does no harm.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from integration_hub.core import dispatch
from integration_hub.core.models import Message

log = logging.getLogger(__name__)

AGAIN = timedelta(seconds=60)  # a listener may take so long; one that failed is tried again after it
KEPT = timedelta(days=3)

_listeners: dict[str, list[Callable[[Message], None]]] = defaultdict(list)


def listen(type: str, listener: Callable[[Message], None]) -> None:
    """Call `listener(message)` for every message of this type, in a worker."""
    _listeners[type].append(listener)


def emit(type: str, subject: str, **facts: Any) -> Message:
    """Put a happening (`type` a dotted past such as run.failed, `subject` such as runs/12) into the outbox, in the caller's transaction."""
    from integration_hub.core.tasks import tell

    message = Message.objects.create(type=type, subject=subject, facts=facts)
    if _listeners[type]:
        dispatch.send(tell, message.pk, queue="interactive")
    return message


def tell(message_id: int) -> None:
    """Tell one message to its listeners, unless somebody is doing so or has done it."""
    waiting = Message.objects.filter(Q(not_before=None) | Q(not_before__lte=Now()), pk=message_id, handled_at=None)
    if not waiting.update(not_before=Now() + AGAIN):
        return
    message = Message.objects.get(pk=message_id)
    for listener in _listeners[message.type]:
        listener(message)
    Message.objects.filter(pk=message_id).update(handled_at=timezone.now())


def sweep() -> None:
    """Tell what was not told, and forget what was told long ago."""
    from integration_hub.core.tasks import tell

    waiting = Message.objects.filter(Q(not_before=None, at__lt=Now() - timedelta(seconds=5)) | Q(not_before__lte=Now()), handled_at=None)
    for message_id in waiting.order_by("pk").values_list("pk", flat=True)[:100]:
        dispatch.send(tell, message_id, queue="interactive")
    old = Message.objects.filter(handled_at__lt=Now() - KEPT).order_by("pk").values_list("pk", flat=True)[:1000]
    Message.objects.filter(pk__in=list(old)).delete()
