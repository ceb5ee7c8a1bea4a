"""What one sync writes is what the next one reads: a ring of them comes to rest, and what a target has merged is nobody's new record."""

import sqlite3

import pytest

from integration_hub.core import texts
from integration_hub.syncs import services
from integration_hub.syncs.models import OpenRow, Run
from tests.syncs.conftest import finish, published, registered

pytestmark = pytest.mark.django_db(transaction=True)
TABLE = "CREATE TABLE people (no INTEGER PRIMARY KEY, code TEXT UNIQUE, name TEXT)"
MAPPING = {"fields": [{"target": "code", "source": "code"}, {"target": "name", "source": "name"}], "match": [["code"]]}


@pytest.fixture
def ring(db, tmp_path, by, settings):
    """Three systems with a table of people each, and a sync from each to the next, the last to the first."""
    settings.ALLOWED_FOLDERS = [tmp_path.resolve()]
    names, ends = ("A", "B", "C"), []
    for name in names:
        with sqlite3.connect(tmp_path / f"{name}.db") as made:
            made.execute(TABLE)
        system = registered(name, {"database": {"type": "sqlite", "path": str(tmp_path.resolve() / f"{name}.db")}}, by, connector="sql")
        ends.append(system.entities.get(name="people"))
    syncs = []
    for source, target in zip(ends, [*ends[1:], ends[0]], strict=True):
        name = f"{source.system.name} → {target.system.name}"
        mapping = published(name, source, target, MAPPING)
        syncs.append(services.create_sync(by=by, source=source, target=target, name=name, mapping=mapping, mode="full"))

    def run(system, statement, *values):
        with sqlite3.connect(tmp_path / f"{system}.db") as database:
            return database.execute(statement, values).fetchall()

    return syncs, run


def written(sync, run_now):
    counts = run_now(sync).counts
    return counts["created"] + counts["updated"] + counts["deleted"]


def test_our_own_writes_come_round_a_ring_of_three_systems_once_and_are_written_no_more(ring, run_now):
    syncs, run = ring
    for number in range(20):
        run("A", "INSERT INTO people (code, name) VALUES (?, ?)", f"p{number}", f"Person {number}")

    assert [written(sync, run_now) for sync in syncs] == [20, 20, 0], "the last finds in the first what it brings"
    assert [written(sync, run_now) for sync in syncs] == [0, 0, 0]

    run("B", "UPDATE people SET name = 'Renamed' WHERE code = 'p3'")
    assert [written(sync, run_now) for sync in syncs] == [0, 1, 1]
    assert [written(sync, run_now) for sync in syncs] == [0, 0, 0], "what comes back to where it began is not written again"
    assert {run(system, "SELECT name FROM people WHERE code = 'p3'")[0] for system in "ABC"} == {("Renamed",)}
    assert not OpenRow.objects.exists()


def test_a_record_that_the_target_has_merged_into_another_is_told_and_never_created_by_itself(ring, run_now, by):
    (sync, *_), run = ring
    for code in ("kept", "merged"):
        run("A", "INSERT INTO people (code, name) VALUES (?, ?)", code, code.title())
    run_now(sync)
    ((gone,),) = run("B", "SELECT no FROM people WHERE code = 'merged'")
    run("B", "DELETE FROM people WHERE no = ?", gone)
    run("A", "UPDATE people SET name = 'Changed' WHERE code = 'merged'")

    runs = [run_now(sync), run_now(sync)]

    assert [(each.counts["moved"], each.counts["created"], each.balanced) for each in runs] == [(1, 0, True)] * 2
    assert run("B", "SELECT code FROM people") == [("kept",)]
    row = OpenRow.objects.open().get()
    assert texts.render(row.reason) == f"B no longer has people {gone}. Replay it to create it again, or dismiss it."

    run("B", "UPDATE people SET code = 'merged' WHERE code = 'kept'")  # it answers to the other's code now
    services.replay_rejects(OpenRow.objects.open(), by=by)
    finish(Run.objects.live().get())

    assert run("B", "SELECT count(*) FROM people") == [(1,)], (
        "found by its match key, it belongs to the other record, so somebody has to say whose it is"
    )
    assert OpenRow.objects.open().get().state == "rejected"
