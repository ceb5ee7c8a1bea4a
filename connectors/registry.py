"""Which kinds of connectors there are: the built-in ones, and those that installed packages offer as entry points `integration_hub.connectors`.

A class is imported when it is first asked for, so that a broken or heavy third-party connector costs nothing to those who do not use it.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points

from connectors.base import Connector

GROUP = "integration_hub.connectors"
BUILT_IN = {
    "files": "connectors.files:FilesConnector",
    "odata": "connectors.odata:ODataConnector",
    "rest": "connectors.rest:RestConnector",
    "sql": "connectors.sql:SqlConnector",
}


class UnknownConnector(LookupError):
    """No connector of this kind is installed."""


class TwoConnectors(RuntimeError):
    """Two packages offer a connector under the same name."""


@cache
def kinds() -> dict[str, str]:
    """Kind → where its class is (`module:Class`), sorted by name. Imports none of them. Raises TwoConnectors."""
    found = dict(BUILT_IN)
    for point in entry_points(group=GROUP):
        if point.name in found and found[point.name] != point.value:
            raise TwoConnectors(f"Two connectors are called {point.name}: {found[point.name]} and {point.value}. Uninstall one of them.")
        found[point.name] = point.value
    return dict(sorted(found.items()))


@cache
def connector_class(kind: str) -> type[Connector]:
    """The class of this kind. Raises UnknownConnector, or TypeError for what is no connector."""
    try:
        place = kinds()[kind]
    except KeyError:
        raise UnknownConnector(f"There is no connector “{kind}”. Installed are: {', '.join(kinds())}.") from None
    loaded = EntryPoint(kind, place, GROUP).load()
    if not (isinstance(loaded, type) and issubclass(loaded, Connector)):
        raise TypeError(f"{place} is no connectors.base.Connector.")
    if loaded.kind != kind:
        raise TypeError(f"{place} calls itself “{loaded.kind}” but is installed as “{kind}”.")
    return loaded
