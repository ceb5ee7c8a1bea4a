"""A hub of its own for one measurement: a data folder, the embedded broker and a worker, as `make run` starts them.

Run as a program with addresses of benchmarks.server and a kind, it carries one run and prints {"seconds", "mib", …} as JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import server

ROOT = Path(__file__).parent.parent
PAGE, BULK, IN_FLIGHT = 200, 200, 32
WARM_RECORDS = 200

DEFINITION: dict[str, Any] = {
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


def settings(url: str, *, bulk: bool) -> dict[str, Any]:
    """Both entities of the server as a REST system, written one by one or in bulks."""
    texts = ("id", "first_name", "last_name", "email", "phone", "street", "city", "country")
    source = {
        "name": "source",
        "key": ["id"],
        "cursor_field": "updated_at",
        "fields": [
            *({"name": name} for name in texts),
            {"name": "revenue", "type": "number", "format": "text"},
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
    target: dict[str, Any] = {
        "name": "target",
        "key": ["id"],
        "fields": [
            *({"name": name} for name in ("id", "external_id", "first", "last", "email", "phone", "street", "city", "country")),
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
    return {"base_url": url, "connection": {"in_flight": IN_FLIGHT}, "entities": [source, target]}


@contextlib.contextmanager
def environment(database: str = "") -> Iterator[dict[str, str]]:
    """The environment of a hub with a fresh data folder and a broker of its own, on SQLite or on the database at this address."""
    from integration_hub.core.broker import embedded_broker

    with tempfile.TemporaryDirectory() as folder, embedded_broker(Path(folder) / "broker") as broker:
        environ = {
            **os.environ,
            "DATA_DIR": folder,
            "BROKER_URL": broker,
            "ALLOWED_NETWORKS": "127.0.0.0/8",
            "DJANGO_SETTINGS_MODULE": "integration_hub.settings",
            "PYTHONWARNINGS": "ignore",
        }
        environ.pop("DATABASE_URL", None)
        if database:
            environ |= {"DATABASE_URL": database, "SECRET_KEY": secrets.token_urlsafe(50), "CREDENTIAL_KEYS": f"k1:{secrets.token_urlsafe(32)}"}
        yield environ


def program(module: str, *arguments: str) -> Any:
    """Run a module of ours with a hub of its own; what it prints last, as JSON."""
    with environment() as environ:
        command = [sys.executable, "-m", module, *arguments]
        done = subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-4000:]}")
        return json.loads(done.stdout.strip().splitlines()[-1])


@contextlib.contextmanager
def answering(command: list[str], environ: dict[str, str]) -> Iterator[Callable[[str], Any]]:
    """A program of ours that answers each line of its input with one of JSON; yields how it is asked."""
    process = subprocess.Popen(command, env=environ, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(line: str) -> Any:
        assert process.stdin is not None
        assert process.stdout is not None
        print(line, file=process.stdin, flush=True)
        answer = process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{' '.join(command)} ended without an answer; why stands above.")
        return json.loads(answer)

    try:
        yield ask
    finally:
        process.communicate()


def run(url: str, count: int, *, bulk: bool, watch_memory: bool = False) -> dict[str, Any]:
    """One run of all records into the empty target, by a worker that has worked before: {"seconds", "cpu_seconds", "mib"}."""
    with server.running(WARM_RECORDS, PAGE) as warm_url:
        result = program("benchmarks.hub", url, warm_url, "bulk" if bulk else "single", "memory" if watch_memory else "speed")
    if result["counts"]["created"] != count or not result["balanced"]:
        raise RuntimeError(f"The run did not create every record: {result}")
    return {**result, "seconds": result["ended_at"] - server.checked(url, count)}


# --- in the program ---------------------------------------------------------------------------------------------------


def set_up() -> None:
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    call_command("collectstatic", verbosity=0, interactive=False)


@contextlib.contextmanager
def worker(children: int = 1) -> Iterator[int]:
    """A worker for bulk work as `make run` starts it, with so many children; yields its process id."""
    from integration_hub.start import WORKER

    process = subprocess.Popen(
        [*WORKER, "-n", "bulk@%h", "-Q", "bulk", "-c", str(children)], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def sync_of(url: str, name: str, *, bulk: bool) -> Any:
    system = system_of(name, "rest", settings(url, bulk=bulk))
    return created_sync(name, system.entities.get(name="source"), system.entities.get(name="target"), DEFINITION)


def system_of(name: str, connector: str, settings: dict[str, Any]) -> Any:
    """A system with what was found in it."""
    from integration_hub.accounts.actor import Actor
    from integration_hub.systems import services as systems

    system = systems.register_system(name=name, connector=connector, settings=settings, by=Actor.hub())
    systems.discover_entities(system, by=Actor.hub())
    return system


def created_sync(name: str, source: Any, target: Any, definition: dict[str, Any]) -> Any:
    """A full sync between two entities by this mapping."""
    from integration_hub.accounts.actor import Actor
    from integration_hub.mappings.models import Mapping, MappingVersion
    from integration_hub.syncs import services

    mapping = Mapping.objects.create(name=name, source=source, target=target, draft=definition)
    MappingVersion.objects.create(mapping=mapping, number=1, definition=definition, source_schema=source.schema, target_schema=target.schema)
    return services.create_sync(by=Actor.hub(), source=source, target=target, name=name, mapping=mapping, mode="full")


def ended_run(sync: Any) -> tuple[Any, float]:
    """The run, and the Unix time of its end."""
    from integration_hub.accounts.actor import Actor
    from integration_hub.syncs import services

    run = services.start_run(sync, by=Actor.hub())
    while run.ended_at is None:
        time.sleep(0.1)
        run.refresh_from_db(fields=["ended_at"])
    run.refresh_from_db()
    return run, run.ended_at.timestamp()


def family_of(pid: int) -> list[int]:
    children = [int(child) for place in Path(f"/proc/{pid}").glob("task/*/children") for line in told_by(place) for child in line.split()]
    return [pid, *(one for child in children for one in family_of(child))]


def told_by(path: Path) -> list[str]:
    """The lines of a file of /proc; none where its thread or process has just ended."""
    try:
        return path.read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return []


def mib_of(pid: int) -> float:
    """Memory of a process and its children, shared pages counted in proportion (PSS)."""
    lines = [line for one in family_of(pid) for line in told_by(Path(f"/proc/{one}/smaps_rollup"))]
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def cpu_seconds_of(pid: int) -> float:
    ticks = 0
    for one in family_of(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


class Watch:
    """The greatest memory of a worker, looked at twenty times a second while the block lasts."""

    def __init__(self, pid: int) -> None:
        self.mib = 0.0
        self._pid, self._ended = pid, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(0.05):
            self.mib = max(self.mib, mib_of(self._pid))


def main(url: str, warm_url: str, kind: str, what: str) -> None:
    set_up()
    warm, sync = sync_of(warm_url, "Warm", bulk=kind == "bulk"), sync_of(url, "Bench", bulk=kind == "bulk")
    server.reset(url)  # the first request is one of the run's
    with worker() as pid:
        ended_run(warm)
        before = cpu_seconds_of(pid)
        with Watch(pid) if what == "memory" else contextlib.nullcontext() as watch:
            run, ended_at = ended_run(sync)
        cpu = cpu_seconds_of(pid) - before
    told = {"ended_at": ended_at, "cpu_seconds": cpu, "counts": run.counts, "balanced": run.balanced, "mib": watch.mib if watch else None}
    print(json.dumps({**told, "log": [str(line) for line in run.log.values_list("text", flat=True)]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
