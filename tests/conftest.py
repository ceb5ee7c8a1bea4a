"""The fixed cast and the switches all tests share. A folder's own fixtures lie in its conftest.py."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

# Before Django reads its settings: a data folder of this run's own, and no broker but where a test starts one.
_folder = Path(tempfile.mkdtemp(prefix="hub-test-"))
atexit.register(shutil.rmtree, _folder, ignore_errors=True)
(_folder / "static").mkdir()
os.environ["HUB_TESTING"] = "1"
os.environ["DATA_DIR"] = str(_folder)
os.environ.setdefault("BROKER_URL", "memory://")
os.environ.setdefault("SECRET_KEY", "test-" + "x" * 50)
os.environ.setdefault("CREDENTIAL_KEYS", "k1:dGVzdC10ZXN0LXRlc3QtdGVzdC10ZXN0LXRlc3QtMTI")
os.environ.setdefault("ALLOWED_NETWORKS", "127.0.0.0/8")  # the systems that tests speak to run on this machine
# Named here and not in pyproject.toml, from which it would be loaded before this file.
os.environ["DJANGO_SETTINGS_MODULE"] = "integration_hub.settings"

import django
import hypothesis
import pytest
from django.db import connection

django.setup()
hypothesis.settings.register_profile("any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("any machine")  # how long an example takes says more of what else runs than of what is tested

from integration_hub.accounts.actor import Actor
from integration_hub.accounts.roles import Role
from tests import brokers, services


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes():
    """So that each worker has a data folder of its own: it would read the settings, with this process's folder, before it comes to this file."""
    del os.environ["DJANGO_SETTINGS_MODULE"]


def pytest_addoption(parser):
    parser.addoption("--only-database", action="store_true", help="run only the tests that use the database (for a second database)")


LONG = (  # they start whole hubs, and mostly wait, or go through many steps
    "tests/faults/", "tests/test_start.py", "tests/test_install.py", "tests/core/test_takeup.py", "tests/syncs/test_machine.py",
)  # fmt: skip


def pytest_collection_modifyitems(config, items):
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))  # first, while other processes have something else to do
    if config.getoption("--only-database"):
        using = [
            item for item in items if item.get_closest_marker("django_db") or {"db", "transactional_db"} & set(getattr(item, "fixturenames", ()))
        ]
        config.hook.pytest_deselected(items=[item for item in items if item not in set(using)])
        items[:] = using


def pytest_runtest_setup(item):
    for marker in item.iter_markers("service"):
        for name in marker.args:
            services.require(name)


@pytest.fixture(scope="session", autouse=True)
def _quick_database():
    """PostgreSQL makes the files of all tables anew to empty them, over half a second behind each test; to delete what the test has left takes a
    thousandth of that."""
    if connection.vendor != "postgresql":
        yield
        return

    def emptied(_self, _style, tables, **_options):
        return ["; ".join(f"DELETE FROM {connection.ops.quote_name(table)}" for table in tables)] if tables else []

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(connection.ops), "sql_flush", emptied)
        yield


@pytest.fixture(scope="session", autouse=True)
def _own_queues():
    with brokers.own_queues():
        yield


@pytest.fixture
def person(django_user_model):
    """A function that makes a signed-up person with a role: person("operator")."""

    def make(role: str, **more):
        name = more.pop("username", role)
        return django_user_model.objects.create_user(name, f"{name}@example.com", "correct horse battery", role=role, is_staff=True, **more)

    return make


def _cast(role: Role):
    @pytest.fixture(name=role.value)
    def member(person):
        return Actor.of(person(role.value))

    return member


administrator, integrator, operator, approver, auditor, viewer = map(_cast, Role)


@pytest.fixture
def hub():
    return Actor.hub()


@pytest.fixture
def api():
    """A function that gives a client with a token of this actor: api(operator).get("/api/v1/systems/"); without an actor, a stranger's."""
    from django.test import Client

    from integration_hub.accounts import services
    from integration_hub.accounts.roles import PERMISSIONS

    def client(actor=None, scopes=None):
        if actor is None:
            return Client()
        allowed = [name for name in PERMISSIONS if actor.allows(name)]
        _token, key = services.create_token(name="tests", scopes=scopes or allowed, by=actor)
        return Client(headers={"Authorization": f"Bearer {key}"})

    return client


@pytest.fixture
def memory(monkeypatch):
    """The connector "memory" of fakes.py is installed, and its systems are as new."""
    from connectors import registry
    from tests.fakes import MemoryConnector

    monkeypatch.setitem(registry.BUILT_IN, "memory", "tests.fakes:MemoryConnector")
    registry.kinds.cache_clear()
    registry.connector_class.cache_clear()
    MemoryConnector.stores.clear()
    yield MemoryConnector
    registry.kinds.cache_clear()
    registry.connector_class.cache_clear()


@pytest.fixture
def make_system(memory):
    """A function that makes a registered system of kind memory, past the services: make_system("CRM", requests_per_second=5)."""
    from integration_hub.systems.models import System

    def make(name="CRM", **more):
        more.setdefault("settings", {"address": name.lower()})
        return System.objects.create(name=name, slug=name.lower(), connector="memory", **more)

    return make
