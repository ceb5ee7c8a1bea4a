"""HTTP → HTTP through the whole hub, beside a bare loop of the same client that reads the same pages and sends the same bodies to the same server.

The hub's side is all of it: permits, prints, change sets on the disk, links, commits of SQLite with its full durability. It runs in a process of
its own, whose memory is taken with its children's.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import orjson

from benchmarks import server

PAGE, BULK = 200, 200
ROOT = Path(__file__).parent.parent


def mapped(record: dict) -> dict:
    """What the mapping below makes of a record, by hand."""
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


DEFINITION = {
    "fields": [
        {"target": "external_id", "source": "id"},
        {"target": "first", "source": "first_name"},
        {"target": "last", "source": "last_name", "steps": [{"transform": "trim"}]},
        {"target": "email", "source": "email", "steps": [{"transform": "lower"}], "required": True, "pattern": "[^@ ]+@[^@ ]+"},
        {"target": "phone", "source": "phone", "max_length": 40},
        {"target": "street", "source": "street"},
        {"target": "city", "source": "city"},
        {"target": "country", "source": "country", "allowed": ["CN", "DE"]},
        {"target": "revenue", "source": "revenue"},
        {"target": "employees", "source": "employees"},
        {"target": "vip", "source": "vip"},
    ],
    "match": [["email"]],
}


def settings(url: str, *, bulk: bool) -> dict:
    source = {
        "name": "source",
        "key": ["id"],
        "cursor_field": "updated_at",
        "fields": [
            *({"name": n} for n in ("id", "first_name", "last_name", "email", "phone", "street", "city", "country")),
            {"name": "revenue", "type": "number"},
            {"name": "employees", "type": "integer"},
            {"name": "vip", "type": "boolean"},
            {"name": "updated_at", "type": "integer"},
        ],
        "list": {
            "path": "/source",
            "record_path": "data",
            "pagination": {"type": "cursor", "parameter": "cursor", "path": "next", "size_parameter": "limit", "size": PAGE},
            "count": {"path": "/source/count", "total_path": "count"},
            "stable_order": True,
        },
    }
    source["fields"][8] = {"name": "revenue", "type": "number", "format": "text"}
    target = {
        "name": "target",
        "key": ["id"],
        "fields": [
            *({"name": n} for n in ("id", "external_id", "first", "last", "email", "phone", "street", "city", "country")),
            {"name": "revenue", "type": "number"},
            {"name": "employees", "type": "integer"},
            {"name": "vip", "type": "boolean"},
        ],
        "list": {"path": "/target", "count": {"path": "/target/count", "total_path": "count"}},
        "lookups": [{"by": "email", "path": "/target", "query": {"email": "{values}"}, "values_per_request": 100}],
        "create": {"path": "/target", "key_path": "id"},
    }
    if bulk:
        target["bulk"] = [{"path": "/target/bulk", "size": BULK, "results": {"success_path": "ok", "key_path": "id"}}]
    return {"base_url": url, "connection": {"in_flight": 32}, "entities": [source, target]}


async def bare(url: str, *, bulk: bool) -> float:
    """The limit: seconds to read every page and send every record with the same client, 32 in flight, nothing else."""
    import aiohttp

    started = time.perf_counter()
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64)) as session:
        waiting: asyncio.Queue = asyncio.Queue(maxsize=64)

        async def send() -> None:
            path = f"{url}/target/bulk" if bulk else f"{url}/target"
            while (body := await waiting.get()) is not None:
                async with session.post(path, data=orjson.dumps(body), headers=headers) as answer:
                    orjson.loads(await answer.read())

        senders = [asyncio.create_task(send()) for _ in range(32)]
        cursor, some = "0", []
        while cursor is not None:
            async with session.get(f"{url}/source?cursor={cursor}&limit={PAGE}") as answer:
                page = orjson.loads(await answer.read())
            cursor = page["next"]
            records = [mapped(record) for record in page["data"]]
            if not bulk:
                for record in records:
                    await waiting.put(record)
                continue
            some += records
            while len(some) >= BULK or (some and cursor is None):
                await waiting.put(some[:BULK])
                some = some[BULK:]
        for _ in senders:
            await waiting.put(None)
        await asyncio.gather(*senders)
    return time.perf_counter() - started


def hub(url: str, *, bulk: bool) -> dict:
    """The hub in a fresh process and data folder: {"seconds", "counts", "mib"}."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "DATA_DIR": folder, "HUB_TESTING": "1", "BROKER_URL": "memory://", "ALLOWED_NETWORKS": "127.0.0.0/8"}
        environment.pop("DATABASE_URL", None)
        command = [sys.executable, "-m", "benchmarks.sync_http", url, "bulk" if bulk else "single"]
        done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr[-4000:])
        return json.loads(done.stdout.strip().splitlines()[-1])


def proportional_set_size() -> float:
    """MiB of this process and its children, shared pages counted in proportion (PSS)."""
    pids = [os.getpid(), *map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())]
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total / 1024


def carry_here(url: str, kind: str) -> None:
    """One run in this process, as a worker carries it."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "integration_hub.settings")
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    from integration_hub.accounts.actor import Actor
    from integration_hub.mappings.models import Mapping, MappingVersion
    from integration_hub.syncs import carrying, services, stages
    from integration_hub.systems import services as systems

    by = Actor.hub()
    system = systems.register_system(name="Bench", connector="rest", settings=settings(url, bulk=kind == "bulk"), by=by)
    systems.discover_entities(system, by=by)
    source, target = (system.entities.get(name=name) for name in ("source", "target"))
    mapping = Mapping.objects.create(name="Bench", source=source, target=target, draft=DEFINITION)
    MappingVersion.objects.create(mapping=mapping, number=1, definition=DEFINITION, source_schema=source.schema, target_schema=target.schema)
    sync = services.create_sync(by=by, source=source, target=target, name="Bench", mapping=mapping, mode="full")
    peak, ended = [0.0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.2):
            peak[0] = max(peak[0], proportional_set_size())

    watcher = threading.Thread(target=watch, daemon=True)
    run = services.start_run(sync, by=by)
    partition = run.partitions.get()
    if os.environ.get("BENCH_MEMORY"):
        watcher.start()
    started, cpu = time.perf_counter(), time.process_time()
    while run.ended_at is None:
        carrying.carry_partition(partition.pk)
        stages.advance(run.pk)
        run.refresh_from_db()
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    ended.set()
    told = [str(line) for line in run.log.values_list("text", flat=True)]
    print(
        json.dumps({"log": told, "seconds": seconds, "cpu": cpu, "state": run.state, "counts": run.counts, "balanced": run.balanced, "mib": peak[0]})
    )


def measure(records: int, *, bulk: bool, rounds: int = 3) -> tuple[float, float]:
    """(rate of the hub, rate of the bare loop) in records a second, medians of interleaved rounds."""
    hubs, bares = [], []
    with server.running(records, PAGE) as url:
        for _ in range(rounds):
            server.reset(url)
            bares.append(records / asyncio.run(bare(url, bulk=bulk)))
            server.reset(url)
            result = hub(url, bulk=bulk)
            if result["counts"]["created"] != records or not result["balanced"]:
                raise RuntimeError(f"The run did not create every record: {result}")
            hubs.append(records / result["seconds"])
    return statistics.median(hubs), statistics.median(bares)


if __name__ == "__main__":
    carry_here(sys.argv[1], sys.argv[2])
