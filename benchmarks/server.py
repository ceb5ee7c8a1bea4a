"""The system both sides of a speed run speak to: as little HTTP as answers correctly, so that what is measured is the client.

GET  /source?cursor=N&limit=M   a page of made-up contacts with the next cursor
GET  /source/count, /target/count
GET  /target?email=a,b          those of the target's records
POST /target                    one record in, its id out
POST /target/bulk               a list in, a result for each of them out
POST /reset                     empties the target
GET  /checked                   what was written since, compared with what should have been: {"count", "wrong", "first_at"}

Every answer takes five milliseconds. What is written is kept, so that a run can be held to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import orjson

LATENCY_SECONDS = 0.005


def contact(n: int) -> dict[str, Any]:
    """A record of the source."""
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
        "updated_at": 1_700_000_000 + n,
    }


def mapped(record: dict[str, Any]) -> dict[str, Any]:
    """What the mapping of these benchmarks makes of a record, by hand."""
    return {
        "external_id": record["id"],
        "first": record["first_name"],
        "last": record["last_name"].strip(),
        "email": record["email"].lower(),
        "phone": record["phone"],
        "street": record["street"],
        "city": record["city"],
        "country": record["country"],
        "revenue": float(record["revenue"]),
        "employees": record["employees"],
        "vip": record["vip"],
    }


class Source:
    """Contacts 0…count-1. Their pages are made once, so that making records is not part of a measurement."""

    def __init__(self, count: int, page: int) -> None:
        self.count = count
        self._pages: dict[tuple[int, int], bytes] = {}
        for start in range(0, count, page):
            self.page(start, page)

    def page(self, start: int, limit: int) -> bytes:
        end = min(start + limit, self.count)
        if (start, end) not in self._pages:
            following = str(end) if end < self.count else None
            self._pages[start, end] = orjson.dumps({"data": [contact(n) for n in range(start, end)], "next": following})
        return self._pages[start, end]


class Target:
    """The bodies that were sent, each with the number of its first record; an id is a record's number."""

    def __init__(self) -> None:
        self.count = 0
        self._bodies: list[tuple[int, bytes]] = []
        self._by_email: dict[str, list[int]] = {}

    def create(self, body: bytes) -> bytes:
        record = orjson.loads(body)
        return orjson.dumps({"id": self._keep([record], body)[0]})

    def create_many(self, body: bytes) -> bytes:
        return orjson.dumps([{"id": key, "ok": True} for key in self._keep(orjson.loads(body), body)])

    def _keep(self, records: list[dict[str, Any]], body: bytes) -> list[str]:
        self._bodies.append((self.count, body))
        keys = []
        for number, record in enumerate(records, start=self.count):
            self._by_email.setdefault(record["email"], []).append(number)
            keys.append(f"t{number}")
        self.count += len(records)
        return keys

    def records(self) -> Iterator[dict[str, Any]]:
        for number, body in self._bodies:
            sent = orjson.loads(body)
            for place, record in enumerate(sent if isinstance(sent, list) else [sent]):
                yield {"id": f"t{number + place}", **record}

    def found(self, emails: list[str]) -> bytes:
        wanted = {number for email in emails for number in self._by_email.get(email, ())}
        return orjson.dumps([record for number, record in enumerate(self.records()) if number in wanted] if wanted else [])

    def wrong(self) -> int:
        """How many records are not what should have been written, or are there twice."""
        seen, wrong = set(), 0
        for record in self.records():
            key = record.pop("id") and record["external_id"]
            wrong += key in seen or record != mapped(contact(int(key[1:])))
            seen.add(key)
        return wrong


class Http(asyncio.Protocol):
    """One connection: requests are answered in their order, each after the latency."""

    source: Source
    target = Target()
    first_at = 0.0  # Unix time of the first request since the target was emptied

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
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
            method, address, _rest = head.split(b"\r\n", 1)[0].split(b" ", 2)
            asyncio.get_running_loop().call_later(LATENCY_SECONDS, self.send, self.answer(method, address.decode(), body))

    def answer(self, method: bytes, address: str, body: bytes) -> bytes:
        path, _mark, query = address.partition("?")
        Http.first_at = Http.first_at or time.time()
        match method, path:
            case b"POST", "/target":
                return Http.target.create(body)
            case b"POST", "/target/bulk":
                return Http.target.create_many(body)
            case b"GET", "/source":
                asked = parse_qs(query)
                return Http.source.page(int(asked.get("cursor", ["0"])[0]), int(asked["limit"][0]))
            case b"GET", "/source/count":
                return b'{"count":%d}' % Http.source.count
            case b"GET", "/target/count":
                return b'{"count":%d}' % Http.target.count
            case b"GET", "/target":
                return Http.target.found(",".join(parse_qs(query).get("email", [])).split(","))
            case b"POST", "/reset":
                Http.target, Http.first_at = Target(), 0.0
                return b"{}"
            case b"GET", "/checked":
                return orjson.dumps({"count": Http.target.count, "wrong": Http.target.wrong(), "first_at": Http.first_at})
        return b"[]"

    def send(self, body: bytes) -> None:
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


async def serve(records: int, page: int) -> None:
    Http.source = Source(records, page)
    server = await asyncio.get_running_loop().create_server(Http, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextlib.contextmanager
def running(records: int, page: int) -> Iterator[str]:
    """The server in a process of its own; yields its address."""
    command = [sys.executable, "-m", "benchmarks.server", str(records), str(page)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.wait()


def reset(url: str) -> None:
    """Empty the target."""
    urllib.request.urlopen(urllib.request.Request(f"{url}/reset", data=b"{}", method="POST")).read()


def checked(url: str, count: int) -> float:
    """Unix time of the first request. Raises RuntimeError unless exactly these records are in the target, each as it should be."""
    found = orjson.loads(urllib.request.urlopen(f"{url}/checked").read())
    if found["count"] != count or found["wrong"]:
        raise RuntimeError(f"The target holds {found['count']} records instead of {count}; {found['wrong']} are wrong.")
    return float(found["first_at"])


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2])))
