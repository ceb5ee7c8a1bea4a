"""The peer: dlt loads the mapped customers into its target, as fast as it can be set up to.

The mapping is a view of the source, connectorx reads it into Arrow, Parquet goes to the target through ADBC, and `upsert` merges it there by the key.
Run as a program with the names of two databases and a folder for its state, it answers each line of its input with a load: the seconds it took.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks import hub, postgres
from benchmarks.customers import CONTACTS, MAPPING

ENVIRONMENT = Path(".venv/bench-dlt")
DATASET = "bench"
VIEW = "contacts"


@contextlib.contextmanager
def running(source: str, target: str, folder: str) -> Iterator[Callable[[], float]]:
    """A process of dlt on these two databases; each call is a load and gives its seconds."""
    postgres.execute(target, f"CREATE SCHEMA {DATASET}", f"CREATE TABLE {DATASET}.contacts ({CONTACTS})")  # it would make one without a key
    postgres.execute(source, f"CREATE OR REPLACE VIEW {VIEW} AS {MAPPING.format(table='customers')}")
    environment = [sys.executable, "scripts/environment.py", "benchmarks/dlt.txt", str(ENVIRONMENT)]
    subprocess.run(environment, cwd=hub.ROOT, stdout=sys.stderr, check=True)
    command = [str(ENVIRONMENT / "bin" / "python"), "-W", "ignore", "-m", "benchmarks.dlt_load", source, target, folder]
    settings = {"RUNTIME__DLTHUB_TELEMETRY": "false", "DESTINATION__POSTGRES__CREDENTIALS__PASSWORD": urlsplit(postgres.ADDRESS).password or "none"}
    with hub.answering(command, os.environ | settings) as ask:
        yield lambda: float(ask(""))


# --- in the program ---------------------------------------------------------------------------------------------------


def main(source: str, target: str, folder: str) -> None:
    import dlt
    from dlt.sources.sql_database import sql_table

    pipeline = dlt.pipeline(
        "bench",
        pipelines_dir=folder,
        destination=dlt.destinations.postgres(postgres.url(target)),
        dataset_name=DATASET,
    )

    def contacts() -> object:
        return sql_table(
            postgres.url(source).replace("postgres://", "postgresql://"),
            table=VIEW,
            backend="connectorx",
            primary_key="id",
            write_disposition={"disposition": "merge", "strategy": "upsert"},
        )

    for _line in sys.stdin:
        started = time.perf_counter()
        pipeline.run(contacts(), loader_file_format="parquet")
        print(time.perf_counter() - started, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
