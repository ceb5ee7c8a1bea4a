"""Write endpoints: from a record to the request that carries it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import orjson

from connectors.base import CHANGE_COLUMNS, Changes, Entity, SettingsError, Text, _
from connectors.canonical import from_canonical, key_parts
from connectors.rest.answers import ABSENT
from connectors.rest.client import Call, Client
from connectors.rest.reading import forms_of
from connectors.rest.records import encoded, nested
from connectors.rest.settings import Bulk, EntitySettings, Write
from connectors.rest.templates import NO_SEGMENTS, JsonTemplate, Ready, TextTemplate
from connectors.rest.values import Form

ROWS_AT_ONCE = 500


class Values:
    """The values of a portion's records as the system writes them; made when they are first asked for one by one."""

    def __init__(self, forms: Mapping[str, Form], changes: Changes) -> None:
        self._forms = {name: forms[name] for name in changes.values.columns if name in forms}
        self._frame, self._count = changes.values, len(changes)
        self._send = {name: changes.send[name] for name in self._forms if name in changes.send.columns} if changes.send is not None else {}

    def encoded(self) -> Sequence[bytes | None]:
        """Each record as JSON, all at once; None where records send different fields or values have to be written one by one."""
        columns = [plain.alias(form.write_as) for name, form in self._forms.items() if (plain := form.plain(self._frame[name])) is not None]
        if self._send or len(columns) < len(self._forms):
            return [None] * self._count
        return encoded(columns, self._count)

    @cached_property
    def _columns(self) -> list[list[Any]]:
        columns = [form.outgoing(self._frame[name]) for name, form in self._forms.items()]
        for number, name in enumerate(self._forms):
            if name in self._send:
                columns[number] = [value if sent else ABSENT for value, sent in zip(columns[number], self._send[name].to_list(), strict=True)]
        return columns

    def of(self, place: int) -> dict[str, Any]:
        """Field → value, for the fields that this record sends."""
        return {name: column[place] for name, column in zip(self._forms, self._columns, strict=True) if column[place] is not ABSENT}


class Row:
    """One record on its way: its row in the portion, its key, and itself as JSON where that could be made for all records at once."""

    __slots__ = ("_place", "_values", "encoded", "idempotency_key", "key", "row")

    def __init__(self, row: int, key: str | None, idempotency_key: str, encoded: bytes | None, values: Values, place: int) -> None:
        self.row, self.key, self.idempotency_key, self.encoded = row, key, idempotency_key, encoded
        self._values, self._place = values, place

    @property
    def values(self) -> dict[str, Any]:
        """Field → value, for the fields to send."""
        return self._values.of(self._place)


def rows_of(forms: Mapping[str, Form], changes: Changes) -> Iterator[tuple[str, Row]]:
    """A portion's records, each with what is to be done with it; some at a time, so that the first are on their way while others are put into JSON."""
    for some in changes.slices(ROWS_AT_ONCE):
        yield from _rows_of(forms, some)


def _rows_of(forms: Mapping[str, Form], changes: Changes) -> Iterator[tuple[str, Row]]:
    values = Values(forms, changes)
    about = [changes.about[name].to_list() for name in CHANGE_COLUMNS]
    for place, (row, operation, key, idempotency_key, whole) in enumerate(zip(*about, values.encoded(), strict=True)):
        yield operation, Row(row, key, idempotency_key, whole, values, place)


