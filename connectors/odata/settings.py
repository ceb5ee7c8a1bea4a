"""What an administrator fills in for an OData service. What it holds is told by the service itself."""

from __future__ import annotations

from typing import Literal
from zoneinfo import available_timezones

from pydantic import Field, field_validator, model_validator

from connectors.base import _, refused
from connectors.forms import Form
from connectors.rest import settings as rest
from connectors.rest.settings import Auth, BaseAddress, Connection, NoAuth


class Lists(Form):
    """How lists are read."""

    page_size: int = Field(1000, title="Page size", description="Records asked for in one answer; the service may send fewer.", ge=1, le=10_000)
    paging: Literal["next_link", "skip"] = Field(
        "next_link",
        title="Pages",
        description="next_link: the service leads from page to page. skip: for one that would send all at once; $top and $skip are asked for.",
    )
    values_per_request: int = Field(20, title="Values per lookup", description="Records looked up by one request.", ge=1, le=1000)


class Batches(Form):
    """How many records are written by one request."""

    format: Literal["none", "json", "multipart"] = Field(
        "none",
        title="Format",
        description="none: one request a record. json: $batch as of OData 4.01. multipart: $batch of older services.",
    )
    size: int = Field(100, title="Size", description="Records in one $batch.", ge=1, le=1000)


class Answers(Form):
    """How much is taken."""

    max_bytes: int = Field(64 * 1024 * 1024, title="Largest answer", description="Bytes. A larger one is refused.", ge=1024)
    max_field_bytes: int = Field(1024 * 1024, title="Largest value", description="Bytes of one value. A record with a larger one is rejected.", ge=64)


class EntitySettings(Form):
    name: str = Field(title="Name", description="Of the entity set, such as Customers.", min_length=1)
    label: str = Field("", title="Label", description="As people call it.")
    key: tuple[str, ...] = Field(
        (), title="Key", description="Properties that identify a record. Empty: its own key. By others it can be read and created, not changed."
    )
    cursor_field: str = Field(
        "", title="Cursor field", description="Property that rises whenever a record changes. Empty: one named like ModifiedOn, if there is one."
    )
    incremental: bool = Field(True, title="Can be read by changes", description="No: no property tells what changed, whatever it is called.")
    delta: bool = Field(
        False,
        title="Follow by delta links",
        description="The service keeps track of changes and deletions (odata.track-changes) and tells them behind a link, instead of by a property.",
    )
    create_by_key: bool = Field(
        False, title="Create by key", description="The records bring their key, and a PATCH to it creates what is not there yet (an upsert)."
    )
    stable_order: bool = Field(False, title="Order is stable", description="Records changed while we read are neither missed nor seen twice.")


class ODataSettings(Form):
    base_url: BaseAddress = Field(
        title="Address",
        description="Of the service: the one that $metadata stands behind.",
        examples=["https://erp.example.com/odata/v4/sales"],
    )
    auth: Auth = Field(NoAuth(), title="Authentication", description="How we prove who we are.")
    zone: str = Field("UTC", title="Time zone", description="Of times that name none (Edm.DateTime of OData 2), such as Asia/Shanghai.")
    repeatable: bool = Field(
        False, title="Repeatable requests", description="The service heeds Repeatability-Request-ID: a write that arrives twice takes effect once."
    )
    lists: Lists = Field(Lists(), title="Lists", description="How lists are read.")
    batches: Batches = Field(Batches(), title="Batches", description="How many records are written by one request.")
    entities: tuple[EntitySettings, ...] = Field((), title="Entities", description="Only the entity sets that need something said about them.")
    answers: Answers = Field(Answers(), title="Answers", description="How much is taken.")
    connection: Connection = Field(Connection(), title="Connection", description="Time-outs, certificates, proxy.")

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise refused(_("There is no such time zone; write it like Europe/Vienna."))
        return value

    @model_validator(mode="after")
    def _entities_once(self) -> ODataSettings:
        names = [e.name for e in self.entities]
        if twice := {n for n in names if names.count(n) > 1}:
            raise refused(_("The entity {entity} is declared twice."), entity=min(twice))
        return self

    def entity(self, name: str) -> EntitySettings:
        return next((e for e in self.entities if e.name == name), EntitySettings(name=name))

    @property
    def http(self) -> rest.RestSettings:
        """As a client over HTTP takes them: errors stand where the standard says (OData JSON Format 4.01, section 21.1)."""
        return rest.RestSettings(
            base_url=self.base_url,
            auth=self.auth,
            connection=self.connection,
            answers=rest.Answers(code_path="error.code", **self.answers.model_dump()),
        )
