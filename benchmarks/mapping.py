"""How much of hand-written Polars a mapping reaches: ten fields with steps, validation and rejects, pages of 10,000 records."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from typing import Any

import polars as pl

from connectors.base import Entity, Field, FieldType, Page

T = FieldType
PAGE = 10_000
PAGES = 20
BAR = 0.40

SOURCE = Entity(
    name="customers",
    key=("id",),
    fields=(
        Field(name="id", type=T.INTEGER),
        Field(name="first"),
        Field(name="last"),
        Field(name="mail"),
        Field(name="phone"),
        Field(name="amount"),
        Field(name="born"),
        Field(name="created"),
        Field(name="state"),
        Field(name="active"),
        Field(name="address.city"),
        Field(name="score", type=T.NUMBER),
    ),
)
TARGET = Entity(
    name="contacts",
    key=("number",),
    fields=(
        Field(name="number", required=True, max_length=12),
        Field(name="name", required=True, max_length=80),
        Field(name="email", max_length=120),
        Field(name="phone", max_length=30),
        Field(name="turnover", type=T.NUMBER),
        Field(name="birthday", type=T.DATE),
        Field(name="since", type=T.DATETIME),
        Field(name="stage", choices=("NEW", "WON", "LOST")),
        Field(name="active", type=T.BOOLEAN),
        Field(name="city", max_length=60),
    ),
)
DEFINITION: dict[str, Any] = {
    "fields": [
        {"target": "number", "source": "id", "steps": [{"transform": "pad", "width": 8}, {"transform": "add_text", "before": "C-"}]},
        {"target": "name", "expression": "trim(first) || ' ' || upper(last)", "max_length": 60},
        {"target": "email", "source": "mail", "steps": [{"transform": "trim"}, {"transform": "lower"}], "pattern": "[^@ ]+@[^@ ]+"},
        {
            "target": "phone",
            "source": "phone",
            "steps": [{"transform": "replace", "find": " "}, {"transform": "replace", "find": "/", "replacement": "-"}],
        },
        {"target": "turnover", "source": "amount", "steps": [{"transform": "replace", "find": ","}]},
        {"target": "birthday", "source": "born", "steps": [{"transform": "parse_date", "formats": ["%d.%m.%Y"]}]},
        {"target": "since", "source": "created", "steps": [{"transform": "parse_datetime", "formats": ["%Y-%m-%d %H:%M:%S"], "zone": "UTC"}]},
        {
            "target": "stage",
            "source": "state",
            "steps": [{"transform": "value_map", "table": {"open": "NEW", "won": "WON", "lost": "LOST"}, "otherwise": "reject"}],
        },
        {"target": "active", "source": "active", "steps": [{"transform": "parse_boolean"}]},
        {"target": "city", "source": "address.city", "steps": [{"transform": "trim"}, {"transform": "title"}]},
    ],
    "match": [["email"], ["number"]],
}


def by_hand(frame: pl.DataFrame) -> pl.DataFrame:
    """The same expressions, and nothing else: no checks, no rejects, no masks."""
    lower = pl.col("active").str.to_lowercase()
    return frame.select(
        number=pl.concat_str(pl.lit("C-"), pl.col("id").cast(pl.String).str.pad_start(8, "0")),
        name=pl.concat_str(pl.col("first").str.strip_chars(), pl.lit(" "), pl.col("last").str.to_uppercase()),
        email=pl.col("mail").str.strip_chars().str.to_lowercase(),
        phone=pl.col("phone").str.replace_all(" ", "", literal=True).str.replace_all("/", "-", literal=True),
        turnover=pl.col("amount").str.replace_all(",", "", literal=True).cast(pl.Float64, strict=False),
        birthday=pl.col("born").str.to_date("%d.%m.%Y", strict=False),
        since=pl.col("created").str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False, time_unit="us").dt.replace_time_zone("UTC"),
        stage=pl.col("state").replace_strict({"open": "NEW", "won": "WON", "lost": "LOST"}, default=None, return_dtype=pl.String),
        active=pl.when(lower.is_in(["true", "yes", "y", "1", "on"])).then(True).when(lower.is_in(["false", "no", "n", "0", "off"])).then(False),
        city=pl.col("address.city").str.strip_chars().str.to_titlecase(),
    )


def make_pages(rejects: float) -> list[Page]:
    """Pages of records, this share of them with a value that no step accepts."""
    chance = random.Random(7)
    cities = [" berlin", "roma ", "上海", "new york", "paris"]
    pages = []
    for number in range(PAGES):
        rows = range(number * PAGE, (number + 1) * PAGE)
        bad = [chance.random() < rejects for _ in rows]
        frame = pl.DataFrame(
            {
                "id": list(rows),
                "first": [f" Ann{n % 977} " for n in rows],
                "last": [f"Lee{n % 4999}" for n in rows],
                "mail": [f" User{n}@Example.com" for n in rows],
                "phone": [f"030 {n % 100000}/{n % 97}" for n in rows],
                "amount": ["twelve" if wrong else f"{n % 1000},{n % 900 + 100}.5" for n, wrong in zip(rows, bad, strict=True)],
                "born": [f"{n % 28 + 1:02}.{n % 12 + 1:02}.{1950 + n % 60}" for n in rows],
                "created": [f"2026-{n % 12 + 1:02}-{n % 28 + 1:02} {n % 24:02}:{n % 60:02}:{n % 59:02}" for n in rows],
                "state": [("open", "won", "lost")[n % 3] for n in rows],
                "active": [("Yes", "no", "1", "0")[n % 4] for n in rows],
                "address.city": [cities[n % 5] for n in rows],
                "score": [n / 7 for n in rows],
            },
            schema_overrides={"id": pl.Int64},
        )
        pages.append(Page(frame, None))
    return pages


def _seconds(work: Callable[[Page], object], page: Page) -> float:
    started = time.perf_counter()
    work(page)
    return time.perf_counter() - started


def measure() -> list[dict[str, Any]]:
    """Both ways in turn, page by page, the median of three rounds; records a second."""
    from integration_hub.mappings.engine import compile_mapping

    mapping = compile_mapping(DEFINITION, SOURCE, TARGET)
    figures = []
    for name, share in (("mapping 10 fields, no rejects", 0.0), ("mapping 10 fields, 0.5 % rejects", 0.005)):
        pages = make_pages(share)
        mapping.apply(pages[0])
        by_hand(pages[0].frame)
        rounds = []
        for _round in range(3):
            turns = [(_seconds(mapping.apply, page), _seconds(lambda page: by_hand(page.frame), page)) for page in pages]
            rounds.append(tuple(map(sum, zip(*turns, strict=True))))
        value, limit = (PAGE * PAGES / statistics.median(times) for times in zip(*rounds, strict=True))
        figures.append({"name": name, "value": round(value), "limit": round(limit), "ratio": round(value / limit, 3), "bar": BAR})
    return figures


if __name__ == "__main__":
    for figure in measure():
        print(figure)
