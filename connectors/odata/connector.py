"""The connector for OData services."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import polars as pl
from pydantic import BaseModel

from connectors.base import BadAnswer, Changes, Connector, Cursor, Entity, Host, Outcome, Page, Position, SettingsError, Text, _
from connectors.odata import services
from connectors.odata.csdl import Service
from connectors.odata.delta import Following
from connectors.odata.entitysets import EntitySet, entity_set, entity_sets
from connectors.odata.looking_up import LookingUp
from connectors.odata.reading import Reading
from connectors.odata.settings import ODataSettings
from connectors.odata.writing import Writing
from connectors.rest.auth import credentials_of
from connectors.rest.client import Client
from connectors.rest.consent import AsksPerson

UNCOUNTED = (404, 405, 501)  # of a service that has records but no $count


class ODataConnector(AsksPerson, Connector):
    """Speaks OData over HTTP. Any thread may call, one call at a time. A reading holds nothing between its pages."""

    kind: ClassVar[str] = "odata"
    title: ClassVar[str] = _("OData")
    description: ClassVar[str] = _("Services of OData 4, for reading and writing, and of OData 2, for reading.")
    keeps_versions: ClassVar[bool] = True
    Settings: ClassVar[type[BaseModel]] = ODataSettings

    def __init__(self, settings: BaseModel, host: Host) -> None:
        if not isinstance(settings, ODataSettings):
            raise TypeError("ODataConnector takes ODataSettings")
        super().__init__(settings, host)
        self.odata = settings
        self.auth, self.client = settings.auth, Client(settings.http, host, credentials_of(settings.auth))
        self._places: dict[str, EntitySet] = {}

    @classmethod
    def advice(cls, settings: BaseModel) -> list[Text]:
        """What may be missed while pages are skipped to, and what cannot be changed under a key that is not its own."""
        if not isinstance(settings, ODataSettings):
            raise TypeError("ODataConnector takes ODataSettings")
        skipped = _("Pages are skipped to: a record that is created or deleted while a list is read moves others, which that run then misses.")
        foreign = _("{entity}: Under a key that is not its own, records are read and created, but neither changed nor deleted.")
        return [
            *([Text(skipped)] if settings.lists.paging == "skip" else []),
            *(Text(foreign, {"entity": each.label or each.name}) for each in settings.entities if each.key),
        ]

    def close(self) -> None:
        self.client.close()

    def check(self) -> Text:
        answer = self.client.run(self.client.ask(self.client.call("GET", "/")))
        if not any(isinstance(answer.value(path), list) for path in ("value", "d.EntitySets")):
            raise BadAnswer(
                _("{system} answered {place}, but not with the list of an OData service. Enter the address that $metadata stands behind."),
                system=self.host.system,
                place=answer.place,
            )
        return Text(
            _("{system} answered in {milliseconds} ms."), {"system": self.host.system, "milliseconds": round(self.client.last_seconds * 1000)}
        )

    def discover(self) -> list[Entity]:
        service = services.asked(self.client, self.odata)
        return [place.entity() for place in entity_sets(service, self.odata, self.host.system)]

    def count(self, entity: Entity) -> int | None:
        place = self._place(entity)
        if not place.can.count:
            return None
        call = self.client.call("GET", f"{place.path}/$count", headers={**place.headers, "Accept": "text/plain"})
        answer = self.client.run(self.client.ask_or_miss(call, UNCOUNTED))
        if answer is None:
            return None
        text = answer.text().strip()
        if not (text.isascii() and text.isdecimal()):
            raise BadAnswer(_("{system} answered {place} without a number."), system=self.host.system, place=answer.place)
        return int(text[:18])

    def read(
        self,
        entity: Entity,
        since: Cursor | None = None,
        *,
        position: Position | None = None,
        until: str | None = None,
        fields: Sequence[str] | None = None,
        keys_only: bool = False,
    ) -> Iterator[Page]:
        place, lists = self._place(entity), self.odata.lists
        if place.can.own_cursor:
            yield from Following(self.client, place, lists, entity, since=since, fields=fields, keys_only=keys_only).pages(position)
        else:
            reading = Reading(self.client, place, lists, entity, since=since, until=until, fields=fields, keys_only=keys_only)
            yield from reading.pages(position)

    def lookup(self, entity: Entity, by: str, values: Sequence[str], fields: Sequence[str] | None = None) -> pl.DataFrame:
        looking = LookingUp(self.client, self._place(entity), self.odata.lists, entity, by, fields, self.host.versions)
        return self.client.run(looking.all(values))

    def write(self, entity: Entity, changes: Changes) -> Sequence[Outcome]:
        writing = Writing(self.client, self._place(entity), self.odata, entity, changes, self.host.versions)
        return self.client.run(writing.send_all())

    def _place(self, entity: Entity) -> EntitySet:
        if entity.name not in self._places:
            found = entity_set(self._service(), self.odata, self.host.system, entity.name)
            if found is None:
                raise SettingsError(
                    _("{system} has no entity set {entity}, or none that can be listed."), system=self.host.system, entity=entity.name
                )
            self._places[entity.name] = found
        return self._places[entity.name]

    def _service(self) -> Service:
        return services.known(self.odata) or services.asked(self.client, self.odata)
