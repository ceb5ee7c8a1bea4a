"""What places on other machines share: an event loop of their own, on which every request is cut at the deadline or when it takes too long.

S3 is spoken by aiobotocore and SFTP by asyncssh, not both through fsspec, which dials by itself where the host's guard must see each address, replaces a
file whoever has changed it meanwhile, and reads a path without holding on to the version that was found there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from connectors.base import Host, Stopped, SystemDown, _
from connectors.files.places import Place
from connectors.files.settings import Connection

T = TypeVar("T")
AHEAD_BYTES = 8 * 1024 * 1024  # what one request fetches at least, for each costs a way there and back


class OpenedRemotely:
    """A file of one version, of which `fetch(start, length)` gets a part."""

    def __init__(self, path: str, size: int, fetch: Callable[[int, int], bytes]) -> None:
        self.path, self.size = path, size
        self._fetch = fetch
        self._start, self._held = 0, b""

    def read(self, start: int, length: int) -> bytes:
        length = max(min(length, self.size - start), 0)
        if length and not self._start <= start <= start + length <= self._start + len(self._held):
            self._start, self._held = start, self._fetch(start, min(max(length, AHEAD_BYTES), self.size - start))
        return self._held[start - self._start : start - self._start + length]


class RemotePlace(Place):
    def __init__(self, host: Host, connection: Connection) -> None:
        super().__init__(host, connection)
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Carry out the work on this place's loop and return what it returns."""
        self._loop = self._loop or asyncio.new_event_loop()
        task = self._loop.create_task(self._in_time(work))
        try:
            return self._loop.run_until_complete(task)
        except BaseException:
            if not task.done():  # the thread was interrupted: nothing may stay behind on the loop
                task.cancel()
                self._loop.run_until_complete(asyncio.wait([task]))
            raise

    async def _in_time(self, work: Coroutine[Any, Any, T]) -> T:
        task = asyncio.ensure_future(work)
        last = time.monotonic() + self.connection.total_seconds
        try:
            while not task.done():
                now = time.monotonic()
                if now >= self.host.deadline():  # which moves as the lease is renewed
                    raise Stopped(_("The time to work on {system} is over; the next worker goes on."), system=self.system)
                if now >= last:
                    raise SystemDown(
                        _("{system} took longer than {seconds} s over one request, which was cut."),
                        system=self.system,
                        seconds=self.connection.total_seconds,
                    )
                await asyncio.wait([task], timeout=min(1.0, last - now, max(self.host.deadline() - now, 0.01)))
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait([task], timeout=1.0)

    def close(self) -> None:
        if self._loop is not None:
            self._loop.run_until_complete(self.disconnect())
            self._loop.run_until_complete(asyncio.sleep(0))
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()
            self._loop = None

    async def disconnect(self) -> None:
        """Close what is open."""
