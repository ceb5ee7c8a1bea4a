"""Two systems of the sandbox, the OA's users mapped to the CRM's, and a way to run a sync here and now, as a worker would."""

import time

import pytest
from django.utils import timezone

from integration_hub.accounts.actor import Actor
from integration_hub.mappings.models import Mapping, MappingVersion
from integration_hub.syncs import carrying, services, stages
from integration_hub.syncs.models import Partition, Run
from integration_hub.systems import services as systems
from integration_hub.systems.models import Circuit
from sandbox.testing import running


@pytest.fixture(scope="session")
def sandbox_server():
    with running() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(sandbox_server):
    sandbox_server.control("reset")
    return sandbox_server


FAST = {"total_seconds": 2, "read_seconds": 2}


def oa_settings(url: str) -> dict:
    return {
        "base_url": f"{url}/oa",
        "connection": FAST,
        "auth": {
            "type": "token_call",
            "method": "POST",
            "path": "/gettoken",
            "body": {"appkey": "{appkey}", "appsecret": "{appsecret}"},
            "values": {"appkey": "hub", "appsecret": "oa-demo-secret"},
            "expires_path": "expires_in",
            "send_in": "query",
            "name": "access_token",
        },
        "answers": {
            "success_path": "errcode",
            "success_values": ["0"],
            "error_path": "errmsg",
            "expired_codes": ["40014", "42001"],
            "wait_codes": ["45009"],
            "missing_codes": ["60121"],
        },
        "formats": {"datetime": "%Y-%m-%d %H:%M:%S", "zone": "Asia/Shanghai"},
        "entities": [
            {
                "name": "users",
                "label": "Users",
                "key": ["userId"],
                "cursor_field": "modifiedTime",
                "fields": [
                    {"name": "userId", "read_only": True},
                    {"name": "name", "required": True, "max_length": 40},
                    {"name": "email"},
                    {"name": "mobile"},
                    {"name": "status", "type": "integer"},
                    {"name": "hireDate", "type": "date"},
                    {"name": "modifiedTime", "type": "datetime", "read_only": True},
                ],
                "list": {
                    "path": "/api/user/list",
                    "record_path": "result.list",
                    "pagination": {"type": "page", "parameter": "pageNo", "size_parameter": "pageSize", "size": 50, "more_path": "result.hasMore"},
                    "changed_since": {"parameter": "modifiedSince"},
                    "count": {"path": "/api/user/list", "query": {"pageSize": "1"}, "total_path": "result.totalCount"},
                    "stable_order": True,
                },
                "lookups": [{"by": "#key", "path": "/api/user/get", "query": {"userId": "{value}"}, "record_path": "result"}],
            }
        ],
    }


def crm_settings(url: str) -> dict:
    return {
        "base_url": f"{url}/crm",
        "connection": FAST,
        "auth": {
            "type": "oauth2_client_credentials",
            "token_url": f"{url}/crm/oauth/token",
            "client_id": "hub",
            "client_secret": "crm-demo-secret",
        },
        "check_path": "/v1/me",
        "entities": [
            {
                "name": "users",
                "label": "Users",
                "key": ["id"],
                "cursor_field": "updated_at",
                "fields": [
                    {"name": "id", "read_only": True},
                    {"name": "employee_id", "max_length": 32},
                    {"name": "full_name", "required": True, "max_length": 80},
                    {"name": "email", "required": True, "max_length": 120},
                    {"name": "phone"},
                    {"name": "updated_at", "type": "datetime", "read_only": True},
                ],
                "list": {
                    "path": "/v1/users",
                    "record_path": "data",
                    "pagination": {"type": "cursor", "parameter": "cursor", "path": "next_cursor", "size": 100},
                    "changed_since": {"parameter": "updated_since", "until_parameter": "updated_before"},
                    "count": {"path": "/v1/users/count", "total_path": "count"},
                    "stable_order": True,
                },
                "lookups": [
                    {"by": "#key", "path": "/v1/users", "query": {"id": "{values}"}, "values_per_request": 50},
                    {"by": "email", "path": "/v1/users", "query": {"email": "{values}"}, "values_per_request": 50},
                    {"by": "employee_id", "path": "/v1/users", "query": {"employee_id": "{values}"}, "values_per_request": 50},
                ],
                "create": {"path": "/v1/users", "record_path": ""},
                "update": {"method": "PATCH", "path": "/v1/users/{key}", "record_path": ""},
            }
        ],
    }


@pytest.fixture
def by():
    return Actor.hub()


@pytest.fixture
def oa(db, sandbox, by):
    return registered("OA", oa_settings(sandbox.url), by)


@pytest.fixture
def crm(db, sandbox, by):
    return registered("CRM", crm_settings(sandbox.url), by)


def registered(name, settings, by):
    system = systems.register_system(name=name, connector="rest", settings=settings, by=by)
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
