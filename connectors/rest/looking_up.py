"""Finding records by key or by a match field."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import polars as pl

from connectors.base import KEY, BadAnswer, Entity, SettingsError, Unreadable, _
from connectors.canonical import canonical_key, from_canonical, key_parts
from connectors.rest.answers import Answer
from connectors.rest.client import Client, together
from connectors.rest.reading import forms_of
from connectors.rest.records import Decoder, Records
from connectors.rest.settings import EntitySettings, Lookup
from connectors.rest.templates import NO_SEGMENTS, JsonTemplate, TextTemplate, as_text


def looked_up(client: Client, declared: EntitySettings, entity: Entity, by: str, values: Sequence[str], fields: Sequence[str] | None) -> pl.DataFrame:
    return client.run(_Looking(client, declared, entity, by, fields).all(list(dict.fromkeys(values))))


class _Looking:
    def __init__(self, client: Client, declared: EntitySettings, entity: Entity, by: str, fields: Sequence[str] | None) -> None:
        self._client, self._declared, self._entity = client, declared, entity
        self._by = entity.key if by == KEY else (by,)
        self._way = self._find(by)
        self._wanted = [f.name for f in entity.fields if fields is None or f.name in set(fields)]
        read = list(dict.fromkeys([*self._wanted, *self._by]))
        self._forms = forms_of(client, declared, entity, read)
        self._decoder = Decoder(
            list(self._forms.values()), declared.list.columns, declared.list.columns_path, none_is_empty=declared.list.none_is_empty
        )
        self._path = TextTemplate(self._way.path, quoted=True)
        self._record_path = self._way.record_path if self._way.record_path is not None else declared.list.record_path

    def _find(self, by: str) -> Lookup:
        for way in self._declared.lookups:
            if way.by == by or (len(self._entity.key) == 1 and {way.by, by} == {KEY, self._entity.key[0]}):
                return way
        raise SettingsError(
            _("{entity} of {system} cannot be looked up by {field}: there is no lookup for it in its settings."),
            system=self._client.host.system,
            entity=self._entity.name,
            field=by,
        )

    async def all(self, values: list[str]) -> pl.DataFrame:
        size = self._way.values_per_request
        written = [(value, form) for value in values if (form := self._written(value)) is not None]
        portions = iter([dict(written[i : i + size]) for i in range(0, len(written), size)])
        found: list[pl.DataFrame] = []

        async def lane() -> None:
            for portion in portions:
                frame = await self._one(portion)
                found.extend([] if frame is None else [frame])

        await together(lane() for _number in range(min(self._client.settings.connection.in_flight, len(values))))
        empty = pl.DataFrame(schema=self._entity.frame_schema(self._wanted))
        return pl.concat([empty, *found]) if found else empty

    async def _one(self, portion: dict[str, list[Any]]) -> pl.DataFrame | None:
        """One request for these values, each with its parts as the system writes them."""
        way, known = self._way, self._placeholders(list(portion.values()))

        def lookup(name: str) -> Any:
            if name not in known:
                raise SettingsError(
                    _("A lookup of {entity} in {system} uses {name}, which is no known placeholder."),
                    system=self._client.host.system,
                    entity=self._entity.name,
                    name="{" + name + "}",
                )
            return known[name]

        body = JsonTemplate(way.body).fill(lookup) if way.body is not None else None
        query = {n: TextTemplate(v).fill(lookup) for n, v in way.query.items()}
        headers = {n: TextTemplate(v).fill(lookup) for n, v in way.headers.items()}
        call = self._client.call(way.method, self._path.fill(lookup), query=query, headers=headers, body=body)
        answer = await self._client.ask_or_miss(call, way.missing_statuses)
        if answer is None:
            return None
        records = self._decoder.decode(answer, self._record_path, single=True)
        check_found(records, portion, self._by, answer)
        check_fit(records, answer)
        return records.frame.select(self._wanted)

    def _placeholders(self, written: list[list[Any]]) -> dict[str, Any]:
        known: dict[str, Any] = {"values": self._way.separator.join(as_text(w[0]) for w in written), "list": [w[0] for w in written]}
        if len(written) == 1:
            known |= {"value": written[0][0], "key": written[0][0], **dict(zip(self._by, written[0], strict=True))}
        return known

    def _written(self, value: str) -> list[Any] | None:
        """The parts of a canonical text as the system writes them; None for a text that is no value of this field or cannot stand in the lookup's path,
        and so no record's."""
        try:
            parts = key_parts(value, len(self._by))
            written = [self._forms[n].write(from_canonical(p, self._forms[n].field.type)) for n, p in zip(self._by, parts, strict=True)]
        except (ValueError, KeyError, ArithmeticError):
            return None
        return None if self._path.names and any(part in NO_SEGMENTS for part in written) else written


def check_found(records: Records, asked: Iterable[str], by: Sequence[str], answer: Answer) -> None:
    """Raise BadAnswer for records that were not looked up: a system that ignores the parameter answers with anything, and then "not found" would make
    twins. `asked` are the canonical texts of `by`.
    """
    wanted = {value.strip().casefold() for value in asked}
    for row in records.frame.select(by).iter_rows():
        if all(part is not None for part in row) and canonical_key(row).strip().casefold() in wanted:
            continue
        raise BadAnswer(
            _("{system} answered {place} with records other than those looked up by {field}. Check the lookup's parameters in its settings."),
            field=", ".join(by),
            system=answer.system,
            place=answer.place,
        )


def check_fit(records: Records, answer: Answer) -> None:
    """Raise Unreadable for a record that cannot be read: nobody could compare with it."""
    for misfit in records.misfits[:1]:
        raise Unreadable(
            _("{system} answered {place} with a record whose {field} {reason}."),
            system=answer.system,
            place=answer.place,
            field=misfit.field,
            reason=misfit.reason,
        )
