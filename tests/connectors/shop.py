"""A real HTTP server on a thread, to be spoken to by connectors: one list of contacts, in many dialects, with faults to order."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import threading
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Fault = Callable[[web.Request], Awaitable[web.StreamResponse | None]]


@dataclass
class Shop:
    """What the server holds and what it was asked. `faults` are used up one a request, before anything else."""

    contacts: dict[int, dict[str, Any]] = field(default_factory=dict)
    asked: list[web.Request] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    faults: deque[Fault | None] = field(default_factory=deque)
    answers: dict[str, tuple[Any, ...]] = field(default_factory=dict)  # path → (status, body, headers)
    idempotent: dict[str, int] = field(default_factory=dict)
    tokens: list[str] = field(default_factory=list)
    token_calls: int = 0
    refuses: dict[str, str] = field(default_factory=dict)  # e-mail → reason
    effects: Counter[str] = field(default_factory=Counter)  # e-mail → times it was created
    delay: float = 0.0
    peak: int = 0
    now: int = 0
    url: str = ""

    def has(self, count: int) -> None:
        self.contacts = {n: contact(n) for n in range(1, count + 1)}

    @property
    def paths(self) -> list[str]:
        return [str(r.rel_url) for r in self.asked]


def contact(number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "name": f"Contact {number}",
        "email": f"c{number}@example.com",
        "amount": number + 0.5,
        "price": f"{number}.25",
        "active": number % 2 == 0,
        "born": "1990-01-31",
        "updated_at": f"2026-11-22T10:{number // 60 % 60:02}:{number % 60:02}Z",
        "address": {"city": "Köln", "zip": "50667"},
        "tags": ["a", "b"],
        **more,
    }


def dumps(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def answer(body: Any, status: int = 200, **headers: str) -> web.Response:
    raw = body if isinstance(body, bytes) else dumps(body)
    return web.Response(status=status, body=raw, headers={"Content-Type": "application/json", **headers})


def fails(status: int, body: Any = None, **headers: str) -> Fault:
    async def fault(_request: web.Request) -> web.Response:
        return answer({"message": "as ordered"} if body is None else body, status, **{k.replace("_", "-"): v for k, v in headers.items()})

    return fault


def raw(data: bytes, *, then: str = "close", after_work: bool = False) -> Fault:
    """Write these bytes as they are and close (or reset) the connection."""

    async def fault(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        if after_work:
            await serve(request)
        if data:
            request.transport.write(data)
            await asyncio.sleep(0.01)
        request.transport.abort() if then == "reset" else request.transport.close()
        await asyncio.sleep(0.01)
        raise web.HTTPException

    return fault


def slow(seconds: float) -> Fault:
    async def fault(_request: web.Request) -> None:
        await asyncio.sleep(seconds)

    return fault


SHOP = web.AppKey("shop", Shop)


async def handle(request: web.Request) -> web.StreamResponse:
    shop = request.app[SHOP]
    shop.asked.append(request)
    shop.bodies.append(await request.read())
    shop.now += 1
    shop.peak = max(shop.peak, shop.now)
    try:
        if shop.faults and (fault := shop.faults.popleft()) is not None:
            response = await fault(request)
            if response is not None:
                return response
        if shop.delay:
            await asyncio.sleep(shop.delay)
        return await serve(request)
    finally:
        shop.now -= 1


async def serve(request: web.Request) -> web.StreamResponse:
    shop, path = request.app[SHOP], request.path
    if path in shop.answers:
        status, body, headers = (*shop.answers[path], {})[:3]
        return answer(body, status, **headers)
    if path == "/token":
        shop.token_calls += 1
        shop.tokens.append(f"token-{shop.token_calls}-abcdef")
        return answer({"access_token": shop.tokens[-1], "expires_in": 3600, "refresh_token": f"refresh-{shop.token_calls}", "errcode": 0})
    if path.startswith("/secured"):
        given = request.headers.get("Authorization", "").removeprefix("Bearer ") or request.query.get("token", "")
        if not shop.tokens or given != shop.tokens[-1]:
            return answer({"errcode": 40001, "errmsg": f"token {given} expired"}, 200 if path == "/secured/coded" else 401)
        return listed(shop, request)
    if path == "/contacts":
        return listed(shop, request) if request.method == "GET" else create(shop, request, json.loads(await request.read()))
    if path == "/contacts/bulk":
        return bulk(shop, request, json.loads(await request.read()))
    if path.startswith("/contacts/"):
        return await single(shop, request)
    return answer({"message": f"no {path}"}, 404)


def listed(shop: Shop, request: web.Request) -> web.Response:
    query = request.query
    rows = [shop.contacts[n] for n in sorted(shop.contacts)]
    if "email" in query:
        wanted = set(query["email"].split(","))
        rows = [r for r in rows if r.get("email") in wanted]
    if "ids" in query:
        rows = [r for r in rows if str(r["id"]) in query["ids"].split(",")]
    if "since" in query:
        rows = sorted((r for r in rows if r["updated_at"] >= query["since"]), key=lambda r: (r["updated_at"], r["id"]))
    if "until" in query:
        rows = [r for r in rows if r["updated_at"] <= query["until"]]
    total, size = len(rows), int(query.get("limit", 1000))
    if "after" in query:
        rows = [r for r in rows if r["id"] > int(query["after"])]
    start = int(query["offset"]) if "offset" in query else (int(query["page"]) - 1) * size if "page" in query else int(query.get("cursor", 0))
    part = rows[start : start + size]
    if query.get("twice"):
        part = [*part, *part[-1:]]
    more = start + size < len(rows)
    body: dict[str, Any] = {"items": part, "total": total, "more": more, "pages": -(-total // size)}
    if more:
        body["next_cursor"] = str(start + size)
        body["next"] = str(request.rel_url.update_query(cursor=str(start + size)))
    headers = {"Link": f'<{body["next"]}>; rel="next"'} if more else {}
    if query.get("shape") == "list":
        return answer(part, **headers)
    if query.get("shape") == "arrays":
        return answer({"columns": list(part[0]) if part else [], "items": [list(r.values()) for r in part], "more": more, "total": total})
    return answer({"data": body} if query.get("shape") == "wrapped" else body, **headers)


def create(shop: Shop, request: web.Request, values: dict[str, Any]) -> web.Response:
    key = request.headers.get("Idempotency-Key")
    if key and key in shop.idempotent:
        return answer(shop.contacts[shop.idempotent[key]], 200)
    if reason := shop.refuses.get(values.get("email", "")):
        return answer({"error": {"message": reason}}, 422)
    number = max(shop.contacts, default=0) + 1
    shop.effects[values.get("email", "")] += 1
    shop.contacts[number] = {**contact(number), **values, "id": number}
    if key:
        shop.idempotent[key] = number
    return answer(shop.contacts[number], 201)


def bulk(shop: Shop, request: web.Request, body: dict[str, Any]) -> web.Response:
    results = []
    for index, values in enumerate(body["items"]):
        if reason := shop.refuses.get(values.get("email", "")):
            results.append({"index": index, "ok": False, "error": reason})
        else:
            made = json.loads(create(shop, request, values).body)  # type: ignore[arg-type]
            results.append({"index": index, "ok": True, "id": made["id"]})
    if request.query.get("order") == "mixed":
        results.reverse()
    return answer({"results": results}, 207 if any(not r["ok"] for r in results) else 200)


async def single(shop: Shop, request: web.Request) -> web.Response:
    number = int(request.path.rsplit("/", 1)[1])
    if number not in shop.contacts:
        return answer({"message": "no such contact"}, 404)
    if request.method == "DELETE":
        del shop.contacts[number]
        return web.Response(status=204)
    if request.method in ("PATCH", "PUT"):
        values = json.loads(await request.read())
        if reason := shop.refuses.get(values.get("email", "")):
            return answer({"error": {"message": reason}}, 422)
        shop.contacts[number] |= values
    return answer(shop.contacts[number])


class Server:
    """Runs a Shop, or what else can be served, on a thread until closed."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.shop = self.stocked()
        self._tls = tls
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shop", daemon=True)
        self._thread.start()
        self._ready.wait()

    def stocked(self) -> Any:
        """What it serves; it is told its `url`."""
        return Shop()

    def application(self) -> web.Application:
        app = web.Application(client_max_size=64 * 2**20)
        app[SHOP] = self.shop
        app.router.add_route("*", "/{path:.*}", handle)
        return app

    def _run(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._loop.run_until_complete(self._start())
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self._runner.cleanup())
        self._loop.close()

    async def _start(self) -> None:
        self._runner = web.AppRunner(self.application(), access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        self.shop.url = f"{'https' if self._tls else 'http'}://127.0.0.1:{port}"

    def close(self) -> None:
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
