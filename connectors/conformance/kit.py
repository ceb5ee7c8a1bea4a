"""What a connector is prepared with, and the fixtures that all parts of the kit work with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from connectors.base import Connector, Entity, FreeHost, Host
from connectors.conformance.frames import Values


@dataclass
class Prepared:
    """A connector and the system prepared for it. Values are those of a frame: dates as dates, decimals as Decimal."""

    connector: type[Connector]
    settings: Mapping[str, Any]
    entity: str
    count: int  # records the entity holds
    new: Callable[[int], dict[str, Any]] | None = None  # the n-th record that may be created
    changed: Values | None = None  # fields to set in an existing record
    refused: Callable[[], dict[str, Any]] | None = None  # a record that may be created by its looks, but the system refuses it
    cut: Callable[[], None] | None = None  # order: the next write takes effect, but its answer never comes
    misfit: Callable[[], str] | None = None  # put a record into the system whose value does not fit; returns the field's name
    three: Callable[[str], Mapping[str, str]] | None = None  # {"absent" | "null" | "empty": key} of three records, by the given text field
    three_field: str = ""
    is_remote: bool = True  # opens network connections
    secrets: Sequence[str] = ()  # must never show
    at_least: bool = False  # `count` is the least: the system fills itself


class Kit:
    """The fixtures that all parts of the kit work with."""

    @pytest.fixture
    def prepared(self) -> Iterator[Prepared]:
        raise NotImplementedError("Give a fixture “prepared” that yields Prepared(…).")

    @pytest.fixture
    def connect(self, prepared: Prepared) -> Iterator[Callable[..., Connector]]:
        opened: list[Connector] = []

        def make(host: Host | None = None) -> Connector:
            settings = prepared.connector.Settings.model_validate(prepared.settings)
            opened.append(prepared.connector(settings, host or FreeHost("System")))
            return opened[-1]

        yield make
        for connector in opened:
            connector.close()

    @pytest.fixture
    def connector(self, connect: Callable[..., Connector]) -> Connector:
        return connect()

    @pytest.fixture
    def entity(self, connector: Connector, prepared: Prepared) -> Entity:
        found = [e for e in connector.discover() if e.name == prepared.entity]
        assert len(found) == 1, f"discover() names {prepared.entity} {len(found)} times"
        return found[0]
