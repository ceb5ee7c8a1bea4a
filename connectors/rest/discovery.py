"""What a REST system holds: as declared, or learnt from its first records."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from connectors.base import BadAnswer, Capabilities, Entity, Field, FieldType, SettingsError, _
from connectors.rest.client import Client
from connectors.rest.parsing import Unfit
from connectors.rest.reading import Reading
from connectors.rest.settings import EntitySettings, Formats, RestSettings
from connectors.rest.values import Form

T = FieldType
DEEPEST = 6


def discovered(client: Client, declared: EntitySettings) -> Entity:
    """The entity with its fields. Raises ConnectorError where they have to be learnt and cannot be."""
    fields = fields_of(declared)
    if not fields or declared.learn_fields:
        known = {f.name for f in fields}
        fields += [f for f in learnt(first_records(client, declared), client.settings.formats) if not _covered(f.name, known)]
    if not fields:
        raise SettingsError(
            _("{entity} of {system} has no records to learn its fields from. Declare its fields in the settings."),
            system=client.host.system,
            entity=declared.name,
        )
    return entity_of(declared, fields, client.settings, system=client.host.system)


def fields_of(declared: EntitySettings) -> list[Field]:
    """Those that the settings declare."""
    told = ("name", "type", "label", "required", "read_only", "max_length", "scale", "choices", "description")
    return [Field(**{name: getattr(field, name) for name in told}) for field in declared.fields]


def entity_of(declared: EntitySettings, fields: Sequence[Field], settings: RestSettings, *, system: str) -> Entity:
    """The entity with these fields. Raises SettingsError where its key or cursor is not among them."""
    names = {f.name for f in fields}
    for name in (*declared.key, *([declared.cursor_field] if declared.cursor_field else [])):
        if name not in names:
            raise SettingsError(
                _("{entity} of {system} has no field {field}, which is its key or cursor. Correct it in the settings; there are: {fields}."),
                system=system,
                entity=declared.name,
                field=name,
                fields=", ".join(sorted(names)[:30]),
            )
    return Entity(
        name=declared.name,
        label=declared.label,
        fields=tuple(fields),
        key=declared.key,
        cursor_field=declared.cursor_field,
        capabilities=capabilities(declared, settings.connection.in_flight),
    )


def _covered(name: str, known: set[str]) -> bool:
    """It is declared itself, inside a declared value, or an object of which parts are declared."""
    return name in known or any(name.startswith(f"{k}.") or k.startswith(f"{name}.") for k in known)


def capabilities(declared: EntitySettings, in_flight: int) -> Capabilities:
    bulk = {b.operation: b for b in declared.bulk}
    changed = declared.list.changed_since
    create = bulk.get("create") or declared.create
    return Capabilities(
        create=create is not None,
        update=declared.update is not None or "update" in bulk,
        delete=declared.delete is not None or "delete" in bulk,
        upsert=create is not None and create.upsert,
        bulk=max((b.size for b in declared.bulk), default=0),
        in_flight=in_flight,
        incremental=changed is not None and declared.cursor_field is not None,
        upper_bound=changed is not None and bool(changed.until_parameter),
        count=declared.list.count is not None,
        lookup_by_key=any(look.by == "#key" or (look.by,) == declared.key for look in declared.lookups),
        lookup_by=tuple(look.by for look in declared.lookups if look.by != "#key"),
        stable_order=declared.list.stable_order,
        tombstones=bool(declared.list.deleted_field),
        idempotency_key=_idempotent(declared),
        returns_record=_returns_record(declared),
    )


def _idempotent(declared: EntitySettings) -> bool:
    """Whatever way a create goes, it carries its own key."""
    bulk = next((b for b in declared.bulk if b.operation == "create"), None)
    return bool(bulk.idempotency_field if bulk is not None else declared.create is not None and declared.idempotency_header)


def _returns_record(declared: EntitySettings) -> bool:
    writes = [w for w in (declared.create, declared.update) if w is not None]
    results = [b.results for b in declared.bulk if b.operation != "delete"]
    return (
        bool(writes or results)
        and all(w.record_path is not None for w in writes)
        and all(r is not None and r.record_path is not None for r in results)
    )


def first_records(client: Client, declared: EntitySettings) -> list[Mapping[str, Any]]:
    """The records of the first page, as they came."""
    answer = client.run(Reading.first_answer(client, declared))
    rows = answer.value(declared.list.record_path)
    if not isinstance(rows, list):
        raise BadAnswer(
            _("{system} answered {place} without a list of records at {path}. Correct the record path."),
            system=client.host.system,
            place=answer.place,
            path=declared.list.record_path or "the top",
        )
    columns = declared.list.columns or (answer.value(declared.list.columns_path) if declared.list.columns_path else ())
    if columns:
        rows = [dict(zip(columns, row, strict=False)) for row in rows if isinstance(row, list)]
    return [row for row in rows if isinstance(row, dict)]


def learnt(records: Iterable[Mapping[str, Any]], formats: Formats) -> list[Field]:
    """Fields in the order in which they first appear: objects are flattened with dots, lists are json, what is of two types is json."""
    seen: dict[str, set[FieldType | None]] = {}
    for record in records:
        for name, value in _flat(record):
            seen.setdefault(name, set()).add(_type_of(value, formats))
    objects = {name.rsplit(".", 1)[0] for name in seen if "." in name}
    fields = []
    for name, types in seen.items():
        parents = [name[:i] for i, c in enumerate(name) if c == "."]
        if any(seen.get(parent, {None}) - {None} for parent in parents):
            continue  # an object in one record and a plain value in another: kept whole, as json
        if name in objects and types == {None}:
            continue  # null here, an object there
        fields.append(Field(name=name, type=_common(types) if name not in objects else T.JSON))
    return fields


def _flat(record: Mapping[str, Any], prefix: str = "", depth: int = DEEPEST) -> Iterable[tuple[str, Any]]:
    for name, value in record.items():
        if isinstance(value, Mapping) and value and depth and not any("." in inner or not inner for inner in value):
            yield from _flat(value, f"{prefix}{name}.", depth - 1)
        else:
            yield prefix + name, value


def _type_of(value: Any, formats: Formats) -> FieldType | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return T.BOOLEAN
    if isinstance(value, int):
        return T.INTEGER if abs(value) < 2**63 else T.DECIMAL
    if isinstance(value, float):
        return T.NUMBER
    if not isinstance(value, str):
        return T.JSON
    for type_ in (T.DATE, T.DATETIME):
        if value and _fits(value, type_, formats):
            return type_
    return T.TEXT


def _fits(value: str, type_: FieldType, formats: Formats) -> bool:
    form = Form.of(Field(name="x", type=type_), None, formats, 100)
    if form.format == "iso" and not (len(value) >= 10 and value[4:5] == "-" and value[7:8] == "-"):
        return False  # fromisoformat takes 20261122 too, which is more often a number
    try:
        found = form.parse(value)
    except Unfit:
        return False
    return isinstance(found, dt.date)


def _common(types: set[FieldType | None]) -> FieldType:
    real = types - {None}
    if not real:
        return T.TEXT
    if len(real) == 1:
        return next(t for t in real if t is not None)
    if real <= {T.INTEGER, T.NUMBER}:
        return T.NUMBER
    if real <= {T.INTEGER, T.NUMBER, T.DECIMAL}:
        return T.DECIMAL
    if real <= {T.TEXT, T.DATE, T.DATETIME}:
        return T.DATETIME if T.TEXT not in real else T.TEXT
    return T.JSON
