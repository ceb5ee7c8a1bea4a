"""A run that is divided into parts, which several workers carry at the same time."""

import sqlite3
import threading
from functools import partial

import pytest
from django.db.models import Sum
from django.db.models.functions import Now

from integration_hub.core.leases import LeaseLost
from integration_hub.core.models import Heartbeat
from integration_hub.syncs import carrying, claims, dividing, pipeline, reading, services, stages
from integration_hub.syncs.books import books_of
from integration_hub.syncs.models import Claim, Link, OpenRow, Partition, Run
from integration_hub.syncs.states import PartitionState, RunState
from tests.syncs.conftest import finish, published, registered
from tests.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)

RECORDS = 200
BY_KEY = {"fields": [{"target": "id", "source": "id"}, {"target": "name", "source": "name", "required": True}], "match": [["id"]]}
BY_NAME = {"fields": [{"target": "name", "source": "name", "required": True}], "match": [["name"]]}


class Database:
    """An SQLite file with one table of people, registered as a system."""

    def __init__(self, path, by):
        self.path = path
        self.run("CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT NOT NULL)")
        settings = {"database": {"type": "sqlite", "path": str(path)}, "connection": {"page_rows": 10, "total_seconds": 2}}
        self.entity = registered(path.stem, settings, by, connector="sql").entities.get(name="people")

    def run(self, statement, *values):
        with sqlite3.connect(self.path) as connection:
            return connection.execute(statement, values).fetchall()

    def has(self, names):
        with sqlite3.connect(self.path) as connection:
            connection.executemany("INSERT INTO people VALUES (?, ?)", names.items())

    @property
    def people(self):
        return dict(self.run("SELECT id, name FROM people"))


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(dividing, "PART_ROWS", 40)


@pytest.fixture
def source(db, tmp_path, settings, by):
    settings.ALLOWED_FOLDERS = [tmp_path.resolve()]
    return Database(tmp_path.resolve() / "source.sqlite3", by)


@pytest.fixture
def target(source, tmp_path, by):
    return Database(tmp_path.resolve() / "target.sqlite3", by)


@pytest.fixture
def people_sync(source, target, by):
    """A function that makes a sync of all people by a mapping."""

    def make(definition, **more):
        source.has({n: f"Person {n:03}" for n in range(1, RECORDS + 1)})
        mapping = published("People", source.entity, target.entity, definition)
        return services.create_sync(by=by, source=source.entity, target=target.entity, name="People", mapping=mapping, mode="full", **more)

    return make


def carried_together(run):
    """Carry all parts of a run at the same time, each by a worker of its own, as often as it takes."""
    while Run.objects.filter(pk=run.pk, ended_at=None).exists():
        parts = Partition.objects.filter(run=run).values_list("pk", flat=True)
        at_once(*(partial(carrying.carry_partition, pk) for pk in parts))
        stages.advance(run.pk)
    run.refresh_from_db()
    return run


@pytest.mark.parametrize("compare_first", [False, True], ids=["at once", "compared first"])
def test_several_workers_carry_a_run_and_its_books_balance(people_sync, source, target, by, compare_first):
    run = services.start_run(people_sync(BY_KEY, compare_first=compare_first), by=by)

    carried_together(run)

    assert run.parts == run.partitions.count() == 5
    assert all(part.read_count for part in run.partitions.all())
    assert target.people == source.people
    assert (run.state, run.balanced, run.counts["created"]) == ("succeeded", True, RECORDS)
    assert Link.objects.filter(ended_at=None).count() == RECORDS


def test_the_first_part_deletes_what_none_of_them_has_met(people_sync, source, target, by):
    sync = people_sync(BY_KEY, deletes="delete")
    carried_together(services.start_run(sync, by=by))
    source.run("DELETE FROM people WHERE id % 10 = 0")

    run = carried_together(services.start_run(sync, by=by))

    assert run.parts == 4
    assert target.people == source.people
    assert (run.state, run.balanced, run.counts["missing"], run.counts["deleted"]) == ("succeeded", True, 20, 20)


def test_each_part_begins_again_where_its_worker_was_lost(people_sync, source, target, by, monkeypatch):
    lost = set()

    def recorded(work, lease, portion, record=pipeline.record):
        record(work, lease, portion)
        if work.partition.number not in lost:
            lost.add(work.partition.number)
            raise LeaseLost

    monkeypatch.setattr(pipeline, "record", recorded)
    monkeypatch.setattr(reading, "FIRST_ROWS", 10)

    run = finish(services.start_run(people_sync(BY_KEY), by=by))

    assert lost == {1, 2, 3, 4, 5}
    assert target.people == source.people
    assert run.counts["read"] == RECORDS


def test_a_first_load_whose_match_key_two_records_may_share_is_carried_by_one(people_sync, target, source, by):
    source.has({500: "Person 001"})

    run = finish(services.start_run(people_sync(BY_NAME), by=by))

    assert run.parts == 1
    assert sorted(target.people.values()) == sorted({*source.people.values()})
    assert OpenRow.objects.open().count() == 1


