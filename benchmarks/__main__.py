"""`python -m benchmarks`: measures all figures, prints them as a table and writes benchmarks/results.json.

Ends with 1 where a bar is missed by more than a tenth. `--only NAME` measures one kind, `--quick` in small sizes and without writing the file.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.figures import Figure, table

RESULTS = Path(__file__).with_name("results.json")


def mapping(*, quick: bool) -> list[Figure]:
    from benchmarks.mapping import measure

    return [Figure(f"{told['name']}, records/s", told["value"], told["limit"], told["bar"]) for told in measure()]


def reading(*, quick: bool) -> list[Figure]:
    from benchmarks.reading import measure

    return measure(quick=quick)


def single(*, quick: bool) -> list[Figure]:
    from benchmarks.sync_http import measure_single

    return measure_single(quick=quick)


def bulk(*, quick: bool) -> list[Figure]:
    from benchmarks.sync_http import measure_bulk

    return measure_bulk(quick=quick)


def memory(*, quick: bool) -> list[Figure]:
    from benchmarks.sync_http import measure_memory

    return measure_memory(quick=quick)


def tables(*, quick: bool) -> list[Figure]:
    from benchmarks.sync_sql import measure_tables

    return measure_tables(quick=quick)


def csv(*, quick: bool) -> list[Figure]:
    from benchmarks.sync_sql import measure_csv

    return measure_csv(quick=quick)


def tables_memory(*, quick: bool) -> list[Figure]:
    from benchmarks.sync_sql import measure_memory

    return measure_memory(quick=quick)


def pages(*, quick: bool) -> list[Figure]:
    from benchmarks.pages import measure

    return measure(quick=quick)


KINDS: dict[str, Callable[..., list[Figure]]] = {
    one.__name__: one for one in (mapping, reading, single, bulk, memory, tables, csv, tables_memory, pages)
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Speed and memory, each figure beside its limit.")
    parser.add_argument("--only", choices=KINDS, action="append", help="one kind of figure; may be given more than once")
    parser.add_argument("--quick", action="store_true", help="small sizes, for a look; the figures say little")
    asked = parser.parse_args()

    figures: list[Figure] = []
    for name in asked.only or KINDS:
        print(f"measuring {name} …  (load {os.getloadavg()[0]:.1f})", file=sys.stderr, flush=True)
        figures += KINDS[name](quick=asked.quick)
    print(table(figures))
    if not asked.quick and not asked.only:
        RESULTS.write_text(json.dumps([figure.as_json() for figure in figures], indent=2, ensure_ascii=False) + "\n")
    return 0 if all(figure.nearly_ok for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
