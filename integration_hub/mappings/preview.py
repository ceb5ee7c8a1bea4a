"""What a mapping would make of sample records. Run it in an evaluator: formulas that people are still writing are bounded there.

Plain JSON in, plain JSON out; nothing of Django is imported.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from connectors.base import Entity, FieldType, Text

from .definition import DefinitionError
from .engine import compile_mapping
from .match import first_match
from .records import page_of, plain_records
from .trace import trace


def preview(
    definition: dict[str, Any],
    source: dict[str, Any],
    target: dict[str, Any],
    records: list[dict[str, Any]],
    traced: int | None = 0,
    linked: Sequence[tuple[str, str, dict[str, str]]] = (),
) -> dict[str, Any]:
    """{problems} of a definition that cannot run; else {records, trace, asked}.

    linked: what is linked of an entity that references point to, as (entity of the source, of the target, {key: key there}). asked: what was looked for
    there, as (entity of the source, of the target, keys), so that the caller can find it and try again.
    records: for each, {record: the target's values, sent: the fields that are sent, match: {field, value} or null} or {rejected: {field, step,
    transform, value, reason}}. trace: each field of the record `traced`, as `trace.FieldTrace`. Texts are {template, values}.
    """
    entities = Entity.model_validate(source), Entity.model_validate(target)
    try:
        mapping = compile_mapping(definition, *entities)
    except DefinitionError as error:
        return {
            "problems": [{"field": p.field, "step": p.step, "text": _plain(p.text)} for p in error.problems],
            "records": [],
            "trace": [],
            "asked": [],
        }
    page = page_of(records, entities[0])
    known = {(entity, target): keys for entity, target, keys in linked}
    asked: dict[tuple[str, str], set[str]] = {}

    def links(entity: str, target: str, keys: Sequence[str]) -> Mapping[str, str]:
        asked.setdefault((entity, target), set()).update(keys)
        return known.get((entity, target), {})

    mapped = mapping.apply(page, links)
    told: list[dict[str, Any]] = [{} for _record in records]
    for row in mapped.rejected.iter_rows(named=True):
        reason = {"template": row["template"], "values": json.loads(row["values"])}
        told[row["row"]] = {"rejected": {**{k: row[k] for k in ("field", "step", "transform", "value")}, "reason": reason}}
    fields = [plan.target for plan in mapping.plans]
    masks = mapped.send.to_dicts() if mapped.send is not None else [{}] * mapped.frame.height
    rows = zip(mapped.frame["row"], plain_records(mapped.frame, fields), masks, strict=True)
    for place, (number, record, mask) in enumerate(rows):
        sent = [f.name for f in fields if mask.get(f.name, True)]
        match = first_match(mapped.match, place)
        told[number] = {"record": record, "sent": sent, "match": {"field": json.loads(match[0]), "value": match[1]} if match else None}
    steps = [_plain(field) for field in trace(mapping, page, traced, links)] if traced is not None and traced < len(records) else []
    return {"problems": [], "records": told, "trace": steps, "asked": [[*place, sorted(keys)] for place, keys in asked.items()]}


def _plain(thing: Any) -> Any:
    if isinstance(thing, Text):
        values = {name: Text(value) if isinstance(value, FieldType) else value for name, value in thing.values.items()}
        return {"template": thing.template, "values": {name: _plain(value) for name, value in values.items()}}
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        return {f.name: _plain(getattr(thing, f.name)) for f in dataclasses.fields(thing)}
    if isinstance(thing, tuple | list):
        return [_plain(part) for part in thing]
    return str(thing) if isinstance(thing, str) else thing