def test_of_two_parts_that_would_create_the_same_record_one_does(people_sync, source, target, by, run_now):
    sync = people_sync(BY_NAME)
    run_now(sync)
    source.has({1000: "Twin", 2000: "Twin"})
    source.has({n: f"Later {n}" for n in range(1001, 1200)})

    run = carried_together(services.start_run(sync, by=by))
    run_now(sync)

    assert run.parts > 1
    assert list(target.people.values()).count("Twin") == 1
    assert OpenRow.objects.open().get().key in {"1000", "2000"}
    assert not Claim.objects.exists()


def test_a_part_that_fails_stops_the_others_and_the_run_says_why(people_sync, by, monkeypatch):
    run = services.start_run(people_sync(BY_KEY), by=by)
    monkeypatch.setattr(carrying, "SLICE_SECONDS", 0.0)
    carrying.carry_partition(run.partitions.get().pk)
    third = run.partitions.get(number=3)
    Partition.objects.filter(pk=third.pk).update(lost_leases=carrying.LOST_AT_MOST)

    carrying.carry_partition(third.pk)

    run.refresh_from_db()
    assert run.state == RunState.FAILED
    assert "has cost 3 workers their lives" in run.error["template"].format_map(run.error["values"])
    assert not Partition.objects.to_carry().filter(run=run).exists()
    assert books_of(run).balance


def test_a_failed_run_whose_last_worker_was_lost_is_ended_by_the_sweep(people_sync, by):
    run = services.start_run(people_sync(BY_KEY), by=by)
    Run.objects.filter(pk=run.pk).update(state=RunState.WRITING, error={"template": "Broken.", "values": {}})
    Partition.objects.filter(run=run).update(state=PartitionState.FAILED)
    Partition.objects.create(run=run, number=2)

    stages.sweep()

    run.refresh_from_db()
    assert run.state == RunState.FAILED


def test_the_other_parts_wait_until_the_named_records_are_done(people_sync, source, target, by, run_now, monkeypatch):
    sync = people_sync({**BY_KEY, "fields": [BY_KEY["fields"][0], {**BY_KEY["fields"][1], "pattern": "Person.*"}]})
    source.run("UPDATE people SET name = 'Nobody' WHERE id = 150")
    run_now(sync)
    source.run("UPDATE people SET name = 'Person 150' WHERE id = 150")
    OpenRow.objects.update(again=True)
    run = services.start_run(sync, by=by)
    with monkeypatch.context() as patch:
        patch.setattr(carrying, "SLICE_SECONDS", 0.0)
        carrying.carry_partition(run.partitions.get().pk)

    first, *others = run.partitions.order_by("number")
    assert (len(others), first.wanted_done) == (4, False)
    assert Partition.objects.to_carry().get(run=run) == first
    finish(run)
    assert target.people == source.people
    assert not OpenRow.objects.open().exists()


@pytest.mark.parametrize(("slots", "share"), [(0, 1), (2, 2), (8, 5)])
def test_a_run_has_no_more_parts_under_way_than_is_its_share_of_the_workers(people_sync, by, monkeypatch, slots, share):
    Heartbeat.objects.create(name="bulk@here", kind="worker", host="here", queues=["bulk"], slots=slots, version="1", seen_at=Now())
    run = services.start_run(people_sync(BY_KEY), by=by)
    monkeypatch.setattr(carrying, "SLICE_SECONDS", 0.0)
    carrying.carry_partition(run.partitions.get().pk)

    stages.sweep()

    assert Partition.objects.in_hand().filter(run=run).count() == share
    assert run.partitions.aggregate(read=Sum("read_count"))["read"] < RECORDS


def test_of_two_parts_that_would_create_the_same_record_one_does_also_where_the_other_is_through_by_then(
    people_sync, source, target, by, run_now, monkeypatch
):
    sync = people_sync(BY_NAME)
    run_now(sync)
    source.has({1000: "Twin", 2000: "Twin"})
    source.has({n: f"Later {n}" for n in range(1001, 1200)})
    both_compared, order, through = threading.Barrier(2, timeout=60), [], threading.Event()

    def has_twin(rows):
        return "Twin" in rows["after"].struct.unnest()["name"].to_list()

    def claim(work, lease, change_set, rows, claim=claims.claim):
        if has_twin(rows):
            both_compared.wait()
            order.append(work.partition.number)
            assert work.partition.number == order[0] or through.wait(60)
        return claim(work, lease, change_set, rows)

    def recorded(work, lease, portion, record=pipeline.record):
        record(work, lease, portion)
        if has_twin(portion.changes):
            through.set()

    monkeypatch.setattr(claims, "claim", claim)
    monkeypatch.setattr(pipeline, "record", recorded)

    carried_together(services.start_run(sync, by=by))

    assert len(order) == 2
    assert list(target.people.values()).count("Twin") == 1
