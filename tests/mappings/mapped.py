"""One field mapping or a whole one over a few values, and what came of it."""

import json

import polars as pl

from connectors.base import Entity, Field, FieldType, Page, Text, frame_type
from integration_hub.mappings.engine import compile_mapping


def entity(*fields, key="id"):
    return Entity(name="things", fields=tuple(Field(**field) if isinstance(field, dict) else Field(name=field) for field in fields), key=(key,))


def one(source_type="text", target_type="text", values=(), **field):
    """Map one column through one field mapping."""
    source = entity({"name": "a", "type": source_type}, {"name": "b", "type": "text"})
    extra = {name: field.pop(name) for name in ("choices", "scale") if name in field}
    target = entity({"name": "z", "type": target_type, **extra})
    mapping = compile_mapping({"fields": [{"target": "z", "source": "a", **field}]}, source, target)
    frame = pl.DataFrame({"a": pl.Series(values, dtype=frame_type(FieldType(source_type)), strict=False), "b": [str(n) for n in range(len(values))]})
    return mapping.apply(Page(frame, None))


def arrived(mapped):
    return mapped.frame["z"].to_list()


def reasons(mapped):
    return [(r["row"], r["step"], r["transform"], r["value"], str(Text(r["template"], json.loads(r["values"])))) for r in mapped.rejected.to_dicts()]


# A mapping with a little of everything.
WIDE_SOURCE = entity(
    {"name": "n", "type": "integer"}, {"name": "x", "type": "number"}, "a", "b", {"name": "j", "type": "json"}, {"name": "t", "type": "datetime"}
)
WIDE_TARGET = entity(
    {"name": "total", "type": "integer"}, {"name": "name", "required": True, "max_length": 6}, {"name": "score", "type": "number"}, {"name": "day", "type": "date"},
    {"name": "kind", "choices": ("A", "B")}, {"name": "first"}, {"name": "count", "type": "integer"}, {"name": "phone"}, {"name": "note"},
)  # fmt: skip
WIDE = {
    "fields": [
        {"target": "total", "expression": "n * n - 1"},
        {
            "target": "name",
            "source": "a",
            "steps": [{"transform": "empty_to_null"}, {"transform": "other_field", "fields": ["b"]}, {"transform": "trim"}],
        },
        {
            "target": "score",
            "source": "b",
            "steps": [{"transform": "empty_to_null"}, {"transform": "parse_number"}, {"transform": "default", "value": 1}],
        },
        {"target": "day", "source": "t", "steps": [{"transform": "date_of", "zone": "Asia/Shanghai"}], "on_null": "clear"},
        {
            "target": "kind",
            "source": "a",
            "steps": [{"transform": "upper"}, {"transform": "value_map", "table": {"A": "A", "B": "B"}, "otherwise": "null"}],
        },
        {"target": "first", "source": "j[0].k"},
        {"target": "count", "source": "j", "steps": [{"transform": "list_count"}]},
        {"target": "phone", "source": "b", "steps": [{"transform": "phone"}]},
        {"target": "note", "expression": "CASE WHEN x > 1 THEN a || ' ' || x ELSE CAST(n AS text) END", "pattern": r"[^!]*"},
    ],
    "match": [["name", "first"], ["note"]],
}
