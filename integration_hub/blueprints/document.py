"""What a configuration file may say. The published JSON Schema is made from these models (schema.py)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from connectors import base
from integration_hub.mappings.definition import FieldMapping
from integration_hub.syncs.states import DeletePolicy, LeftFilter

VERSION = 1
EntityName = Annotated[str, Field(min_length=3, pattern="./.", description="System and entity, such as CRM/contacts.")]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FieldPart(base.Field, frozen=True, extra="forbid"):
    pass


class CapabilitiesPart(base.Capabilities, frozen=True, extra="forbid"):
    pass


class SchemaPart(Strict):
    """The fields and abilities of an entity that the system's settings do not describe themselves."""

    label: str = ""
    fields: tuple[FieldPart, ...] = Field(min_length=1)
    key: tuple[str, ...] = Field(min_length=1)
    cursor_field: str | None = None
    capabilities: CapabilitiesPart = CapabilitiesPart()

    def as_schema(self, name: str) -> base.Entity:
        return base.Entity.model_validate({"name": name, **self.model_dump(mode="json")})

    @classmethod
    def of(cls, schema: base.Entity) -> SchemaPart:
        return cls.model_validate(schema.model_dump(mode="json", exclude={"name"}))


class SystemPart(Strict):
    """A system: its connector, the connector's settings with secrets as references, and the entities offered for mappings."""

    connector: str = Field(min_length=1)
    settings: dict[str, Any] = Field(default={}, description="As the connector describes them. Secrets only as references such as ${ENV:CRM_TOKEN}.")
    entities: tuple[str, ...] = Field(default=(), description="Offered for mappings.")
    schemas: dict[str, SchemaPart] = Field(default={}, description="Of entities that the settings do not describe themselves.")
    read_only: bool = Field(default=False, description="Nothing is ever written to this system.")
    check_interval_seconds: int = Field(default=60, ge=10)
    requests_per_second: float | None = Field(default=None, gt=0)
    requests_per_minute: int | None = Field(default=None, gt=0)
    requests_per_day: int | None = Field(default=None, gt=0)
    notes: str = ""


class MappingPart(Strict):
    """A mapping as it is published. A file that says something else publishes a new version."""

    source: EntityName
    target: EntityName
    fields: tuple[FieldMapping, ...] = Field(min_length=1)
    match: tuple[tuple[str, ...], ...] = ()
    note: str = ""


class SyncPart(Strict):
    """A sync. Its mapping says from which entity to which."""

    mapping: str = Field(min_length=1, description="Name of the mapping.")
    group: str = Field(default="", max_length=200, description="Name of the group that it is run and paused with.")
    after: tuple[str, ...] = Field(default=(), description="Names of the syncs that it runs after, when both are due.")
    mode: Literal["full", "incremental"] = "incremental"
    filter: str = Field(default="", description="An expression over the source's fields; only what it is true for is taken.")
    interval_seconds: int | None = Field(default=None, ge=5)
    crontab: str = ""
    time_zone: str = "UTC"
    roster_interval_seconds: int | None = Field(
        default=None, ge=5, description="How often an incremental sync reads the source's keys alone, to see what is gone."
    )
    roster_crontab: str = Field(default="", description="The same by a crontab.")
    reconcile_interval_seconds: int | None = Field(default=None, ge=5, description="How often both systems are compared field by field.")
    reconcile_crontab: str = Field(default="", description="The same, as a crontab in the time zone.")
    lookback_seconds: int = Field(default=60, ge=0)
    compare_first: bool = False
    deletes: DeletePolicy = Field(default=DeletePolicy.IGNORE, description="What becomes of a record that is deleted in the source.")
    mark_field: str = Field(default="", max_length=300, description="Field of the target that marks a deleted record.")
    mark_value: str = Field(default="", max_length=200)
    left_filter: LeftFilter = Field(default=LeftFilter.KEEP, description="What a linked record is that no longer passes the filter.")
    most_creates: int | None = Field(default=None, ge=0, description="A run that would create more asks first.")
    most_creates_percent: int | None = Field(default=None, ge=0, le=30_000, description="The same, as a share of the linked records.")
    most_updates: int | None = Field(default=None, ge=0)
    most_updates_percent: int | None = Field(default=None, ge=0, le=30_000)
    most_deletes: int | None = Field(default=None, ge=0)
    most_deletes_percent: int | None = Field(default=20, ge=0, le=30_000)
    parked_days: int = Field(default=7, ge=1, le=365, description="How long a record waits for another one's link before it becomes a reject.")
    objective_seconds: int | None = Field(default=None, ge=1)
    notes: str = ""
    paused: bool | None = Field(default=None, description="Left out: as it is.")


class Document(Strict):
    """A configuration of Integration Hub."""

    version: Literal[1]
    systems: dict[str, SystemPart] = {}
    mappings: dict[str, MappingPart] = {}
    syncs: dict[str, SyncPart] = {}
