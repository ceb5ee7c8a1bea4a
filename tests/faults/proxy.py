"""A proxy between the hub and the sandbox that spoils some of what passes, by a seed: the same requests meet the same faults again."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit

from sandbox.testing import Sandbox

END = b"\r\n\r\n"
FAULTS = (
    "cut before the request",
    "cut within the request",
    "cut after the request",
    "cut within the answer",
    "delay",
    "429",
    "500",
    "503 storm",
    "answered twice",
    "overtaken",
    "token expires",
)
STORM = range(3, 12)  # requests
REASONS = {429: "Too Many Requests", 500: "Internal Server Error", 503: "Service Unavailable"}


class Proxy:
    """Passes requests on, unless its dice say otherwise; `share` of them meet a fault. `met` counts which."""

    def __init__(self, sandbox: Sandbox, seed: int, share: float) -> None:
        self.met: Counter[str] = Counter()
        self.share = share
        self._sandbox, self._seed = sandbox, seed
        self._upstream = urlsplit(sandbox.url)
        self._asked: Counter[bytes] = Counter()
        self._storm: dict[str, int] = {}  # system → requests that it still refuses
        self._overtaken = asyncio.Event()

    def calm(self) -> None:
        """From now on everything passes."""
        self.share = 0.0
        self._storm.clear()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while await self._answer_one(reader, writer):
                    pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its answer; False where the connection ends with it."""
        request = await message(reader)
        line = request.split(b"\r\n", 1)[0]
        system = line.split(b" ")[1].decode().split("/")[1]
        self._asked[line] += 1
        chance = random.Random(f"{self._seed} {line!r} {self._asked[line]}")
        fault = chance.choice(FAULTS) if chance.random() < self.share else ""
        if fault:
            self.met[fault] += 1
        if fault == "503 storm":
            self._storm[system] = chance.choice(STORM)
        if self._storm.get(system, 0) > 0:
            self._storm[system] -= 1
            fault = "503"
        if fault == "cut before the request":
            return False
        if fault in ("429", "500", "503"):
            writer.write(refusal(int(fault)))
            await writer.drain()
            return True
        if fault == "token expires":
            await asyncio.to_thread(self._sandbox.system(system).expire_tokens)
        answer = await self._passed_on(request, whole=fault != "cut within the request")
        if answer is None or fault == "cut after the request":
            return False
        if fault == "cut within the answer":
            writer.write(answer[: chance.randrange(1, len(answer))])
            await writer.drain()
            return False
        if fault == "delay":
            await asyncio.sleep(chance.uniform(0.0, 0.3))
        if fault == "overtaken":
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._overtaken.wait(), 0.1)
        writer.write(answer * 2 if fault == "answered twice" else answer)
        await writer.drain()
        self._overtaken.set()
        self._overtaken.clear()
        return True

    async def _passed_on(self, request: bytes, *, whole: bool) -> bytes | None:
        """What the sandbox answers; None where it was given but a part of the request."""
        reader, writer = await asyncio.open_connection(self._upstream.hostname, self._upstream.port)
        try:
            writer.write(request if whole else request[: len(request) // 2])
            await writer.drain()
            return await message(reader) if whole else None
        finally:
            writer.close()


async def message(reader: asyncio.StreamReader) -> bytes:
    """A request or an answer of HTTP/1.1 as bytes; all that the sandbox and the hub say tells its length."""
    head = await reader.readuntil(END)
    lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return head + await reader.readexactly(int(lengths[0]) if lengths else 0)


def refusal(status: int) -> bytes:
    wait = "" if status == 500 else "Retry-After: 1\r\n"
    return f"HTTP/1.1 {status} {REASONS[status]}\r\n{wait}Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}".encode()


@contextlib.contextmanager
def before(sandbox: Sandbox, seed: int, *, share: float) -> Iterator[tuple[Proxy, str]]:
    """A proxy in front of the sandbox, on a thread of its own, and its address."""
    loop = asyncio.new_event_loop()
    proxy = Proxy(sandbox, seed, share)
    server = loop.run_until_complete(asyncio.start_server(proxy.serve, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield proxy, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        asyncio.run_coroutine_threadsafe(ended(server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


async def ended(server: asyncio.Server) -> None:
    """Every connection is closed, and nothing of it is left on the loop."""
    server.close()
    while serving := asyncio.all_tasks() - {asyncio.current_task()}:
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
