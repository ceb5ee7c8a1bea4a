"""HTTP → HTTP through the whole hub, beside a bare loop of the same client that reads the same pages and sends the same bodies to the same server.

The hub's side is all of it: a worker behind its broker, permits, prints, change sets on the disk, links, commits of SQLite with its full
durability; from its first request to its last commit.
"""

from __future__ import annotations

import asyncio
import time

import aiohttp
import orjson

from benchmarks import hub, server
from benchmarks.figures import Figure, side_by_side
from benchmarks.hub import BULK, IN_FLIGHT, PAGE

MIB_AT_MOST = 400


async def bare_writing(url: str, *, bulk: bool) -> None:
    """Read every page and send every record with as many requests in flight, nothing else."""
    headers = {"Content-Type": "application/json"}
    path = f"{url}/target/bulk" if bulk else f"{url}/target"
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=2 * IN_FLIGHT)) as session:
        waiting: asyncio.Queue[object] = asyncio.Queue(maxsize=2 * IN_FLIGHT)

        async def send() -> None:
            while (body := await waiting.get()) is not None:
                async with session.post(path, data=orjson.dumps(body), headers=headers) as answer:
                    orjson.loads(await answer.read())

        senders = [asyncio.create_task(send()) for _number in range(IN_FLIGHT)]
        some: list[dict[str, object]] = []
        async for records, is_last in bare_pages(session, url):
            if not bulk:
                for record in records:
                    await waiting.put(server.mapped(record))
                continue
            some += [server.mapped(record) for record in records]
            while len(some) >= BULK or (some and is_last):
                await waiting.put(some[:BULK])
                some = some[BULK:]
        for _sender in senders:
            await waiting.put(None)
        await asyncio.gather(*senders)


async def bare_pages(session, url):
    """(records, whether they are the last) page by page."""
    cursor = "0"
    while cursor is not None:
        async with session.get(f"{url}/source?cursor={cursor}&limit={PAGE}") as answer:
            page = orjson.loads(await answer.read())
        cursor = page["next"]
        yield page["data"], cursor is None


def bare(url: str, count: int, *, bulk: bool) -> float:
    """Records a second."""
    server.reset(url)
    started = time.perf_counter()
    asyncio.run(bare_writing(url, bulk=bulk))
    seconds = time.perf_counter() - started
    server.checked(url, count)
    return count / seconds


def whole(url: str, count: int, *, bulk: bool) -> float:
    """Records a second."""
    server.reset(url)
    return count / float(hub.run(url, count, bulk=bulk)["seconds"])


def measure(name: str, count: int, *, bulk: bool, bar: float) -> Figure:
    with server.running(count, PAGE) as url:
        value, limit = side_by_side(lambda: whole(url, count, bulk=bulk), lambda: bare(url, count, bulk=bulk))
    return Figure(name, value, limit, bar)


def measure_single(*, quick: bool) -> list[Figure]:
    count = 5_000 if quick else 50_000
    return [measure(f"HTTP → HTTP, {count:,} records, one write each, records/s", count, bulk=False, bar=0.85)]


def measure_bulk(*, quick: bool) -> list[Figure]:
    count = 50_000 if quick else 500_000
    return [measure(f"HTTP → HTTP, {count:,} records in bulks of {BULK}, records/s", count, bulk=True, bar=0.60)]


def mib_at(count: int) -> float:
    """The most memory a worker and its child take for a run of so many records."""
    with server.running(count, PAGE) as url:
        return float(hub.run(url, count, bulk=True, watch_memory=True)["mib"])


def measure_memory(*, quick: bool) -> list[Figure]:
    few, many = (20_000, 100_000) if quick else (50_000, 500_000)
    small, large = mib_at(few), mib_at(many)
    return [
        Figure(f"memory of a worker with its child at {many:,} records, MiB", large, MIB_AT_MOST, 1.0, at_most=True),
        Figure(f"memory at {many:,} records beside {few:,}, MiB", large, small, 1.1, at_most=True),
    ]