class Endpoint:
    """A write endpoint with its templates compiled."""

    def __init__(self, client: Client, declared: EntitySettings, entity: Entity, way: Write | Bulk) -> None:
        self.client, self.declared, self.entity, self.way = client, declared, entity, way
        self.path = TextTemplate(way.path, quoted=True)
        self.query = {n: TextTemplate(v) for n, v in way.query.items()}
        self.headers = {n: TextTemplate(v) for n, v in way.headers.items()}
        if declared.idempotency_header and isinstance(way, Write):
            self.headers[declared.idempotency_header] = TextTemplate("{idempotency_key}")
        self.body = (
            None if way.body is None or (isinstance(way, Write) and way.method == "DELETE" and way.body == "{record}") else JsonTemplate(way.body)
        )
        self.item = JsonTemplate(way.item) if isinstance(way, Bulk) else None
        self._whole_items = isinstance(way, Bulk) and way.item == "{record}"
        self._own_key_as = way.idempotency_field if isinstance(way, Bulk) else ""
        self.success = {v.lower() for v in way.results.success_values} if isinstance(way, Bulk) and way.results is not None else set()
        self.forms = forms_of(client, declared, entity)
        self._fixed = self._fixed_call()

    def _fixed_call(self) -> Call | None:
        """The request without its body, where it is the same for every record."""
        if self.path.names or any(t.names for t in self.query.values()) or any(t.names for t in self.headers.values()):
            return None
        return self._call(lambda name: "", None)

    def _call(self, lookup: Callable[[str], Any], body: bytes | None) -> Call:
        query = {n: t.fill(lookup) for n, t in self.query.items()}
        headers = {n: self._one_line(n, t.fill(lookup)) if t.names else t.text for n, t in self.headers.items()}
        call = self.client.call(self.way.method, self.path.fill(lambda name: self._needed(name, lookup)), query=query, headers=headers, body=body)
        call.is_quick = True
        return call

    def _needed(self, name: str, lookup: Callable[[str], Any]) -> Any:
        """A value in a path: without it the request would go to another address."""
        value = lookup(name)
        if value is None or value == "":
            raise Malformed(Text(_("has no {field}, which the address it is written to needs"), {"field": name}))
        if value in NO_SEGMENTS:
            raise Malformed(Text(_("has “{value}” as {field}, which no address can hold"), {"value": value, "field": name}))
        return value

    def _one_line(self, header: str, text: str) -> str:
        """What of a record goes into a header: a line break would end it, so nobody sends such."""
        if "\n" in text or "\r" in text:
            raise Malformed(Text(_("has a line break in what goes into the header {header}"), {"header": header}))
        return text

    def single(self, row: Row) -> Call:
        lookup = self._lookup(row)
        return self._with_body(lookup, self.body.fill(lookup) if self.body is not None else None)

    def many(self, rows: Sequence[Row]) -> Call:
        assert self.item is not None  # noqa: S101
        if self._whole_items:
            items = [self.record(row) for row in rows]
        else:
            items = [self.item.fill(self._lookup(row)) for row in rows]

        def lookup(name: str) -> Any:
            if name == "records":
                return Ready(b"[" + b",".join(items) + b"]")
            raise self._unknown(name)

        return self._with_body(lookup, self.body.fill(lookup) if self.body is not None else None)

    def _with_body(self, lookup: Callable[[str], Any], body: bytes | None) -> Call:
        fixed = self._fixed
        if fixed is None or (body is not None and "Content-Type" not in fixed.headers):
            made = self._call(lookup, body)
            if fixed is not None:
                self._fixed = made
            return made
        return Call(fixed.method, fixed.url, fixed.place, fixed.headers, body, is_quick=True)

    def _lookup(self, row: Row) -> Callable[[str], Any]:
        def lookup(name: str) -> Any:
            if name == "record":
                return Ready(self.record(row))
            if name == "key":
                return self._key_value(row)
            if name == "idempotency_key":
                return row.idempotency_key
            if name in self.entity.key and row.key is not None:
                return self._key_parts(row)[name]
            if name in self.forms:
                return row.values.get(name)
            raise self._unknown(name)

        return lookup

    def record(self, row: Row) -> bytes:
        """The record as JSON."""
        brings_key = self.way.with_key and row.key is not None
        if row.encoded is not None and self.way.nest and not brings_key and not self._own_key_as:
            return row.encoded
        values = {**self._key_parts(row), **row.values} if brings_key else row.values
        values = {self.forms[name].write_as if name in self.forms else name: value for name, value in values.items()}
        if self._own_key_as:
            values[self._own_key_as] = row.idempotency_key
        return orjson.dumps(nested(values) if self.way.nest else values)

    def _key_value(self, row: Row) -> Any:
        if row.key is None:
            return None
        if len(self.entity.key) > 1:
            return row.key
        return self._key_parts(row)[self.entity.key[0]]

    def _key_parts(self, row: Row) -> dict[str, Any]:
        """The key's fields as the system writes them."""
        assert row.key is not None  # noqa: S101
        try:
            texts = key_parts(row.key, len(self.entity.key))
            return {
                name: self.forms[name].write(from_canonical(text, self.forms[name].field.type)) if name in self.forms else text
                for name, text in zip(self.entity.key, texts, strict=True)
            }
        except (ValueError, KeyError, ArithmeticError):
            raise Malformed(Text(_("{key} is no key of {entity}"), {"key": row.key[:200], "entity": self.entity.name})) from None

    def _unknown(self, name: str) -> SettingsError:
        return SettingsError(
            _("A template of {entity} in {system} uses {name}, which is neither a field nor a known placeholder."),
            system=self.client.host.system,
            entity=self.entity.name,
            name="{" + name + "}",
        )


class Malformed(Exception):
    """A record cannot be put into a request; carries the reason."""

    def __init__(self, reason: Text) -> None:
        self.reason = reason
        super().__init__(str(reason))
