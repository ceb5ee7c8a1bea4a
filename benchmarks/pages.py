"""The pages of the console over a long history: a million runs, and as many records left open."""

from __future__ import annotations

import json
import statistics
import sys
import time
from typing import Any

from benchmarks import hub, server
from benchmarks.figures import Figure

LIMIT_MS = 200
FEW = 100  # by which each sync has some, the last ones in the same states as with many
SYNCS = 20
CAUSES = 10  # of each sync


def measure(*, quick: bool) -> list[Figure]:
    count = 20_000 if quick else 1_000_000
    told = hub.program("benchmarks.pages", str(count))
    for name, (few, many) in told["queries"].items():
        if few != many:
            print(f"{name}: {many} queries, {few} with {FEW} runs", file=sys.stderr)
    figures = [Figure(f"{name} at {count:,} runs, ms", ms, LIMIT_MS, 1.0, at_most=True) for name, ms in told["ms"].items()]
    few, many = (sum(counts) for counts in zip(*told["queries"].values(), strict=True))
    return [*figures, Figure(f"queries of these pages at {count:,} runs beside {FEW}", many, few, 1.0, at_most=True)]


# --- in the program ---------------------------------------------------------------------------------------------------


def history(count: int) -> None:
    """Lengthen the history to so many runs over a year, each with its partition and a line of its log, and to as many open rows.

    The first of each is made by the models; the others are copies of it with their own number, time, state and cause, made in the database.
    """
    from django.db import connection, transaction
    from django.utils import timezone

    from integration_hub.syncs.models import LogLine, OpenRow, Partition, Run, Sync
    from integration_hub.syncs.openrows import packed_record

    syncs = list(Sync.objects.order_by("pk").select_related("mapping"))
    now = timezone.now()
    if not Run.objects.exists():
        first = Run.objects.create(
            **{name: getattr(syncs[0], name) for name in ("pair", "name", "direction", "mode")},
            sync=syncs[0],
            mapping_version=syncs[0].mapping.versions.get(),
            trigger="schedule",
            actor_kind="schedule",
            actor_name="Schedule",
            state="succeeded",
            balanced=True,
            counts={"read": 5, "produced": 5, "unchanged": 5},
            started_at=now,
            ended_at=now,
        )
        Partition.objects.create(run=first, state="done", wanted_done=True, read_done=True, read_count=5, produced_count=5, unchanged_count=5)
        LogLine.objects.create(run=first, text={"template": "writes each page as soon as it is compared", "values": {}})
        row = OpenRow(sync=syncs[0], side="a", key="0", state="rejected", cause="0", field="email", step="pattern", value="?", run=first)
        row.reason, row.record, row.mapping_version = (
            {"template": "is no address", "values": {}},
            packed_record(server.contact(0)),
            first.mapping_version,
        )
        row.first_at = row.last_at = now
        row.save()
    made_at = f"datetime('now', '-365 days', ((31536000.0 / {count}) * n) || ' seconds')"
    sync = f"({syncs[0].pk} + n % {len(syncs)})"
    state = "CASE WHEN n % 50 = 0 THEN 'failed' WHEN n % 20 = 0 THEN 'with_rejects' ELSE 'succeeded' END"
    trigger = "CASE WHEN n % 30 = 0 THEN 'hand' ELSE 'schedule' END"
    times = dict.fromkeys(("made_at", "started_at", "ended_at"), made_at)
    with transaction.atomic(), connection.cursor() as cursor:
        _copies(cursor, Run, count, {"sync_id": sync, "state": state, "trigger": trigger, **times})
        _copies(cursor, Partition, count, {"run_id": "n"})
        _copies(cursor, LogLine, count, {"run_id": "n", "at": made_at})
        cause = f"n % {len(syncs) * CAUSES}"
        ended = "CASE WHEN n % 10 = 0 THEN datetime('now') END"
        seen = dict.fromkeys(("first_at", "last_at"), made_at)
        _copies(
            cursor, OpenRow, count, {"sync_id": sync, "key": "n", "cause": cause, "run_id": f"max(1, {count} - n % 1000)", "closed_at": ended, **seen}
        )


