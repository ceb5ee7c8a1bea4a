"""A hub whose own database is PostgreSQL, with a sync of customers into contacts that can be run more than once.

Run as a program with its two systems as JSON, it answers each line of its input with a run: {"seconds", "counts", "balanced", "mib"} as JSON.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from benchmarks import hub, postgres
from benchmarks.customers import COLUMNS, CONTACTS, DEFINITION

CHILDREN = 2  # of the worker for bulk work, as `make run` has them
WARM = tuple(f"warm_{number}_" for number in range(CHILDREN))  # what the names of the entities begin with that the worker is made warm with
WARM_RECORDS = 200


class Hub:
    """A hub in a process of its own."""

    def __init__(self, ask: Callable[[str], Any]) -> None:
        self._ask = ask

    def run(self, *, watch_memory: bool = False) -> dict[str, Any]:
        """{"seconds", "counts", "mib"} of a run that went through."""
        told: dict[str, Any] = self._ask("memory" if watch_memory else "speed")
        if told["state"] != "succeeded" or not told["balanced"]:
            raise RuntimeError(f"The run did not go through: {told}")
        return told


@contextlib.contextmanager
def running(source: dict[str, Any], target: str, *, folder: str = "") -> Iterator[Hub]:
    """A fresh hub whose worker has worked before, with this source (see `tables` and `files`) and a database without contacts as its target.

    `folder` is one that its connectors may open files in.
    """
    postgres.execute(target, *(f"CREATE TABLE {name}contacts ({CONTACTS})" for name in ("", *WARM)))
    with postgres.database("hub") as own, hub.environment(postgres.url(own)) as environ:
        command = [sys.executable, "-m", "benchmarks.hub_sql", json.dumps(source), json.dumps(tables(target))]
        with hub.answering(command, {**environ, "ALLOWED_FOLDERS": folder}) as ask:
            yield Hub(ask)


def tables(database: str) -> dict[str, Any]:
    """A database as a system."""
    place = urlsplit(postgres.ADDRESS)
    reached = {"host": place.hostname, "port": place.port or 5432, "user": place.username, "password": place.password or ""}
    return {"connector": "sql", "settings": {"database": {"type": "postgresql", "database": database, "tls": "off", **reached}}}


def files(folder: str) -> dict[str, Any]:
    """A folder with CSV files of customers as a system."""
    fields = [{"name": name, "type": kind, "scale": 4} for name, kind in COLUMNS.items()]
    listed = [{"name": f"{name}customers", "path": f"{name}customers.csv", "key": ["id"], "fields": fields} for name in ("", *WARM)]
    return {"connector": "files", "settings": {"place": {"type": "folder", "folder": folder}, "files": listed}}


# --- in the program ---------------------------------------------------------------------------------------------------


def told(sync: Any, pid: int, *, watch_memory: bool) -> dict[str, Any]:
    started_at = time.time()
    with hub.Watch(pid) if watch_memory else contextlib.nullcontext() as watch:
        run, ended_at = hub.ended_run(sync)
    log = [str(line) for line in run.log.values_list("text", flat=True)]
    about = {"state": run.state, "counts": run.counts, "balanced": run.balanced, "log": log}
    return {"seconds": ended_at - started_at, "mib": watch.mib if watch else None, **about}


def main(source: str, target: str) -> None:
    hub.set_up()
    read, written = (hub.system_of(name, **json.loads(system)) for name, system in (("Source", source), ("Target", target)))

    def sync_of(name: str) -> Any:
        return hub.created_sync(
            f"{name}customers", read.entities.get(name=f"{name}customers"), written.entities.get(name=f"{name}contacts"), DEFINITION
        )

    sync, warm = sync_of(""), [sync_of(name) for name in WARM]
    with hub.worker(CHILDREN) as pid:
        for one in warm:
            told(one, pid, watch_memory=False)
        for line in sys.stdin:
            print(json.dumps(told(sync, pid, watch_memory=line.strip() == "memory")), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
