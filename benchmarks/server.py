"""The system both sides of a speed run speak to: as little HTTP as answers correctly, so that what is measured is the client.

GET  /source?cursor=N&limit=M   a page of made-up contacts with the next cursor
GET  /source/count, /target/count
POST /target                    one record in, its id out,
POST /target/bulk               a list in, a list of ids out,
GET  /target?email=a,b          lookup
POST /reset                     empties the target
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs

import orjson

LATENCY = 0.005
BASE = 1_700_000_000


def contact(n: int) -> dict:
    return {
        "id": f"c{n:07}",
        "first_name": f"First{n % 977}",
        "last_name": f" Last{n % 1009} ",
        "email": f"Person{n}@Example.com",
        "phone": f"+49 30 {n:08}",
        "street": f"Street {n % 500}",
        "city": "Shanghai" if n % 3 else "Berlin",
        "country": "CN" if n % 3 else "DE",
        "revenue": f"{n % 100000}.50",
        "employees": n % 5000,
        "vip": n % 7 == 0,
        "updated_at": BASE + n,
    }


class Http(asyncio.Protocol):
    """One connection: requests are answered in their order, those to the target after the latency."""

    records = 0
    created = 0

    def connection_made(self, transport) -> None:
        self.transport, self.waiting = transport, b""

    def data_received(self, data: bytes) -> None:
        self.waiting += data
        while (end := self.waiting.find(b"\r\n\r\n")) >= 0:
            head = self.waiting[:end]
            at = head.lower().find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self.waiting) < end + 4 + length:
                return
            body = self.waiting[end + 4 : end + 4 + length]
            self.waiting = self.waiting[end + 4 + length :]
            method, target, _rest = head.split(b"\r\n", 1)[0].split(b" ", 2)
            self.answer(method, target.decode(), body)

    def answer(self, method: bytes, target: str, body: bytes) -> None:
        path, _, query = target.partition("?")
        if method == b"POST" and path == "/target":
            record = orjson.loads(body)
            Http.created += 1
            record["id"] = f"t{Http.created}"
            self.write(orjson.dumps({"id": record["id"]}))
        elif method == b"POST" and path == "/target/bulk":
            records = orjson.loads(body)
            reply = orjson.dumps([{"id": f"t{Http.created + n}", "ok": True} for n, _ in enumerate(records, 1)])
            Http.created += len(records)
            self.write(reply)
        elif path == "/source/count":
            self.write(b'{"count":%d}' % Http.records)
        elif path == "/target/count":
            self.write(b'{"count":%d}' % Http.created)
        elif path == "/source":
            asked = parse_qs(query)
            start, limit = int(asked.get("cursor", ["0"])[0]), int(asked["limit"][0])
            end = min(start + limit, Http.records)
            self.write(self.page(start, end))
        elif path == "/reset":
            Http.created = 0
            self.write(b"{}")
        else:
            self.write(b"[]")

    pages: dict[tuple[int, int], bytes] = {}

    def page(self, start: int, end: int) -> bytes:
        """Made once, so that making records is not part of the measurement."""
        known = Http.pages.get((start, end))
        if known is None:
            following = str(end) if end < Http.records else None
            known = Http.pages[start, end] = orjson.dumps({"data": [contact(n) for n in range(start, end)], "next": following})
        return known

    def write(self, body: bytes) -> None:
        asyncio.get_running_loop().call_later(LATENCY, self.send, body)

    def send(self, body: bytes) -> None:
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


async def serve(records: int, page: int) -> None:
    Http.records = records
    for start in range(0, records, page):
        Http.page(Http, start, min(start + page, records))  # type: ignore[arg-type]
    server = await asyncio.get_running_loop().create_server(Http, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextlib.contextmanager
def running(records: int, page: int) -> Iterator[str]:
    """The server in a process of its own; yields its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.server", str(records), str(page)], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent
    )
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.wait()


def reset(url: str) -> None:
    urllib.request.urlopen(urllib.request.Request(f"{url}/reset", data=b"{}", method="POST")).read()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2])))
