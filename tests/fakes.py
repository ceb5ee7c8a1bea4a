"""A connector whose systems live in this process's memory, for tests of what lies above connectors. Orders to it are plain attributes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import polars as pl
from pydantic import BaseModel, Field

from connectors import base
from connectors.base import Capabilities, Connector, Entity, FieldType, Page, SettingsError, SystemDown, Text

Secret = Annotated[str, Field(json_schema_extra={"secret": True}, repr=False)]


class NoAuth(BaseModel, extra="forbid"):
    type: Literal["none"] = "none"


class Password(BaseModel, extra="forbid"):
    type: Literal["password"] = "password"
    user: str = Field(title="User")
    password: Secret = Field(title="Password")


class Header(BaseModel, extra="forbid"):
    name: str = Field(title="Name")
    value: Secret = Field("", title="Value")


class MemorySettings(BaseModel, extra="forbid"):
    address: str = Field(title="Address", description="Any name; systems with the same one share their records.", min_length=1)
    auth: Annotated[NoAuth | Password, Field(discriminator="type")] = Field(NoAuth(), title="Authentication")
    headers: tuple[Header, ...] = Field((), title="Headers")
    page_size: int = Field(100, title="Page size", ge=1, le=1000)
    strict: bool = Field(False, title="Strict")


CONTACTS = Entity(
    name="contacts",
    label="Contacts",
    key=("id",),
    fields=(
        base.Field(name="id", type=FieldType.INTEGER, read_only=True),
        base.Field(name="name", label="Name", required=True, max_length=100),
        base.Field(name="vip", type=FieldType.BOOLEAN),
    ),
    capabilities=Capabilities(create=True, update=True, count=True),
)


class Store:
    """What one address holds, and how it behaves."""

    def __init__(self) -> None:
        self.records: dict[str, list[dict[str, object]]] = {
            "contacts": [{"id": 1, "name": "Ada", "vip": True}, {"id": 2, "name": "李雷", "vip": None}]
        }
        self.entities = [CONTACTS]
        self.is_down = False
        self.password = "open sesame"
        self.requests = 0


class MemoryConnector(Connector):
    kind = "memory"
    title = "Memory"
    Settings = MemorySettings
    settings: MemorySettings
    stores: ClassVar[dict[str, Store]] = {}

    @property
    def store(self) -> Store:
        return self.stores.setdefault(self.settings.address, Store())

    def _request(self) -> Store:
        self.host.before_request()
        self.host.permit(1)
        self.store.requests += 1
        self.host.after_request(ok=not self.store.is_down, seconds=0.012)
        if self.store.is_down:
            raise SystemDown("{system} does not answer at {address}.", system=self.host.system, address=self.settings.address)
        if isinstance(self.settings.auth, Password) and self.settings.auth.password != self.store.password:
            raise SettingsError("{system} answered 401 to user {user}.", system=self.host.system, user=self.settings.auth.user)
        return self.store

    def check(self) -> Text:
        self._request()
        return Text("Signed in to {address}.", {"address": self.settings.address})

    def discover(self) -> list[Entity]:
        return list(self._request().entities)

    def count(self, entity: Entity) -> int | None:
        return len(self._request().records.get(entity.name, []))

    def read(self, entity, since=None, *, position=None, until=None, fields=None, keys_only=False):
        rows = self._request().records.get(entity.name, [])
        start = position["start"] if position else 0
        while True:
            end = start + self.settings.page_size
            frame = pl.DataFrame(rows[start:end], schema=entity.frame_schema(fields))
            yield Page(frame, {"start": end} if end < len(rows) else None)
            if end >= len(rows):
                return
            start = end
            self._request()

    def lookup(self, entity: Entity, by: str, values: Sequence[str], fields: Sequence[str] | None = None) -> pl.DataFrame:
        column = entity.key[0] if by == base.KEY else by
        found = [row for row in self._request().records.get(entity.name, []) if str(row.get(column)) in values]
        return pl.DataFrame(found, schema=entity.frame_schema(fields))

    def write(self, entity, changes):
        raise NotImplementedError
