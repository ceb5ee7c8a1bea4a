"""PostgreSQL → PostgreSQL and CSV → PostgreSQL through the whole hub, beside what the databases can do by themselves, and beside dlt.

The limit: the mapping as one SQL statement, COPY | COPY into a temporary table, INSERT … ON CONFLICT; on a repeat only of what differs. The hub's side
is all of it: workers behind their broker, prints, change sets on the disk, and links in a PostgreSQL database of its own; from the start of the run to
its end. After each round all targets hold the same records, or nothing was measured.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import dlt_load, hub_sql, postgres
from benchmarks.customers import CHANGE_CUSTOMERS, COLUMNS, CONTACTS, CUSTOMERS, MAKE_CUSTOMERS, MAPPING, SUM, UPSERT, UPSERT_WHAT_DIFFERS
from benchmarks.figures import ROUNDS, Figure

MIB_AT_MOST = 512
WORKS = {  # → what the limit inserts; how much longer than the limit, and how many times as quick as dlt, the hub is to be
    "first load": (UPSERT, 1.4, 1.1),
    "repeat without change": (UPSERT_WHAT_DIFFERS, 1.0, 1.7),
    "repeat with 1 % changed": (UPSERT_WHAT_DIFFERS, 1.1, 1.7),
}


def measure_tables(*, quick: bool) -> list[Figure]:
    if why := postgres.missing():
        return left_out("PostgreSQL → PostgreSQL", why)
    count = 50_000 if quick else 1_000_000
    with customers(count) as source:
        rounds = [round_of_tables(source, count) for _round in range(ROUNDS)]
    figures = []
    for work, (_insert, bar, times) in WORKS.items():
        ours, limit, dlt = (statistics.median(one[work][place] for one in rounds) for place in range(3))
        figures.append(Figure(f"PostgreSQL → PostgreSQL, {count:,} records, {work}, s", ours, limit, bar, at_most=True))
        figures.append(Figure(f"the same beside dlt, {work}, records/s", count / ours, count / dlt, times))
    return figures


def round_of_tables(source: str, count: int) -> dict[str, tuple[float, float, float]]:
    """Work → the seconds of the hub, of the limit and of dlt, each into a target of its own."""
    seconds = {}
    with (
        postgres.database("target") as target,
        emptied("limit") as limit,
        postgres.database("dlt") as other,
        tempfile.TemporaryDirectory() as state,
        hub_sql.running(hub_sql.tables(source), target) as hub,
        dlt_load.running(source, other, state) as load,
    ):
        for work, (insert, *_bars) in WORKS.items():
            if "changed" in work:
                postgres.execute(source, CHANGE_CUSTOMERS)
            bare = timed(postgres.piped, source, MAPPING.format(table="customers"), limit, *staged(insert))
            told = hub.run()
            seconds[work] = (float(told["seconds"]), bare, load())
            wanted = sum_of(limit, "contacts")
            for name, found in (("the hub", sum_of(target, "contacts")), ("dlt", sum_of(other, f"{dlt_load.DATASET}.contacts"))):
                if found != wanted or found[0] != count:
                    raise RuntimeError(f"{work}: {name} came to {found} instead of {wanted}")
    return seconds


def measure_csv(*, quick: bool) -> list[Figure]:
    """A first load of a file on this machine."""
    from connectors.registry import kinds

    if why := postgres.missing() or ("" if "files" in kinds() else "there is no connector for files yet"):
        return left_out("CSV → PostgreSQL", why)
    count = 50_000 if quick else 1_000_000
    with customers(count) as source, tempfile.TemporaryDirectory() as folder:
        for name in ("", *hub_sql.WARM):
            postgres.exported(source, f"SELECT * FROM {name}customers", Path(folder) / f"{name}customers.csv")
        rounds = [round_of_csv(folder, count) for _round in range(ROUNDS)]
    ours, limit = (statistics.median(seconds) for seconds in zip(*rounds, strict=True))
    return [Figure(f"CSV → PostgreSQL, {count:,} records, first load, s", ours, limit, 1.6, at_most=True)]


def round_of_csv(folder: str, count: int) -> tuple[float, float]:
    """The seconds of the hub and of the limit."""
    path = Path(folder) / "customers.csv"
    with postgres.database("target") as target, emptied("limit") as limit, hub_sql.running(hub_sql.files(folder), target, folder=folder) as hub:
        texts = ", ".join(f"{name} text" for name in COLUMNS)
        typed = MAPPING.format(
            table="(SELECT id::bigint, amount::numeric(14, 4), first_name, last_name, email, status, born, phone, active, points FROM incoming) c"
        )
        statements = (f"CREATE TEMPORARY TABLE incoming ({texts}) ON COMMIT DROP", "COPY incoming FROM STDIN (FORMAT csv, HEADER)")
        bare = timed(postgres.fed, path, limit, *statements, UPSERT.replace("SELECT * FROM staging", typed))
        told = hub.run()
        if (found := sum_of(target, "contacts")) != sum_of(limit, "contacts") or found[0] != count:
            raise RuntimeError(f"the hub came to {found} instead of {sum_of(limit, 'contacts')}")
    return float(told["seconds"]), bare


def measure_memory(*, quick: bool) -> list[Figure]:
    if why := postgres.missing():
        return left_out("memory of a worker between databases", why)
    few, many = (50_000, 250_000) if quick else (1_000_000, 5_000_000)
    small, large = mib_at(few), mib_at(many)
    return [
        Figure(f"memory of a worker with its children, PostgreSQL → PostgreSQL, {few:,} records, MiB", small, MIB_AT_MOST, 1.0, at_most=True),
        Figure(f"memory at {many:,} records beside {few:,}, MiB", large, small, 1.1, at_most=True),
    ]


def mib_at(count: int) -> float:
    """The most memory a worker and its children take for a first load of so many records."""
    with customers(count) as source, postgres.database("target") as target, hub_sql.running(hub_sql.tables(source), target) as hub:
        return float(hub.run(watch_memory=True)["mib"])


# --- parts ------------------------------------------------------------------------------------------------------------


def left_out(what: str, why: str) -> list[Figure]:
    print(f"left out: {what}, for {why}", file=sys.stderr)
    return []


@contextlib.contextmanager
def customers(count: int) -> Iterator[str]:
    """A database with a table of so many customers, and the small ones that a worker is made warm with."""
    with postgres.database("source") as source:
        for name in ("", *hub_sql.WARM):
            table = f"{name}customers"
            filled = MAKE_CUSTOMERS.format(table=table, count=hub_sql.WARM_RECORDS if name else count)
            postgres.execute(source, f"CREATE TABLE {table} ({CUSTOMERS}, PRIMARY KEY (id))", filled, f"VACUUM ANALYZE {table}")
        yield source


@contextlib.contextmanager
def emptied(purpose: str) -> Iterator[str]:
    """A database with an empty table of contacts."""
    with postgres.database(purpose) as database:
        postgres.execute(database, f"CREATE TABLE contacts ({CONTACTS})")
        yield database


def staged(insert: str) -> tuple[str, ...]:
    return "CREATE TEMPORARY TABLE staging (LIKE contacts) ON COMMIT DROP", "COPY staging FROM STDIN", insert


def sum_of(database: str, table: str) -> tuple[object, ...]:
    return postgres.one(database, SUM.format(table=table))


def timed(work: Callable[..., object], *arguments: object) -> float:
    started = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - started