def _copies(cursor: Any, model: Any, count: int, own: dict[str, str]) -> None:
    """Copies of row 1 up to row `count`, with columns of their own: SQL over n, their number."""
    names = [field.column for field in model._meta.concrete_fields if field.column != "id"]
    values = ", ".join(own.get(name, f'"{name}"') for name in names)
    table, listed = f'"{model._meta.db_table}"', ", ".join(f'"{name}"' for name in names)
    first = int(model.objects.order_by("-pk").values_list("pk", flat=True)[0]) + 1
    numbers = f"WITH RECURSIVE numbers(n) AS (VALUES ({first}) UNION ALL SELECT n + 1 FROM numbers WHERE n < {count})"
    cursor.execute(f"{numbers} INSERT INTO {table} (id, {listed}) SELECT n, {values} FROM numbers, {table} WHERE {table}.id = 1")


def addresses(count: int) -> dict[str, str]:
    """Page → its address."""
    from django.urls import reverse

    from integration_hub.core.paging import _mark
    from integration_hub.syncs.models import OpenRow, Run, Sync

    sync, run = Sync.objects.earliest("pk"), Run.objects.get(pk=count)
    runs, rejects = reverse("runs:list"), reverse("rejects:list")
    return {
        "overview": reverse("admin:index"),
        "systems": reverse("systems:list"),
        "system": reverse("systems:detail", args=[sync.source.system.slug]),
        "syncs": reverse("syncs:list"),
        "sync": sync.get_absolute_url(),
        "runs": runs,
        "runs, page in the middle": f"{runs}?after={_mark(Run.objects.get(pk=count // 2), ('-pk',))}",
        "runs, failed": f"{runs}?state=failed",
        "runs, failed by hand of one sync": f"{runs}?state=failed&trigger=hand&sync={sync.pk}",
        "runs, of a month": f"{runs}?since=month",
        "run": run.get_absolute_url(),
        "rejects": rejects,
        "rejects of one sync": f"{rejects}?sync={sync.pk}",
        "rejects of one run": f"{rejects}?run={run.pk}",
        "rejects, closed": f"{rejects}?state=closed",
        "rejects of one cause": reverse("rejects:cause", args=[sync.pk, OpenRow.objects.open().filter(sync=sync).earliest("pk").cause]),
    }


def seconds_and_queries(client: Any, address: str) -> tuple[float, int]:
    """The median of five visits, once it is warm, and the queries of one."""
    from django.db import connection

    if client.get(address).status_code != 200:
        raise RuntimeError(f"{address} cannot be shown")
    queries: list[str] = []

    def count(execute: Any, sql: str, *rest: Any) -> Any:
        queries.append(sql)
        return execute(sql, *rest)

    with connection.execute_wrapper(count):
        client.get(address)
    visits = []
    for _visit in range(5):
        started = time.perf_counter()
        client.get(address)
        visits.append(time.perf_counter() - started)
    return statistics.median(visits), len(queries)


def main(count: int) -> None:
    hub.set_up()
    from django.contrib.auth import get_user_model
    from django.test import Client

    from integration_hub.syncs.models import Sync

    with server.running(FEW, FEW) as url:
        one = hub.sync_of(url, "Sync 1", bulk=False)
    for number in range(2, SYNCS + 1):
        Sync.objects.create(name=f"Sync {number}", pair=one.pair, mapping=one.mapping, objective_seconds=3600)
    client = Client(SERVER_NAME="localhost")
    client.force_login(get_user_model().objects.create_superuser("bench", "bench@example.com", "bench", role="administrator"))
    found: dict[str, Any] = {"ms": {}, "queries": {}}
    history(FEW)
    few = {name: seconds_and_queries(client, address)[1] for name, address in addresses(FEW).items()}
    history(count)
    for name, address in addresses(count).items():
        seconds, queries = seconds_and_queries(client, address)
        found["ms"][name], found["queries"][name] = seconds * 1000, (few[name], queries)
    print(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]))
