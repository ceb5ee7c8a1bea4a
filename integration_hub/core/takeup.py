"""Before a worker takes up what a message names, it makes sure that it may: that its code and the database are of one release, and that it sees the
hub's files. Where it may not, the message goes back to the queue, for a worker that may; the reason is told once, and its heartbeat names no queue,
so that /readyz does not count on it. As soon as it may again, it works again.
"""

from __future__ import annotations

import logging
import time
from typing import Any, NamedTuple

from celery import Task
from celery.exceptions import Reject

from integration_hub.core import installation, release

ASKED_EVERY_SECONDS = 5.0
PAUSE_SECONDS = 2.0  # before a message goes back, so that it does not come round and round while no other worker is there

log = logging.getLogger(__name__)


class Checked(Task):
    """A task that is run only by a worker that may work."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.request.called_directly:
            return super().__call__(*args, **kwargs)
        if why := refusal():
            time.sleep(PAUSE_SECONDS)
            raise Reject(why, requeue=True)
        return self.run(*args, **kwargs)


class _Answer(NamedTuple):
    at: float
    said: str


_last = _Answer(float("-inf"), "")


def refusal() -> str:
    """Why this process must not work for the hub now; "" where it may. Asks at most every few seconds. Raises DatabaseError."""
    global _last
    if time.monotonic() - _last.at > ASKED_EVERY_SECONDS:
        said = release.misfit() or installation.misfit()
        if said and said != _last.said:
            log.error("no work is taken up", extra={"why": said})
        _last = _Answer(time.monotonic(), said)
    return _last.said
