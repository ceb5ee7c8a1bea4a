"""Sources that tell what was deleted: their incremental runs delete too, and where the source can be asked, not before it was asked once more."""

import polars as pl
import pytest

from connectors import base
from connectors.base import Capabilities, Entity, FieldType, Page
from integration_hub.syncs import services
from integration_hub.syncs.models import Link
from integration_hub.systems import services as systems
from tests.fakes import MemoryConnector, Store
from tests.syncs.conftest import published

pytestmark = pytest.mark.django_db(transaction=True)

FIELDS = tuple(base.Field(name=name, type=FieldType.TEXT) for name in ("id", "name", "email"))
CAN = Capabilities(incremental=True, own_cursor=True, tombstones=True, count=True)
MAPPING = {
    "fields": [{"target": "employee_id", "source": "id"}, {"target": "full_name", "source": "name"}, {"target": "email", "source": "email"}],
    "match": [["employee_id"]],
}


class TellingConnector(MemoryConnector):
    """Its log has records, and bare keys of what was deleted; two entries a page."""

    kind = "telling"
    log: list = []

    def read(self, entity, since=None, *, position=None, until=None, fields=None, keys_only=False):
        self._request()
        begin = position["at"] if position else int(since.value) if since else 0
        while True:
            some = self.log[begin : begin + 2]
            records = [one for one in some if isinstance(one, dict)]
            frame = pl.DataFrame(records, schema=entity.frame_schema()).select(list(entity.frame_schema(fields)))
            begin += 2
            ends = begin >= len(self.log)
            deleted = [one for one in some if isinstance(one, str)]
            yield Page(frame, None if ends else {"at": begin}, deleted=deleted, cursor=str(len(self.log)) if ends else "")
            if ends:
                return

    def lookup(self, entity, by, values, fields=None):
        there = {}
        for one in self.log:
            if isinstance(one, dict):
                there[one["id"]] = one
            else:
                there.pop(one, None)
        rows = [there[value] for value in values if value in there]
        return pl.DataFrame(rows, schema=entity.frame_schema()).select(list(entity.frame_schema(fields)))


def one(number):
    return {"id": f"P{number}", "name": f"Person {number}", "email": f"p{number}@example.com"}


@pytest.fixture
def log(memory, monkeypatch):
    from connectors import registry

    monkeypatch.setitem(registry.BUILT_IN, "telling", "tests.syncs.test_tombstones:TellingConnector")
    registry.kinds.cache_clear()
    monkeypatch.setattr(TellingConnector, "log", [one(n) for n in range(6)])
    return TellingConnector.log


@pytest.fixture(params=[True, False], ids=["asked again", "believed"])
def people_sync(request, log, sandbox, crm, by, run_now):
    sandbox.crm.has(users=0)
    people = Entity(name="people", key=("id",), fields=FIELDS, capabilities=CAN.model_copy(update={"lookup_by_key": request.param}))
    system = systems.register_system(name="Feed", connector="telling", settings={"address": "feed"}, by=by)
    TellingConnector.stores.setdefault("feed", Store()).entities = [people]
    systems.discover_entities(system, by=by)
    systems.select_entities(system, ["people"], by=by)
    source, target = system.entities.get(name="people"), crm.entities.get(name="users")
    mapping = published("People", source, target, MAPPING)
    sync = services.create_sync(by=by, source=source, target=target, name="People", mapping=mapping, mode="incremental", deletes="delete")
    assert run_now(sync).counts["created"] == 6
    return sync


def people_of_crm(sandbox):
    return {user["employee_id"] for user in sandbox.records("crm", "users")}


def test_an_incremental_run_deletes_what_the_source_tells_as_deleted(people_sync, log, sandbox, run_now):
    log += ["P2", one(7)]

    run = run_now(people_sync)

    assert (run.mode, run.state, run.balanced) == ("incremental", "succeeded", True)
    assert (run.counts["missing"], run.counts["deleted"], run.counts["created"]) == (1, 1, 1)
    assert people_of_crm(sandbox) == {"P0", "P1", "P3", "P4", "P5", "P7"}
    assert Link.objects.get(a_key="P2").ended_at is not None
    assert run_now(people_sync).counts["missing"] == 0


def test_what_was_deleted_and_made_again_since_is_kept(people_sync, log, sandbox, run_now):
    log += ["P2", one(8), one(2), one(9)]

    run = run_now(people_sync)

    assert (run.balanced, run.counts["deleted"]) == (True, 0)
    assert "P2" in people_of_crm(sandbox)


def test_many_told_deletes_wait_for_a_decision_too(people_sync, log, sandbox, run_now):
    log += ["P0", "P1", "P2"]

    run = run_now(people_sync)

    assert (run.state, run.balanced, run.counts["withheld"]) == ("awaiting_decision", True, 3)
    assert len(people_of_crm(sandbox)) == 6
