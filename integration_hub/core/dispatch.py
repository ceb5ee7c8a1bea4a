"""Hands work to the workers once the transaction commits. The row is the truth: a send that fails is logged and left to the sweep."""

from __future__ import annotations

import logging
from typing import Any

from django.db import transaction

log = logging.getLogger(__name__)


def send(task: Any, row_id: int, *more: int, queue: str = "bulk") -> None:
    """Send `task(row_id, *more)` to `queue` after the commit. Never raises: a broker that is away delays the work until the next sweep."""

    def deliver() -> None:
        try:
            task.apply_async((row_id, *more), queue=queue, retry=False)
        except Exception as error:  # whatever the transport raises; kombu wraps only some of it
            log.warning("not sent, the sweep will", extra={"task": task.name, "row": row_id, "error": type(error).__name__})

    transaction.on_commit(deliver)
