"""Files as source and as target of a sync, carried as workers would."""

import csv
import io
import os

import pytest

from integration_hub.syncs import services
from integration_hub.systems import services as systems
from tests.syncs.conftest import published
from tests.syncs.equal import assert_books

pytestmark = pytest.mark.django_db(transaction=True)

FIELDS = [{"name": "number", "type": "integer"}, {"name": "name"}, {"name": "price", "type": "decimal"}, {"name": "since", "type": "date"}]
MAPPING = {
    "fields": [
        {"target": "number", "source": "id"},
        {"target": "name", "source": "name", "steps": [{"transform": "trim"}], "required": True},
        {"target": "price", "source": "price"},
        {"target": "since", "source": "since"},
    ],
    "match": [["number"]],
}


@pytest.fixture
def folder(tmp_path, settings):
    settings.ALLOWED_FOLDERS = [tmp_path]
    return tmp_path


def put(folder, name, rows):
    lines = ["id,name,price,since", *(",".join("" if v is None else str(v) for v in row) for row in rows)]
    (folder / f"{name}.new").write_text("\n".join(lines) + "\n")
    os.replace(folder / f"{name}.new", folder / name)


def row(n, **more):
    return [n, more.get("name", f"Part {n}"), more.get("price", f"{n}.50"), f"2026-01-{n % 28 + 1:02}"]


def written(folder, name="out.csv"):
    return {int(r["number"]): r for r in csv.DictReader(io.StringIO((folder / name).read_text()))}


@pytest.fixture
def parts_sync(folder, db, by):
    """A function that makes a sync from CSV files that lie in a folder into one file."""

    def registered(name, file):
        system = systems.register_system(
            name=name, connector="files", settings={"place": {"type": "folder", "folder": str(folder)}, "files": [file]}, by=by
        )
        systems.discover_entities(system, by=by)
        systems.select_entities(system, ["parts"], by=by)
        return system.entities.get(name="parts")

    def make(path="in.csv", form="csv", fields=()):
        source = registered("Exchange", {"name": "parts", "path": path, "key": ["id"], "fields": fields})
        out = {"name": "parts", "path": f"out.{form}", "format": {"type": form}, "key": ["number"], "fields": FIELDS, "write": True}
        target = registered("Shop", out)
        mapping = published("Parts", source, target, MAPPING)
        return services.create_sync(by=by, source=source, target=target, name="Parts", mapping=mapping, mode="incremental")

    return make


def counts(run):
    assert_books(run)
    return {n: run.counts[n] for n in ("read", "created", "updated", "unchanged") if run.counts.get(n)}


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_a_file_is_kept_in_step_with_another(form, folder, parts_sync, run_now):
    put(folder, "in.csv", [row(n) for n in range(1, 2501)])
    sync = parts_sync(form=form)

    first = run_now(sync)
    again = run_now(sync)
    put(folder, "in.csv", [row(n, price="7" if n < 4 else f"{n}.50") for n in range(1, 2503)])
    changed = run_now(sync)

    assert counts(first) == {"read": 2500, "created": 2500}
    assert counts(again) == {"read": 2500, "unchanged": 2500}
    assert counts(changed) == {"read": 2502, "created": 2, "updated": 3, "unchanged": 2497}
    assert counts(run_now(sync)) == {"read": 2502, "unchanged": 2502}
    assert {p.name for p in folder.rglob("*") if p.is_file() and p.name != ".lock"} == {"in.csv", f"out.{form}"}


def test_what_a_person_changed_in_the_target_file_meanwhile_is_kept(folder, parts_sync, run_now):
    put(folder, "in.csv", [row(n) for n in range(1, 31)])
    sync = parts_sync()
    run_now(sync)
    text = (folder / "out.csv").read_text()
    (folder / "out.csv").write_text(text.replace("Part 9", "Changed by hand"))
    put(folder, "in.csv", [row(n, price="8" if n == 7 else f"{n}.50") for n in range(1, 31)])

    run = run_now(sync)

    assert counts(run) == {"read": 30, "updated": 1, "unchanged": 29}
    assert (written(folder)[7]["price"], written(folder)[9]["name"]) == ("8", "Changed by hand")


def test_broken_lines_are_rejects_and_the_others_are_written(folder, parts_sync, run_now):
    put(folder, "in.csv", [row(1), [2, "Part 2"], row(3, price="much"), row(4), row(5, name="=1+1")])
    sync = parts_sync(fields=[{"name": "price", "type": "decimal"}])

    run = run_now(sync)

    assert counts(run) == {"read": 5, "created": 3}
    assert run.counts["rejected"] == 2
    assert sorted(written(folder)) == [1, 4, 5]
    assert written(folder)[5]["name"] == "'=1+1"


def test_only_new_files_of_a_folder_are_read_again(folder, parts_sync, run_now):
    for number in range(3):
        put(folder, f"in-{number}.csv", [row(n) for n in range(number * 10 + 1, number * 10 + 11)])
        os.utime(folder / f"in-{number}.csv", (1_700_000_000 + number, 1_700_000_000 + number))
    sync = parts_sync(path="in-*.csv")
    sync.lookback_seconds = 0
    sync.save()
    run_now(sync)
    put(folder, "in-9.csv", [row(n) for n in range(100, 105)])

    run = run_now(sync)

    assert counts(run)["created"] == 5
    assert counts(run)["read"] < 35
    assert len(written(folder)) == 35
