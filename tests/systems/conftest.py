import pytest
from tests.systems.fakes import MemoryConnector

from connectors import registry
from integration_hub.systems.models import System


@pytest.fixture(autouse=True)
def memory(monkeypatch):
    """The connector "memory" is installed, and its systems are as new."""
    monkeypatch.setitem(registry.BUILT_IN, "memory", "fakes:MemoryConnector")
    registry.kinds.cache_clear()
    registry.connector_class.cache_clear()
    MemoryConnector.stores.clear()
    yield MemoryConnector
    registry.kinds.cache_clear()
    registry.connector_class.cache_clear()


@pytest.fixture
def make_system():
    """A function that makes a registered system of kind memory, past the services: make_system("CRM", requests_per_second=5)."""

    def make(name="CRM", **more):
        more.setdefault("settings", {"address": name.lower()})
        return System.objects.create(name=name, slug=name.lower(), connector="memory", **more)

    return make
