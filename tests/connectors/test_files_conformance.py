"""The files connector against the conformance kit: each format in each place, read and written."""

from __future__ import annotations

import datetime as dt
import io
import json
from decimal import Decimal

import openpyxl
import polars as pl
import pytest

from connectors.conformance import Conformance, Prepared
from connectors.files import FilesConnector
from tests.connectors.file_places import KINDS, fresh

NUMBERS = range(1, 26)
RECORDS = [
    {
        "id": n,
        "name": f"Name {n}",
        "email": f"user{n}@example.com",
        "price": Decimal(f"{n}.50"),
        "active": bool(n % 2),
        "born": dt.date(1990, 1, n),
        "seen_at": dt.datetime(2026, 1, n, 10, 30, tzinfo=dt.UTC),
    }
    for n in NUMBERS
]


def as_csv(records):
    def line(r):
        return f'{r["id"]},"{r["name"]}",{r["email"]},{r["price"]},{str(r["active"]).lower()},{r["born"]},{r["seen_at"]:%Y-%m-%dT%H:%M:%SZ}'

    return "\n".join(["id,name,email,price,active,born,seen_at", *map(line, records)]) + "\n"


def as_jsonl(records):
    def plain(r):
        return {**r, "price": float(r["price"]), "born": str(r["born"]), "seen_at": f"{r['seen_at']:%Y-%m-%dT%H:%M:%SZ}"}

    return "".join(json.dumps(plain(r)) + "\n" for r in records)


def as_excel(records):
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(list(records[0]))
    for r in records:
        sheet.append([v.replace(tzinfo=None) if isinstance(v, dt.datetime) else v for v in r.values()])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def as_parquet(records):
    out = io.BytesIO()
    pl.DataFrame(records, schema_overrides={"price": pl.Decimal(12, 2)}).write_parquet(out, row_group_size=9)
    return out.getvalue()


FORMATS = {"csv": as_csv, "jsonl": as_jsonl, "excel": as_excel, "parquet": as_parquet}
DECLARED = [
    {"name": "id", "type": "integer"},
    {"name": "name"},
    {"name": "email"},
    {"name": "price", "type": "decimal"},
    {"name": "active", "type": "boolean"},
    {"name": "born", "type": "date"},
    {"name": "seen_at", "type": "datetime"},
]


@pytest.fixture(params=KINDS)
def there(request, tmp_path, file_servers):
    return fresh(request.param, tmp_path, file_servers)


class TestReadFiles(Conformance):
    @pytest.fixture(params=FORMATS)
    def prepared(self, request, there):
        form = request.param
        if there.kind != "folder" and form in ("jsonl", "excel"):
            pytest.skip("every format is read from a folder; that others read the same bytes, two of them show")
        there.put(f"in/contacts.{form}", FORMATS[form](RECORDS))

        def misfit() -> str:
            there.put(f"in/contacts.{form}", FORMATS[form](RECORDS).replace("1990-01-03", "some day"))
            return "born"

        def three(field: str) -> dict[str, str]:
            told = {n: json.loads(line) for n, line in zip(NUMBERS, as_jsonl(RECORDS).splitlines(), strict=True)}
            told[1].pop(field)
            told[2][field] = None
            told[3][field] = ""
            there.put("in/contacts.jsonl", "".join(json.dumps(r) + "\n" for r in told.values()))
            return {"absent": "1", "null": "2", "empty": "3"}

        return Prepared(
            connector=FilesConnector,
            settings=there.of(f"in/contacts.{form}", format={"type": form}),
            entity="contacts",
            count=25,
            misfit=misfit if form in ("csv", "jsonl") else None,
            three=three if form == "jsonl" else None,
            three_field="email" if form == "jsonl" else "",
            is_remote=there.kind != "folder",
            secrets=["s3cret-password", "s3cret-key-of-hub"],
        )


class TestReadPattern(Conformance):
    @pytest.fixture
    def prepared(self, there):
        for part in range(3):
            there.put(f"in/contacts-{part}.csv", as_csv(RECORDS[part * 9 : part * 9 + 9]))
        there.put("in/others.csv", "x\n1\n")
        return Prepared(
            connector=FilesConnector,
            settings=there.of("in/contacts-*.csv"),
            entity="contacts",
            count=25,
            is_remote=there.kind != "folder",
        )


class TestWriteFiles(Conformance):
    @pytest.fixture(params=["csv", "jsonl", "parquet"])
    def prepared(self, request, there):
        form = request.param
        there.put(f"out/contacts.{form}", FORMATS[form](RECORDS))
        return Prepared(
            connector=FilesConnector,
            settings=there.of(f"out/contacts.{form}", format={"type": form}, write=True, fields=DECLARED if form != "parquet" else []),
            entity="contacts",
            count=25,
            new=lambda n: {"id": 1000 + n, "name": f"New {n}", "email": f"new{n}@example.com", "price": Decimal("9.90")},
            changed={"name": "Changed", "price": Decimal("1.00")},
            refused=lambda: {"id": 1, "name": "Bad", "email": "user1@example.com", "price": Decimal("9.90")},
            three_field="email",
            is_remote=there.kind != "folder",
        )
