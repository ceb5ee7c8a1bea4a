"""An entity set as the hub works with it: what the service describes, joined with what the settings say of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, unquote
from zoneinfo import ZoneInfo

from connectors.base import BadAnswer, Capabilities, Entity, SettingsError, _
from connectors.canonical import canonical_key, key_parts
from connectors.odata.columns import RISING, Column, columns_of
from connectors.odata.csdl import LABEL, Listed, Service
from connectors.odata.settings import EntitySettings, ODataSettings
from connectors.rest.answers import ABSENT, Answer
from connectors.rest.client import Client
from connectors.rest.parsing import Unfit
from connectors.rest.records import Decoder, Records
from connectors.rest.values import Form

CHANGE_NAMES = (  # properties that, by their name, rise with each change
    "modifiedon", "modifiedat", "modifieddate", "modifieddatetime", "lastmodified", "lastmodifieddate", "lastmodifieddatetime",
    "lastmodifiedat", "lastmodifiedon", "lastchangedatetime", "lastchangedat", "lastchangedon", "lastchangedate", "lastupdated", "updatedat",
    "updatedon", "updateddate", "changedat", "changedon", "changedatetime", "systemmodifiedat", "systemmodstamp", "rowversion",
)  # fmt: skip
LONGEST_SELECT = 800  # characters: with a filter, an address of less than the 2048 that some servers take
SAFE = "$'(),:*/@="  # of a query option's value
SAFE_IN_KEY = "$'(),:*@="
LITERAL = re.compile(r"(?:(\w+)=)?((?:[A-Za-z_][\w.]*)?'(?:[^']|'')*'|[^',()=]+)(?:,|\Z)")


@dataclass(frozen=True)
class EntitySet:
    """An entity set, with how it is asked for and what it may be asked."""

    name: str
    label: str
    version: str
    columns: dict[str, Column]
    key: tuple[str, ...]  # as the hub knows its records
    own_key: tuple[str, ...]  # by which the service addresses them
    cursor_field: str | None
    system: str
    max_field_bytes: int
    can: Capabilities
    can_sort: bool

    @property
    def is_v2(self) -> bool:
        return self.version.startswith("2")

    @property
    def path(self) -> str:
        return "/" + quote(self.name)

    @property
    def headers(self) -> dict[str, str]:
        """What every request says of the version (OData Protocol 4.01, section 8.2.7; MaxDataServiceVersion before)."""
        return {"MaxDataServiceVersion": "2.0"} if self.is_v2 else {"OData-MaxVersion": self.version}

    def entity(self) -> Entity:
        return Entity(
            name=self.name,
            label=self.label,
            fields=tuple(column.field for column in self.columns.values()),
            key=self.key,
            cursor_field=self.cursor_field,
            capabilities=self.can,
        )

    # --- asking ---

    def column(self, entity: Entity, name: str) -> Column:
        """With the field as it was accepted. Raises SettingsError where the service no longer has it."""
        column, field = self.columns.get(name), entity.field(name)
        if column is None or field is None or field.type != column.field.type:
            raise SettingsError(
                _("{entity} of {system} no longer has the field {field} as it was accepted. Look again what the system holds."),
                entity=entity.name,
                system=self.system,
                field=name,
            )
        return replace(column, field=field)

    def forms(self, entity: Entity, names: Sequence[str]) -> dict[str, Form]:
        return {name: self.column(entity, name).form(self.max_field_bytes) for name in names}

    def query(self, options: Mapping[str, str], path: str = "") -> str:
        """The set's path, or that of one record, with query options, percent-encoded; a blank is no plus here."""
        pairs = "&".join(f"{name}={quote(value, safe=SAFE)}" for name, value in options.items() if value)
        return (path or self.path) + ("?" + pairs if pairs else "")

    def select(self, names: Sequence[str]) -> str:
        """Whole complex properties, of which the wanted ones are taken; the key where nothing is wanted, everything where the list would be too long."""
        chosen = ",".join(dict.fromkeys(name.split(".")[0] for name in names or self.own_key))
        return chosen if len(chosen) <= LONGEST_SELECT else ""

    def address(self, entity: Entity, key: str) -> str:
        """Path of one record. Raises ValueError for what is no key of it."""
        literals = [self.column(entity, n).literal(part) for n, part in zip(self.own_key, key_parts(key, len(self.own_key)), strict=True)]
        if len(literals) > 1:
            literals = [f"{name}={literal}" for name, literal in zip(self.own_key, literals, strict=True)]
        return f"{self.path}({','.join(quote(literal, safe=SAFE_IN_KEY) for literal in literals)})"

    # --- being answered ---

    def records(self, client: Client, decoder: Decoder, answer: Answer) -> Records:
        """The records of a list. Raises BadAnswer where it is none, also for an error under status 200."""
        for path in (("d", "results"), ("d",)) if self.is_v2 else (("value",),):
            raw = answer.raw(path)
            if bytes(memoryview(raw)[:1]) == b"[" if raw is not None else isinstance(answer.value(path), list):
                return decoder.decode(answer, path)
        if answer.value("error") is not ABSENT:
            raise BadAnswer(
                _("{system} answered {place} with an error: {reason}."), system=self.system, place=answer.place, reason=client.reason(answer)
            )
        raise BadAnswer(_("{system} answered {place} without a list of records, as no OData service does."), system=self.system, place=answer.place)

    def following(self, answer: Answer) -> str | None:
        """The address of the page after (OData JSON Format 4.01, section 4.6.5; `__next` before)."""
        if (b"__next" if self.is_v2 else b"nextLink") not in answer.body:  # to find out by looking would decode all of it
            return None
        for path in (("d", "__next"),) if self.is_v2 else (("@odata.nextLink",), ("@nextLink",)):
            if isinstance(link := answer.value(path), str) and link:
                return link
        return None

    def key_in(self, address: str, entity: Entity) -> str | None:
        """The canonical key in a record's address, such as Customers('A%2F1'); None where there is none to be understood."""
        _set, parenthesis, inside = address.rpartition("/")[2].partition("(")
        text = unquote(inside).removesuffix(")")
        found = {match[1] or self.own_key[0]: match[2] for match in LITERAL.finditer(text)}
        if not parenthesis or sorted(found) != sorted(self.own_key):
            return None
        try:
            return canonical_key([self.column(entity, name).form(self.max_field_bytes).parse(_bare(found[name])) for name in self.own_key])
        except Unfit:
            return None


