from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from connectors import registry
from connectors.base import Connector
from connectors.rest import RestConnector


@pytest.fixture(autouse=True)
def fresh():
    registry.kinds.cache_clear()
    registry.connector_class.cache_clear()
    yield
    registry.kinds.cache_clear()
    registry.connector_class.cache_clear()


def installed(monkeypatch, **points: str) -> None:
    monkeypatch.setattr(registry, "entry_points", lambda group: [EntryPoint(name, value, group) for name, value in points.items()])


class Acme(RestConnector):
    kind = "acme"


def test_the_built_in_kinds_are_there():
    assert registry.connector_class("rest") is RestConnector


def test_an_installed_package_adds_a_kind(monkeypatch):
    installed(monkeypatch, acme=f"{__name__}:Acme")

    assert list(registry.kinds()) == ["acme", "files", "odata", "rest", "sql"]
    assert registry.connector_class("acme") is Acme


def test_no_name_is_given_twice(monkeypatch):
    installed(monkeypatch, rest="acme.rest:Connector")

    with pytest.raises(registry.TwoConnectors, match=r"Two connectors are called rest: connectors\.rest:RestConnector and acme\.rest:Connector"):
        registry.kinds()


def test_an_unknown_kind_is_told_with_those_there_are():
    with pytest.raises(registry.UnknownConnector, match=r"no connector “sap”\. Installed are: files, odata, rest"):
        registry.connector_class("sap")


def test_what_is_installed_must_be_a_connector(monkeypatch):
    installed(monkeypatch, thing="json:JSONDecoder", other=f"{__name__}:Acme")

    with pytest.raises(TypeError, match=r"is no connectors\.base\.Connector"):
        registry.connector_class("thing")
    with pytest.raises(TypeError, match="calls itself “acme” but is installed as “other”"):
        registry.connector_class("other")


def test_every_kind_is_a_connector():
    assert all(issubclass(registry.connector_class(kind), Connector) for kind in registry.kinds())
