"""Sources that say in words of their own how far they were read: the hub keeps the text and hands it back as it is."""

import polars as pl
import pytest
from django.core.exceptions import ValidationError

from connectors import base
from connectors.base import Capabilities, Entity, FieldType, Page, PositionExpired
from integration_hub.syncs import services
from integration_hub.syncs.models import SyncCursor
from integration_hub.systems import services as systems
from tests.fakes import MemoryConnector, Store
from tests.syncs.conftest import published
from tests.syncs.views.conftest import shown

pytestmark = pytest.mark.django_db(transaction=True)

PEOPLE = Entity(
    name="people",
    key=("id",),
    fields=tuple(base.Field(name=name, type=FieldType.TEXT) for name in ("id", "name", "email")),
    capabilities=Capabilities(incremental=True, own_cursor=True, lookup_by_key=True, count=True),
)
LINK = "https://feed.example.com/people?token=" + "x" * 400 + "-"
MAPPING = {
    "fields": [{"target": "employee_id", "source": "id"}, {"target": "full_name", "source": "name"}, {"target": "email", "source": "email"}],
    "match": [["employee_id"]],
}


class FeedConnector(MemoryConnector):
    """Tells what changed behind a place in its log, in pages of two; knows no place before `forgotten`."""

    kind = "feed"
    log: list[dict[str, str]] = []
    forgotten = 0

    def read(self, entity, since=None, *, position=None, until=None, fields=None, keys_only=False):
        self._request()
        begin = int(since.value.removeprefix(LINK)) if since else 0
        if since and begin < self.forgotten:
            raise PositionExpired("{system} no longer knows that place.", system=self.host.system)
        rows = list({row["id"]: row for row in self.log[begin:]}.values())
        start = position["start"] if position else 0
        for at in range(start, max(len(rows), 1), 2):
            is_last = at + 2 >= len(rows)
            frame = pl.DataFrame(rows[at : at + 2], schema=PEOPLE.frame_schema()).select(list(entity.frame_schema(fields)))
            yield Page(frame, None if is_last else {"start": at + 2}, cursor=f"{LINK}{len(self.log)}" if is_last else "")

    def lookup(self, entity, by, values, fields=None):
        rows = [row for row in {row["id"]: row for row in self.log}.values() if row["id"] in values]
        return pl.DataFrame(rows, schema=PEOPLE.frame_schema()).select(list(entity.frame_schema(fields)))


def one(number, **more):
    return {"id": f"P{number}", "name": f"Person {number}", "email": f"p{number}@example.com", **more}


@pytest.fixture
def feed(memory, monkeypatch):
    from connectors import registry

    monkeypatch.setitem(registry.BUILT_IN, "feed", "tests.syncs.test_own_cursor:FeedConnector")
    registry.kinds.cache_clear()
    monkeypatch.setattr(FeedConnector, "log", [one(n) for n in range(5)])
    monkeypatch.setattr(FeedConnector, "forgotten", 0)
    return FeedConnector


@pytest.fixture
def people_sync(feed, sandbox, crm, by):
    system = systems.register_system(name="Feed", connector="feed", settings={"address": "feed"}, by=by)
    FeedConnector.stores.setdefault("feed", Store()).entities = [PEOPLE]
    systems.discover_entities(system, by=by)
    systems.select_entities(system, ["people"], by=by)
    source, target = system.entities.get(name="people"), crm.entities.get(name="users")
    mapping = published("People", source, target, MAPPING)
    return services.create_sync(by=by, source=source, target=target, name="People", mapping=mapping, mode="incremental")


def names(sandbox):
    return sorted(record["full_name"] for record in sandbox.crm.records("users") if record["email"].endswith("@example.com"))


def test_the_cursor_is_what_the_last_page_told_and_is_handed_back_as_it_is(feed, people_sync, run_now, sandbox):
    first = run_now(people_sync)
    feed.log.append(one(3, name="Renamed"))
    second = run_now(people_sync)
    third = run_now(people_sync)

    assert [(run.state, run.mode, run.counts["read"], run.counts["created"], run.counts["updated"]) for run in (first, second, third)] == [
        ("succeeded", "full", 5, 5, 0),
        ("succeeded", "incremental", 1, 0, 1),
        ("succeeded", "incremental", 0, 0, 0),
    ]
    assert [run.since_value for run in (second, third)] == [f"{LINK}5", f"{LINK}6"]
    assert (SyncCursor.objects.get().value, SyncCursor.objects.get().key) == (f"{LINK}6", "")
    assert names(sandbox) == ["Person 0", "Person 1", "Person 2", "Person 4", "Renamed"]


def test_a_run_that_does_not_go_through_moves_no_cursor(feed, people_sync, run_now):
    run_now(people_sync)
    feed.log.append(one(9))

    run_now(people_sync, dry=True)

    assert SyncCursor.objects.get().value == f"{LINK}5"


def test_a_cursor_that_the_source_no_longer_knows_is_given_up_for_a_whole_reading(feed, people_sync, run_now, sandbox):
    run_now(people_sync)
    feed.log += [one(5), one(0, name="Renamed")]
    feed.forgotten = 6

    run = run_now(people_sync)

    assert (run.state, run.mode, run.since_value, run.counts["read"]) == ("succeeded", "full", "", 6)
    assert any("no longer knows that place" in str(line) for line in run.log.values_list("text", flat=True))
    assert SyncCursor.objects.get().value == f"{LINK}7"
    assert len(names(sandbox)) == 6


def test_it_is_not_set_by_hand_but_may_be_removed(people_sync, run_now, by):
    run_now(people_sync)

    with pytest.raises(ValidationError, match="has a cursor of its system's own"):
        services.set_cursor(people_sync, by=by, value="2026-01-01T00:00:00Z", note="a correction")
    services.set_cursor(people_sync, by=by, value="", note="read it all again")

    assert run_now(people_sync).counts["read"] == 5


def test_pages_call_it_the_systems_own(people_sync, run_now, client, person):
    run_now(people_sync)
    run = run_now(people_sync)
    client.force_login(person("integrator"))

    assert "the system's own, of" in shown(client, "syncs:detail", people_sync.pk)
    assert "Reads again" not in shown(client, "syncs:detail", people_sync.pk)
    assert "The cursor stands at" not in shown(client, "syncs:cursor", people_sync.pk)
    assert "Read from a cursor of the system's own" in shown(client, "runs:detail", run.pk)
    assert "a cursor of the system's own" in shown(client, "systems:entity", people_sync.source.system.slug, "people")