def _bare(literal: str) -> str:
    """A literal without its quotes and the name of its type."""
    _type, quoted, text = literal.partition("'")
    return text.removesuffix("'").replace("''", "'") if quoted else literal


def entity_sets(service: Service, settings: ODataSettings, system: str) -> Iterator[EntitySet]:
    """Those that can be listed and have a key, in the order of their names."""
    for name in sorted(service.sets):
        if (found := entity_set(service, settings, system, name)) is not None:
            yield found


def entity_set(service: Service, settings: ODataSettings, system: str, name: str) -> EntitySet | None:
    """None where there is none of this name that can be listed. Raises SettingsError where the settings name properties that it does not have."""
    listed = service.sets.get(name)
    if listed is None or listed.sap.get("addressable") == "false" or service.restriction(listed, "ReadRestrictions").get("Readable") is False:
        return None
    said = settings.entity(name)
    columns = {column.field.name: column for column in columns_of(service, listed, ZoneInfo(settings.zone))}
    own_key = next((one.key for one in service.lineage(listed.type) if one.key), ())
    for wanted in (*said.key, *filter(None, [said.cursor_field])):
        if wanted not in columns:
            raise SettingsError(
                _("{entity} of {system} has no property {field}. Correct it under Entities in the settings."),
                entity=name,
                system=system,
                field=wanted,
            )
    if not own_key or not set(own_key) <= set(columns):
        return None
    key = said.key or own_key
    filterable = tuple(n for n, c in columns.items() if c.is_filterable) if _may(service, listed, "FilterRestrictions", "Filterable") else ()
    is_followed = said.delta and not service.is_v2 and key == own_key and _may(service, listed, "ChangeTracking", "Supported")
    cursor = _cursor(said, columns, filterable) if not is_followed else None
    can = Capabilities(
        **_reading(service, listed, cursor=cursor, is_followed=is_followed),
        **(_writing(service, listed, settings) if not service.is_v2 else {}),
        lookup_by_key=key == own_key or set(key) <= set(filterable),
        lookup_by=filterable,
        stable_order=said.stable_order,
    )
    if key != own_key:
        can = can.model_copy(update={"update": False, "delete": False, "upsert": False})
    return EntitySet(
        name=name,
        label=said.label or listed.sap.get("label", "") or _text(service, listed, LABEL),
        version=service.version,
        columns=columns,
        key=key,
        own_key=own_key,
        cursor_field=cursor,
        system=system,
        max_field_bytes=settings.answers.max_field_bytes,
        can=can,
        can_sort=_may(service, listed, "SortRestrictions", "Sortable") and all(columns[n].is_sortable for n in own_key),
    )


def _reading(service: Service, listed: Listed, *, cursor: str | None, is_followed: bool) -> dict[str, bool]:
    return {
        "count": _may(service, listed, "CountRestrictions", "Countable"),
        "incremental": is_followed or cursor is not None,
        "upper_bound": cursor is not None,
        "own_cursor": is_followed,
        "tombstones": is_followed,
    }


def _writing(service: Service, listed: Listed, settings: ODataSettings) -> dict[str, Any]:
    """That the answer to a write holds the record is only preferred, and so not declared."""
    create = _may(service, listed, "InsertRestrictions", "Insertable")
    return {
        "create": create,
        "update": _may(service, listed, "UpdateRestrictions", "Updatable"),
        "delete": _may(service, listed, "DeleteRestrictions", "Deletable"),
        "upsert": create and settings.entity(listed.name).create_by_key,
        "bulk": settings.batches.size if settings.batches.format != "none" else 0,
        "in_flight": settings.connection.in_flight,
        "idempotency_key": settings.repeatable,
    }


def _may(service: Service, listed: Listed, term: str, name: str) -> bool:
    """OData Capabilities Vocabulary V1: what is not denied is allowed."""
    return service.restriction(listed, term).get(name) is not False


def _cursor(said: EntitySettings, columns: Mapping[str, Column], filterable: Sequence[str]) -> str | None:
    """The property the settings name, else one that by name and type tells of changes."""
    if not said.incremental or not filterable:
        return None
    if said.cursor_field:
        return said.cursor_field
    folded = {name.lower().replace("_", ""): name for name in filterable}
    guesses = (folded[guess] for guess in CHANGE_NAMES if guess in folded)
    return next((name for name in guesses if columns[name].field.type in RISING), None)


def _text(service: Service, listed: Listed, term: str) -> str:
    value = service.annotation(listed.place, term)
    return value if isinstance(value, str) else ""
