"""The ASGI application. Requests to a system are routed by hand, a dictionary and a `match`: the sandbox is the target of speed measurements.
Everything else (index page, control interface) is an ordinary Starlette application beside it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

from starlette.applications import Starlette

from sandbox import control, index
from sandbox.faults import INSIDE, INSTEAD, instead, spoiled
from sandbox.http import Request
from sandbox.systems.base import System
from sandbox.world import World

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class App:
    def __init__(self, world: World) -> None:
        self.world = world
        self.rest = Starlette(routes=[*index.routes(world), *control.routes(world)], lifespan=self._lifespan)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = scope["raw_path"].decode("latin-1")
            system = self.world.systems.get(path[1 : path.find("/", 1)])
            if system is not None:
                request = Request(scope["method"], path, scope["query_string"], scope["headers"], await read_body(receive), scope["scheme"])
                await self._serve(system, request, receive, send)
                return
        await self.rest(scope, receive, send)

    async def _serve(self, system: System, request: Request, receive: Receive, send: Send) -> None:
        world = self.world
        orders = world.faults[system.name]
        fault = orders.take(request) if orders.orders else None
        if world.latency_ms:
            await asyncio.sleep(world.latency_ms / 1000)
        if fault is None:
            answer = system.answer(request)
            world.note(system, request, answer, None)
            await send(
                {"type": "http.response.start", "status": answer.status, "headers": [*answer.headers, (b"content-length", b"%d" % len(answer.body))]}
            )
            await send({"type": "http.response.body", "body": answer.body})
            return
        await self._serve_badly(system, request, fault, receive, send)

    async def _serve_badly(self, system: System, request: Request, fault: dict[str, Any], receive: Receive, send: Send) -> None:
        kind = fault["kind"]
        if kind == "slow":
            await asyncio.sleep(fault.get("ms", 2000) / 1000)
        if kind == "drop_before":
            self.world.note(system, request, None, kind)
            await hang_up(receive)
            return
        if kind in INSIDE:
            request.fault = fault
        answer = system.expired() if kind == "expired_token" else instead(fault) if kind in INSTEAD else spoiled(fault, system.answer(request))
        self.world.note(system, request, answer, kind)
        if kind == "drop_after":
            await hang_up(receive)
            return
        await send(
            {"type": "http.response.start", "status": answer.status, "headers": [*answer.headers, (b"content-length", b"%d" % len(answer.body))]}
        )
        if kind == "cut":
            await send({"type": "http.response.body", "body": answer.body[: len(answer.body) // 2], "more_body": True})
            await hang_up(receive, gently=True)
            return
        await send({"type": "http.response.body", "body": answer.body})

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        life = asyncio.create_task(self.world.life.go_on())
        yield
        life.cancel()
        self.world.journal.close()


async def read_body(receive: Receive) -> bytes:
    message = await receive()
    if not message.get("more_body"):
        return message.get("body", b"")
    parts = [message.get("body", b"")]
    while message.get("more_body"):
        message = await receive()
        parts.append(message.get("body", b""))
    return b"".join(parts)


async def hang_up(receive: Receive, *, gently: bool = False) -> None:
    """End the connection under the request. ASGI has no word for it; uvicorn's `receive` belongs to an object that holds the transport.

    Gently: what was sent so far still leaves.
    """
    transport = receive.__self__.transport  # type: ignore[attr-defined]
    if gently:
        transport.close()
    else:
        transport.abort()
    while (await receive())["type"] != "http.disconnect":
        pass
