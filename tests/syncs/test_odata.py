"""Syncs out of an OData service and into one, over real HTTP."""

import pytest

from connectors.odata import services as descriptions
from integration_hub.core import texts
from integration_hub.syncs import services, write
from integration_hub.syncs.models import OpenRow, SyncCursor
from integration_hub.systems import services as systems
from tests.connectors.odata_service import ODataServer, ODataService, customer
from tests.syncs.conftest import published

pytestmark = pytest.mark.django_db(transaction=True)

OUT = {"fields": [{"target": "full_name", "source": "Name"}, {"target": "email", "source": "Email"}], "match": [["email"]]}
INTO = {"fields": [{"target": "Name", "source": "full_name"}, {"target": "Email", "source": "email"}], "match": [["Email"]]}


@pytest.fixture(scope="module")
def odata_server():
    running = ODataServer()
    yield running
    running.close()


@pytest.fixture
def service(odata_server):
    odata_server.shop.__dict__.update(ODataService(url=odata_server.shop.url).__dict__)
    descriptions._kept.clear()
    return odata_server.shop


@pytest.fixture
def erp(service, by):
    def register(**settings):
        system = systems.register_system(name="ERP", connector="odata", settings={"base_url": f"{service.url}/v4", **settings}, by=by)
        systems.discover_entities(system, by=by)
        systems.select_entities(system, ["Customers"], by=by)
        return system.entities.get(name="Customers")

    return register


def ours(sandbox):
    return {record["email"]: record["full_name"] for record in sandbox.crm.records("users") if record["email"].startswith("c")}


@pytest.mark.parametrize("delta", [False, True], ids=["by a property", "by delta links"])
def test_what_changed_in_the_service_is_brought(service, erp, crm, sandbox, by, run_now, delta):
    service.has(23)
    source, target = erp(entities=[{"name": "Customers", "delta": delta}]), crm.entities.get(name="users")
    mapping = published("Out", source, target, OUT)
    sync = services.create_sync(by=by, source=source, target=target, name="Out", mapping=mapping, mode="incremental", lookback_seconds=0)

    first = run_now(sync)
    service.put("Customers", customer(7, Name="Renamed", ModifiedAt="2026-11-22T11:00:00Z"))
    second = run_now(sync)

    assert (first.state, first.counts["created"], first.balanced) == ("succeeded", 23, True)
    assert (second.state, second.mode, second.counts["updated"], second.balanced) == ("succeeded", "incremental", 1, True)
    assert second.counts["read"] == (1 if delta else 2)  # the cursor's own record is read again
    assert ("deltatoken" in SyncCursor.objects.get().value) == delta
    assert ours(sandbox)["c7@example.com"] == "Renamed"


@pytest.mark.parametrize("batches", ["none", "json"])
def test_what_changed_in_the_source_is_written_into_the_service(service, erp, crm, sandbox, by, run_now, batches):
    sandbox.crm.has(users=30)
    service.put("Customers", customer(1, Email=sandbox.crm.records("users")[3]["email"]))
    source, target = crm.entities.get(name="users"), erp(batches={"format": batches, "size": 10})
    sync = services.create_sync(by=by, source=source, target=target, name="Into", mapping=published("Into", source, target, INTO), mode="full")

    first, second = run_now(sync), run_now(sync)

    records = sandbox.crm.records("users")
    assert {r["Email"]: r["Name"] for r in service.sets["Customers"].values()} == {r["email"]: r["full_name"] for r in records}
    assert (first.state, first.balanced, OpenRow.objects.open().count()) == ("succeeded", True, 0)
    assert (second.counts["created"], second.counts["updated"]) == (0, 0)


@pytest.mark.parametrize("compare_first", [False, True], ids=["at once", "compared first"])
def test_what_was_changed_there_between_comparing_and_writing_is_not_overwritten(service, erp, crm, sandbox, by, run_now, monkeypatch, compare_first):
    sandbox.crm.has(users=5)
    source, target = crm.entities.get(name="users"), erp()
    mapping = published("Into", source, target, INTO)
    sync = services.create_sync(by=by, source=source, target=target, name="Into", mapping=mapping, mode="full", compare_first=compare_first)
    run_now(sync)
    user, *others = sandbox.crm.records("users")
    for record in (user, others[0]):
        sandbox.crm.change("users", record["id"], full_name=f"Ours {record['id']}")
    (key,) = (key for key, record in service.sets["Customers"].items() if record["Email"] == user["email"])
    mark = write.mark_sending

    def changed_by_somebody_else(*args):
        monkeypatch.setattr(write, "mark_sending", mark)
        service.sets["Customers"][key]["Name"] = "Theirs"
        service.touch("Customers", key)
        mark(*args)

    monkeypatch.setattr(write, "mark_sending", changed_by_somebody_else)
    run = run_now(sync)

    assert service.sets["Customers"][key]["Name"] == "Theirs"
    assert (run.state, run.counts["updated"], run.counts["refused"], run.balanced) == ("with_rejects", 1, 1, True)
    assert texts.render(OpenRow.objects.open().get().reason).startswith("ERP has changed the record since it was looked up")

    again = run_now(sync)

    assert service.sets["Customers"][key]["Name"] == f"Ours {user['id']}"
    assert (again.state, again.counts["updated"], again.balanced) == ("succeeded", 1, True)
    assert not OpenRow.objects.open().exists()
