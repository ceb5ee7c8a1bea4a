"""Reading a list of an entity page by page through the REST connector, beside the bare client that reads and decodes the same pages."""

from __future__ import annotations

import asyncio
import time

import aiohttp

from benchmarks import hub, server
from benchmarks.figures import Figure, side_by_side
from benchmarks.sync_http import bare_pages
from connectors.base import FreeHost
from connectors.rest.connector import RestConnector
from connectors.rest.settings import RestSettings


async def bare(url: str) -> int:
    async with aiohttp.ClientSession() as session:
        return sum([len(records) async for records, _is_last in bare_pages(session, url)])


def connector(url: str) -> int:
    settings = RestSettings.model_validate(hub.settings(url, bulk=False))
    source = next(entity for entity in RestConnector.declared(settings, system="Bench") if entity.name == "source")
    with RestConnector(settings, FreeHost("Bench")) as rest:
        return sum(page.frame.height for page in rest.read(source))


def rate(read: int, started: float, count: int) -> float:
    assert read == count
    return count / (time.perf_counter() - started)


def measure(*, quick: bool) -> list[Figure]:
    count = 20_000 if quick else 100_000
    with server.running(count, hub.PAGE) as url:

        def by_connector() -> float:
            started = time.perf_counter()
            return rate(connector(url), started, count)

        def by_hand() -> float:
            started = time.perf_counter()
            return rate(asyncio.run(bare(url)), started, count)

        value, limit = side_by_side(by_connector, by_hand)
    return [Figure(f"reading {count:,} records in pages of {hub.PAGE} over HTTP, records/s", value, limit)]
