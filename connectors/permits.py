"""What a connector that asks for one thing after the other needs leave for, and time. The REST client, with many requests in flight, has its own."""

from __future__ import annotations

import time

from connectors.base import Host, Stopped, SystemBusy, _

PATIENCE_SECONDS = 2.0  # a longer wait is the caller's, who frees the worker for it
LAST_SECONDS = 1.0


class Permits:
    """What the host has granted and is not used yet."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._left, self._until = 0, 0.0

    def use(self) -> None:
        """Use one, when it may be used. Raises SystemBusy where that is too long to wait for, Stopped when the time to work is over meanwhile."""
        while self._left <= 0 or time.monotonic() > self._until:
            self._left, wait = self._host.permit()
            self._until = time.monotonic() + LAST_SECONDS
            if self._left:
                break
            if wait > PATIENCE_SECONDS:
                raise SystemBusy(_("All requests that {system} may be sent for now are used up."), retry_after=wait, system=self._host.system)
            time.sleep(max(wait, 0.01))
            check_time(self._host)
        self._left -= 1


def check_time(host: Host) -> None:
    """Raises Stopped when the time to work is over."""
    if time.monotonic() >= host.deadline():
        raise Stopped(_("The time to work on {system} is over; the next worker goes on."), system=host.system)
