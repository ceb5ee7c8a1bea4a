"""A source whose fields change under a sync: it is told, nothing is blanked, the cursor stays, and all goes on once somebody has decided."""

import pytest

from integration_hub.syncs.models import SyncCursor
from integration_hub.systems import services as systems
from tests.syncs.equal import assert_books, told
from tests.syncs.people import MOMENT, kind, people

__all__ = ["kind", "people"]
pytestmark = pytest.mark.django_db(transaction=True)

RETYPE = {
    "postgresql": "ALTER TABLE people ALTER COLUMN name TYPE integer USING 7",
    "mariadb": "ALTER TABLE people MODIFY name integer NOT NULL",
}


def found(entity, by):
    """What the next look at the system says has changed, as a person reads it."""
    systems.discover_entities(entity.system, by=by)
    entity.refresh_from_db()
    return [str(change.text) for change in systems.changes_found(entity)]


def test_a_mapped_field_that_the_source_lost_stops_the_sync_shows_as_drift_and_keeps_the_cursor(kind, people, run_now, by):
    source, target, sync = people(kind, MOMENT[kind]["micros"])
    source.put("2026-01-02 10:00:00", *range(25))
    run_now(sync)
    before, cursor = target.people, SyncCursor.objects.get().value
    source.place.run("ALTER TABLE people RENAME COLUMN name TO title")

    lost = run_now(sync)
    drift = found(source.entity, by)
    systems.accept_schema(source.entity, by=by)
    unmapped = run_now(sync)

    assert (lost.state, unmapped.state) == ("failed", "failed")
    assert "name" in told(lost)
    assert [text for text in drift if text.startswith("name ")] == ["name is gone"]
    assert told(unmapped).startswith("The mapping no longer fits: ")
    assert (target.people, SyncCursor.objects.get().value) == (before, cursor)
    source.place.run("ALTER TABLE people RENAME COLUMN title TO name")
    source.put("2026-01-02 10:00:30", 3, name="Changed")
    found(source.entity, by)
    systems.accept_schema(source.entity, by=by)
    run = run_now(sync)
    assert (run.mode, run.state, run.counts["updated"]) == ("incremental", "succeeded", 1)
    assert target.people == source.people
    for done in (lost, unmapped, run):
        assert_books(done)


@pytest.mark.parametrize("kind", RETYPE)
def test_a_mapped_field_that_changed_its_type_stops_the_sync_shows_as_drift_and_blanks_nothing(kind, people, run_now, by):
    source, target, sync = people(kind, MOMENT[kind]["micros"])
    source.put("2026-01-02 10:00:00", *range(25))
    run_now(sync)
    before, cursor = target.people, SyncCursor.objects.get().value
    source.place.run("UPDATE people SET name = '7', changed = '2026-01-02 10:00:30'", RETYPE[kind])

    run = run_now(sync)

    assert run.state == "failed"
    assert told(run) == "people of source no longer has the field name as it was accepted. Look again what the system holds."
    assert "name was text and is now integer" in found(source.entity, by)
    assert (target.people, SyncCursor.objects.get().value) == (before, cursor)
    assert_books(run)
    systems.accept_schema(source.entity, by=by)
    assert run_now(sync).counts["updated"] == 25
    assert target.people == {number: str(name) for number, name in source.people.items()}
