"""Two systems of the sandbox, the OA's users mapped to the CRM's, and a way to run a sync here and now, as a worker would."""

import re
import time
from datetime import timedelta

import pytest
import yaml
from django.core.cache import cache
from django.utils import timezone

from integration_hub.accounts.actor import Actor
from integration_hub.blueprints import demo as blueprint
from integration_hub.mappings.models import Mapping, MappingVersion
from integration_hub.syncs import carrying, services, stages
from integration_hub.syncs.models import Partition, Run
from integration_hub.systems import services as systems
from integration_hub.systems.models import Circuit
from sandbox.testing import running
from tests import demo


@pytest.fixture(scope="session")
def sandbox_server():
    with running() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(sandbox_server):
    sandbox_server.control("reset")
    return sandbox_server


FAST = {"total_seconds": 2, "read_seconds": 2}


def users_settings(system: str, url: str) -> dict:
    """Those of one of the demo's systems, with its users alone, in pages of fifty, and quick to give up."""
    whole = demo.systems(url)[system]
    (users,) = (entity for entity in whole["entities"] if entity["name"] == "users")
    users["list"]["pagination"]["size"] = 50
    return {**whole, "connection": FAST, "entities": [users]}


@pytest.fixture
def by():
    return Actor.hub()


@pytest.fixture
def oa(db, sandbox, by):
    return registered("OA", users_settings("OA", sandbox.url), by)


@pytest.fixture
def crm(db, sandbox, by):
    return registered("CRM", users_settings("CRM", sandbox.url), by)


def registered(name, settings, by, *, connector="rest", **options):
    cache.clear()  # the samples of an entity of before, which had the same number
    system = systems.register_system(name=name, connector=connector, settings=settings, by=by, **options)
    systems.discover_entities(system, by=by)
    systems.select_entities(system, [e.name for e in system.entities.all()], by=by)
    return system


USERS_TO_USERS = {
    "fields": [
        {"target": "employee_id", "source": "userId"},
        {"target": "full_name", "source": "name", "steps": [{"transform": "trim"}], "required": True},
        {
            "target": "email",
            "source": "email",
            "steps": [{"transform": "trim"}, {"transform": "lower"}],
            "required": True,
            "pattern": "[^@ ]+@[^@ ]+",
        },
    ],
    "match": [["employee_id"], ["email"]],
}


def published(name, source, target, definition):
    mapping = Mapping.objects.create(name=name, source=source, target=target, draft=definition)
    MappingVersion.objects.create(
        mapping=mapping, number=1, definition=definition, source_schema=source.schema, target_schema=target.schema, published_by="test"
    )
    return mapping


@pytest.fixture
def users_sync(oa, crm, by):
    source, target = oa.entities.get(name="users"), crm.entities.get(name="users")
    mapping = published("Users", source, target, USERS_TO_USERS)
    return services.create_sync(by=by, source=source, target=target, name="Users of OA → Users of CRM", mapping=mapping, mode="incremental")


def finish(run, *, seconds=150.0):
    """Carry a run to its end as workers and sweep would, skipping the waits between tries."""
    ends = time.monotonic() + seconds
    while True:
        run.refresh_from_db()
        if run.ended_at is not None:
            return run
        assert time.monotonic() < ends, f"run is still {run.state}: {list(run.log.values_list('text', flat=True))}"
        for pk in Partition.objects.filter(run=run).values_list("pk", flat=True):
            Partition.objects.filter(pk=pk, not_before__gt=timezone.now(), state="waiting").update(not_before=None)
            Circuit.objects.filter(open_until__gt=timezone.now()).update(open_until=timezone.now())
            carrying.carry_partition(pk)
        stages.advance(run.pk)


def ended(sync, state, *, hours=0.0, seconds=3, **more):
    """A run of the sync's past."""
    at = timezone.now() - timedelta(hours=hours)
    more = {"mode": "full", "counts": dict.fromkeys(("read", "produced", "unchanged"), 5), "balanced": True, "dry": False} | more
    more = {"trigger": "schedule", "started_at": at, "ended_at": at + timedelta(seconds=seconds)} | more
    run = Run.objects.create(
        sync=sync, pair=sync.pair, name=sync.name, direction=sync.direction, mapping_version=sync.mapping.latest,
        actor_kind="schedule", actor_name="Schedule", state=state, **more,
    )  # fmt: skip
    Run.objects.filter(pk=run.pk).update(made_at=at)
    return run


@pytest.fixture
def run_now(by):
    def run(sync, **options) -> Run:
        return finish(services.start_run(sync, by=by, **options))

    return run


@pytest.fixture
def few(sandbox, oa, crm):
    """Eighty good users in the OA, five of them in the CRM already."""
    sandbox.oa.has(user=80)
    sandbox.crm.has(users=5)
    return sandbox


@pytest.fixture
def full(few, users_sync, run_now, by):
    """A full sync of eighty users that has run once and deletes what is deleted."""
    sync = services.change_sync(users_sync, by=by, mode="full", deletes="delete")
    assert run_now(sync).state == "succeeded"
    return sync


TARGETS = {
    "OA users → CRM users": ("crm", "oa", {"user": 60}, "users"),
    "CRM accounts → ERP customers": ("erp", "crm", {"accounts": 60}, "customers"),
    "ERP sales orders → MRP production orders": ("mrp", "erp", {"sales_orders": 60}, "production-orders"),
    "CRM contacts → Marketing subscribers": ("marketing", "crm", {"contacts": 60}, "subscribers"),
}


@pytest.fixture
def demo_sync(sandbox, db, by):
    """A function that makes one of the demo's syncs with its two systems: demo_sync(name)."""
    return demo_sync_at(sandbox.url, by)


def demo_sync_at(url, by):
    """The same with the sandbox at this address."""
    text = re.sub(r"\$\{ENV:(\w+)\}", lambda found: {**blueprint.SECRETS, "SANDBOX_URL": url}[found[1]], blueprint.FILE.read_text())
    file = yaml.safe_load(text)

    def make(name):
        mapping = file["mappings"][file["syncs"][name]["mapping"]]
        sides = []
        for side in ("source", "target"):
            system, __, entity = mapping[side].partition("/")
            settings = file["systems"][system]["settings"]
            sides.append(registered(system, {**settings, "connection": {**settings.get("connection", {}), **FAST}}, by).entities.get(name=entity))
        made = published(name, *sides, {key: mapping[key] for key in ("fields", "match")})
        return services.create_sync(by=by, source=sides[0], target=sides[1], name=name, mapping=made, mode="incremental")

    return make


@pytest.fixture
def spoilt(sandbox, demo_sync):
    def prepare(name):
        target, source, counts, entity = TARGETS[name]
        sandbox.system(source).has(**counts)
        sandbox.system(target).has(**{entity.replace("-", "_"): 5})
        sync = demo_sync(name)
        return sync, sandbox.system(target), entity

    return prepare
