"""The connector for any JSON-over-HTTP API, by configuration alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import polars as pl
from pydantic import BaseModel

from connectors.base import BadAnswer, Changes, Connector, Cursor, Entity, Host, Outcome, Page, Position, SettingsError, Text, _
from connectors.rest.answers import ABSENT, Answer
from connectors.rest.auth import credentials_of
from connectors.rest.client import Client
from connectors.rest.consent import AsksPerson
from connectors.rest.discovery import discovered, entity_of, fields_of
from connectors.rest.looking_up import looked_up
from connectors.rest.reading import Reading
from connectors.rest.settings import EntitySettings, RestSettings
from connectors.rest.templates import as_text
from connectors.rest.writing import Writing


class RestConnector(AsksPerson, Connector):
    """Speaks JSON over HTTP. Any thread may call, one call at a time: a second one waits for the first. A reading holds nothing between its pages."""

    kind: ClassVar[str] = "rest"
    title: ClassVar[str] = _("REST API")
    description: ClassVar[str] = _("Any system that speaks JSON over HTTP.")
    Settings: ClassVar[type[BaseModel]] = RestSettings

    def __init__(self, settings: BaseModel, host: Host) -> None:
        if not isinstance(settings, RestSettings):
            raise TypeError("RestConnector takes RestSettings")
        super().__init__(settings, host)
        self.rest = settings
        self.auth, self.client = settings.auth, Client(settings, host, credentials_of(settings.auth))

    @classmethod
    def declared(cls, settings: BaseModel, *, system: str) -> list[Entity]:
        if not isinstance(settings, RestSettings):
            raise TypeError("RestConnector takes RestSettings")
        return [entity_of(each, fields_of(each), settings, system=system) for each in settings.entities if each.fields and not each.learn_fields]

    @classmethod
    def advice(cls, settings: BaseModel) -> list[Text]:
        """Which creates cannot be linked, since no answer tells the key of what was made."""
        if not isinstance(settings, RestSettings):
            raise TypeError("RestConnector takes RestSettings")
        told = _(
            "{entity}: Create names neither a key path nor a record path, so the hub does not learn the key of a new record. It waits as unknown."
        )
        return [
            Text(told, {"entity": each.label or each.name})
            for each in settings.entities
            if each.create is not None and not each.create.key_path and each.create.record_path is None
        ]

    def close(self) -> None:
        self.client.close()

    def check(self) -> Text:
        answer = self.client.run(self._checked())
        names = {"system": self.host.system, "milliseconds": round(self.client.last_seconds * 1000)}
        who = answer.value(self.rest.identity_path) if self.rest.identity_path else ABSENT
        if who is not ABSENT and who is not None:
            return Text(_("{system} answered in {milliseconds} ms. We are {who} there."), {**names, "who": self.client.veil.hide(as_text(who))[:200]})
        return Text(_("{system} answered in {milliseconds} ms."), names)

    async def _checked(self) -> Answer:
        if self.rest.check_path or not self.rest.entities:
            answer = await self.client.ask(self.client.call("GET", self.rest.check_path))
        else:
            answer = await Reading.first_answer(self.client, self.rest.entities[0])
        answer.tree()  # a sign-in page with status 200 is no proof
        return answer

    def discover(self) -> list[Entity]:
        return [discovered(self.client, declared) for declared in self.rest.entities]

    def count(self, entity: Entity) -> int | None:
        declared = self._declared(entity)
        rule = declared.list.count
        if rule is None:
            return None
        call = self.client.call("GET", rule.path or declared.list.path, query={**declared.list.query, **rule.query})
        answer = self.client.run(self.client.ask(call))
        value = answer.headers.get(rule.header) if rule.header else answer.value(rule.total_path)
        try:
            return int(value)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            raise BadAnswer(
                _("{system} answered {place} without a count of {entity}. Correct it under Count."),
                system=self.host.system,
                place=answer.place,
                entity=entity.name,
            ) from None

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
        reading = Reading(self.client, self._declared(entity), entity, since=since, until=until, fields=fields, keys_only=keys_only)
        return reading.pages(position)

    def lookup(self, entity: Entity, by: str, values: Sequence[str], fields: Sequence[str] | None = None) -> pl.DataFrame:
        return looked_up(self.client, self._declared(entity), entity, by, values, fields)

    def write(self, entity: Entity, changes: Changes) -> Sequence[Outcome]:
        writing = Writing(self.client, self._declared(entity), entity, changes)
        return self.client.run(writing.send_all())

    def _declared(self, entity: Entity) -> EntitySettings:
        declared = self.rest.entity(entity.name)
        if declared is None:
            raise SettingsError(_("{system} has no entity {entity} in its settings."), system=self.host.system, entity=entity.name)
        return declared
