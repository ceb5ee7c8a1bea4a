"""The edges of a cursor: what shares a moment, comes late, moves while it is read, or has no moment at all. No gap, no loop, nothing twice."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from django.db.models import F
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as some

from connectors.base import Cursor, FieldType, FreeHost
from connectors.rest import RestConnector
from connectors.sql import SqlConnector
from integration_hub.syncs import services, stages
from integration_hub.syncs.models import Link, Run, SyncCursor
from tests.syncs.equal import assert_books, assert_equal
from tests.syncs.people import MOMENT, kind, people
from tests.syncs.views.conftest import shown

__all__ = ["kind", "people"]
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def meanwhile(monkeypatch):
    """A function that has something happen once, between the first page that a run reads and the next: meanwhile(SqlConnector, work)."""

    def happen(connector, work):
        read, waiting = connector.read, [work]

        def interrupted(self, *given, **named):
            for page in read(self, *given, **named):
                yield page
                if page.position is not None and waiting:
                    waiting.pop()()

        monkeypatch.setattr(connector, "read", interrupted)

    return happen


# --- many at one moment -------------------------------------------------------------------------------------------------


def test_ten_thousand_that_share_a_moment_are_all_brought_once_over_page_edges(kind, people, run_now):
    source, target, sync = people(kind, MOMENT[kind]["micros"], connection={"page_rows": 999})
    source.put("2026-01-02 03:04:05.678901", *range(10_000))

    first = run_now(sync)
    source.put("2026-01-02 03:04:05.678901", 4_998, 10_000, name="Later")
    second = run_now(sync)

    assert (first.counts["created"], first.counts["read"]) == (10_000, 10_000)
    assert (second.mode, second.counts["created"], second.counts["updated"]) == ("incremental", 1, 1)
    assert (second.counts["read"], second.counts["duplicate"]) == (10_001, 0)
    assert target.people == source.people
    for run in (first, second):
        assert_books(run)


# --- saved late, or stamped by a wrong clock ----------------------------------------------------------------------------


def test_what_was_saved_late_is_met_within_the_time_that_is_read_again_and_by_a_full_run_else(kind, people, run_now):
    source, target, sync = people(kind, MOMENT[kind]["micros"])
    source.put("2026-01-02 10:00:00", *range(25))
    run_now(sync)
    source.put("2026-01-02 09:59:00", 100)
    source.put("2026-01-02 09:58:59.999999", 101)

    run_now(sync)
    assert set(source.people) - set(target.people) == {101}

    run_now(sync, full=True)
    assert target.people == source.people
    assert SyncCursor.objects.get().value == "2026-01-02T10:00:00.000000Z"


def test_by_numbers_what_was_saved_late_is_met_by_the_next_run(kind, people, run_now):
    """Numbers are given in order, and saved in another: 95 after 100 was read."""

    def an_hour_passes():
        Run.objects.update(started_at=F("started_at") - timedelta(hours=1))

    source, target, sync = people(kind, "integer")
    for number in range(1, 11):
        source.put(number * 10, number)
    run_now(sync)
    source.put(95, 100)

    second = run_now(sync)  # no run is old enough to tell where the source stood before the first
    assert (second.mode, second.counts["created"]) == ("full", 1)

    Run.objects.exclude(pk=second.pk).update(started_at=F("started_at") - timedelta(hours=1))
    an_hour_passes()
    source.put(110, 101)
    third = run_now(sync)
    assert (third.mode, third.since_value, third.counts["read"]) == ("incremental", "100", 2)
    source.put(120, 102)
    source.put(105, 103)
    an_hour_passes()
    fourth = run_now(sync)
    source.put(115, 104)
    fifth = run_now(sync)

    assert [run.mode for run in (fourth, fifth)] == ["incremental"] * 2
    assert target.people == source.people
    for run in (second, third, fourth, fifth):
        assert_books(run)


@pytest.mark.parametrize("kind", ["sqlite"])
def test_by_numbers_a_run_begins_where_somebody_has_set_the_cursor_back_to(kind, people, run_now, by):
    source, _target, sync = people(kind, "integer")
    source.put(10, *range(20))
    source.put(20, *range(20, 25))
    run_now(sync)
    Run.objects.update(started_at=F("started_at") - timedelta(hours=1))
    run_now(sync)

    services.set_cursor(sync, by=by, value="15", note="a correction")
    run = run_now(sync)

    assert (run.mode, run.since_value, run.counts["read"]) == ("incremental", "15", 5)


def test_by_numbers_nothing_is_read_again_where_that_is_not_wanted(kind, people, run_now):
    source, _target, sync = people(kind, "integer", lookback_seconds=0)
    source.put(10, *range(20))
    source.put(20, *range(20, 25))
    run_now(sync)

    run = run_now(sync)

    assert (run.mode, run.since_value, run.counts["read"]) == ("incremental", "20", 5)


@pytest.mark.parametrize("kind", ["sqlite"])
@pytest.mark.parametrize(
    ("type_", "said"), [("datetime", "the last 60 seconds before the cursor"), ("integer", "what was numbered since 60 seconds before the last run")]
)
def test_the_page_of_a_sync_says_what_is_read_again(kind, type_, said, people, client, person):
    _source, _target, sync = people(kind, type_)
    client.force_login(person("integrator"))

    assert said in shown(client, "syncs:detail", sync.pk)


def test_a_clock_that_was_set_back_hides_changes_until_a_full_run_or_until_it_has_caught_up(kind, people, run_now):
    source, target, sync = people(kind, MOMENT[kind]["micros"])
    source.put("2026-01-02 10:00:00", *range(5))
    run_now(sync)
    source.put("2026-01-02 07:00:00", 3, name="Changed by a slow clock")

    assert run_now(sync).counts["updated"] == 0
    source.put("2026-01-02 10:00:30", 4, name="Changed in time")
    run_now(sync)
    assert target.people[4] == "Changed in time 4"
    assert run_now(sync, full=True).counts["updated"] == 1
    assert target.people == source.people


def test_a_record_dated_ahead_is_brought_by_a_full_run_and_does_not_take_the_cursor_with_it(kind, people, run_now):
    source, target, sync = people(kind, MOMENT[kind]["micros"])
    source.put("2026-01-02 10:00:00", *range(25))
    source.put("2099-01-01 00:00:00", 12)

    first = run_now(sync)
    began = first.started_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    assert target.people == source.people
    assert_books(first)
    assert SyncCursor.objects.get().value <= began
    source.put(first.started_at.strftime("%Y-%m-%d %H:%M:%S.%f"), 3, name="Changed in time")
    run_now(sync)
    assert target.people == source.people


# --- changed while it is read -------------------------------------------------------------------------------------------


def test_by_numbers_what_changes_behind_a_full_reading_is_met_by_the_next_run(kind, people, run_now, meanwhile):
    source, target, sync = people(kind, "integer")
    for number in range(50):
        source.put(number, number)

    def change():
        source.put(100, 3, name="Changed after it was read")
        source.put(101, 45, name="Changed before it was read")

    meanwhile(SqlConnector, change)
    first = run_now(sync)
    assert set(source.people.items()) - set(target.people.items()) == {(3, "Changed after it was read 3")}
    second = run_now(sync)

    assert target.people == source.people
    for run in (first, second):
        assert_books(run)


def test_a_row_updated_while_it_is_paged_is_met_at_its_new_place_or_by_the_next_run_in_its_last_state(kind, people, run_now, meanwhile):
    source, target, sync = people(kind, "integer")
    source.put(1, *range(50))
    run_now(sync)
    for number in range(50):
        source.put(number + 10, number, name="Once")

    def change():
        source.put(100, 3, 45, name="Twice")
        source.put(101, 60, name="New")

    meanwhile(SqlConnector, change)
    runs = [run_now(sync), run_now(sync)]

    assert target.people == source.people
    assert Link.objects.filter(ended_at=None).count() == 51
    for run in runs:
        assert_books(run)


@pytest.mark.parametrize("kind", ["sqlite"])  # whose bound is as wide as the day, for its moments are texts in several spellings
def test_by_moments_what_changes_behind_a_full_reading_is_met_by_the_next_run(kind, people, run_now, meanwhile):
    source, target, sync = people(kind, "datetime", lookback_seconds=1)
    source.put("2026-01-02 10:00:00", *range(50))
    today = datetime.now(UTC).date()

    def change():
        source.put(f"{today} 23:59:57", 3, name="Changed after it was read")
        source.put(f"{today} 23:59:59.9", 45, name="Changed before it was read")

    meanwhile(SqlConnector, change)
    run_now(sync)
    run_now(sync)

    assert target.people == source.people


def test_of_a_system_without_an_upper_bound_what_changes_behind_the_reading_is_met_by_the_next_run(few, users_sync, run_now, meanwhile, by):
    sync = services.change_sync(users_sync, by=by, lookback_seconds=0)
    users = few.oa.records("user")
    shanghai = datetime.now(UTC) + timedelta(hours=8)

    def change():
        for user, seconds in ((users[3], 100), (users[75], 300)):
            stamp = (shanghai + timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M:%S")
            few.oa.add("user", **{**user, "name": "Changed meanwhile", "modifiedTime": stamp})

    meanwhile(RestConnector, change)
    first = run_now(sync)
    second = run_now(sync)

    assert (first.counts["read"], second.counts["updated"]) == (80, 1)
    assert_equal(few)


# --- moments in other words ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("precision", "cursor"), [("seconds", "2026-01-02T10:00:00.900000Z"), ("micros", "2026-01-02T10:00:00Z")], ids=["seconds", "microseconds"]
)
def test_a_cursor_may_be_finer_or_coarser_than_what_the_source_keeps(kind, precision, cursor, people, run_now, by):
    source, target, sync = people(kind, MOMENT[kind][precision], lookback_seconds=0)
    source.put("2026-01-02 10:00:00", *range(25))
    run_now(sync)
    services.set_cursor(sync, by=by, value=cursor, note="from there on")
    source.put("2026-01-02 10:00:00", 3, name="In that second")
    source.put("2026-01-02 10:00:00.000001" if precision == "micros" else "2026-01-02 10:00:01", 4, name="Behind it")
    source.put("2026-01-02 09:59:59", 5, name="Before it")

    run = run_now(sync)

    assert run.counts["updated"] == 2
    assert set(source.people) - {n for n, name in target.people.items() if source.people[n] == name} == {5}


def test_records_without_a_moment_are_brought_by_full_runs_and_take_no_cursor(kind, people, run_now):
    source, target, sync = people(kind, MOMENT[kind]["micros"])
    source.put(None, *range(25))

    first, second = run_now(sync), run_now(sync)
    assert [run.mode for run in (first, second)] == ["full", "full"]
    assert not SyncCursor.objects.exists()

    source.put("2026-01-02 10:00:00", 3, name="Changed")
    run_now(sync)
    source.put(None, 30)
    source.put("2026-01-02 10:00:01", 4, name="Changed")
    third = run_now(sync)
    assert (third.mode, third.counts["read"]) == ("incremental", 2)
    assert set(source.people) - set(target.people) == {30}
    run_now(sync, full=True)
    assert target.people == source.people


def test_by_days_the_last_two_are_always_read_again(kind, people, run_now):
    source, target, sync = people(kind, "date", lookback_seconds=0)
    today = datetime.now(UTC).date()
    day = lambda ago: str(today - timedelta(days=ago))  # noqa: E731
    source.put(day(5), *range(10))
    source.put(day(0), *range(10, 25))

    first = run_now(sync)
    source.put(day(0), 11, name="Later today")
    source.put(day(1), 12, name="Saved after midnight")
    source.put(day(3), 5, name="Saved too late")
    run_now(sync)

    assert (first.counts["created"], SyncCursor.objects.get().value) == (25, day(1))
    assert {n for n, name in source.people.items() if target.people[n] != name} == {5}


# --- whatever happens between two pages ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def versions(tmp_path_factory):
    """An SQLite table (id, version, value) and a connector that reads it in pages of four."""
    path = tmp_path_factory.mktemp("versions").resolve() / "versions.sqlite3"
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as connection:
        connection.execute("CREATE TABLE versions (id integer PRIMARY KEY, version integer NOT NULL, value integer NOT NULL)")
        connection.execute("CREATE INDEX by_version ON versions (version)")
        tables = [{"name": "versions", "cursor_field": "version"}]
        settings = {"database": {"type": "sqlite", "path": str(path)}, "connection": {"page_rows": 4}, "tables": tables}
        with SqlConnector(SqlConnector.Settings.model_validate(settings), FreeHost("Shop")) as connector:
            yield connection, connector, connector.discover()[0]


@given(some.lists(some.lists(some.lists(some.integers(0, 15), max_size=4), max_size=5), max_size=4))
@settings(max_examples=60, deadline=None)
def test_whatever_changes_between_two_pages_nothing_is_lost(versions, runs):
    connection, connector, entity = versions
    connection.execute("DELETE FROM versions")
    counter, copy, cursor = count(1), {}, None

    def change(ids):
        for number in ids:
            version = next(counter)
            connection.execute("INSERT OR REPLACE INTO versions VALUES (?, ?, ?)", (number, version, version * 7))

    change(range(0, 16, 2))
    for between in [*runs, []]:
        run = Run(read_until=connector.newest(entity) or "", started_at=timezone.now())
        waiting, read = list(between), []
        for page in connector.read(entity, cursor, until=run.read_until if cursor else None):
            read += page.frame.rows()
            change(waiting.pop(0) if waiting else [])
        for ids in waiting:
            change(ids)
        copy |= {number: value for number, __, value in read}
        newest = stages.bounded(run, FieldType.INTEGER, max(((str(v), str(n)) for n, v, __ in read), key=lambda one: int(one[0]), default=None))
        if newest is not None and (cursor is None or int(newest[0]) > int(cursor.value)):
            cursor = Cursor(newest[0], "")
    assert copy == dict(connection.execute("SELECT id, value FROM versions"))
