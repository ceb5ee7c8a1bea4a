"""The form and the reference of each transform, function and operator, out of the one declaration each has. Plain data: the pages draw it, and the
API gives it out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from connectors.base import FieldType
from integration_hub.core.expressions import FUNCTIONS, OPERATORS

from .transforms import TRANSFORMS, Transform


def transform_form(transform: Transform) -> dict[str, Any]:
    """{name, label, description, group, takes, gives, inputs}; an input is {name, label, kind, required, default, choices, …limits}.

    kind: text, integer, number, boolean, choice, list (of texts), table (text → text), field or fields (of the source), value (any scalar).
    Labels and descriptions are templates of the catalogue.
    """
    schema = transform.parameters.model_json_schema()
    required = set(schema.get("required", ()))
    return {
        "name": transform.name,
        "label": transform.label,
        "description": transform.description,
        "group": transform.group,
        "takes": sorted(map(str, transform.takes)),
        "gives": str(transform.gives) if isinstance(transform.gives, FieldType) else None,
        "inputs": [_input(name, part, name in required, name in transform.source_fields) for name, part in schema.get("properties", {}).items()],
    }


_KINDS = {"string": "text", "integer": "integer", "number": "number", "boolean": "boolean", "array": "list", "object": "table"}
_LIMITS = {"minimum": "min", "maximum": "max", "minLength": "min_length", "maxLength": "max_length", "minItems": "min_items", "maxItems": "max_items"}


def _input(name: str, part: dict[str, Any], required: bool, names_fields: bool) -> dict[str, Any]:
    kinds = [option for option in part.get("anyOf", ()) if option.get("type") != "null"]
    only = {**part, **kinds[0]} if len(kinds) == 1 else part
    kind = "value" if len(kinds) > 1 else "choice" if "enum" in only else _KINDS[only["type"]]
    if names_fields:
        kind = "fields" if kind == "list" else "field"
    return {
        "name": name,
        "label": part.get("title", name),
        "kind": kind,
        "required": required,
        "default": part.get("default"),
        "choices": only.get("enum", []),
        "widget": part.get("widget", ""),
        **{ours: only[theirs] for theirs, ours in _LIMITS.items() if theirs in only},
    }


def reference() -> dict[str, Any]:
    """All there is to look up: {transforms, functions, operators}, for the help page and the API."""
    return {
        "transforms": [{**transform_form(transform), "examples": list(_examples(transform))} for _name, transform in TRANSFORMS.items()],
        "functions": [{"name": f.name, "signature": f.signature, "description": f.description, "example": f.example} for f in FUNCTIONS.values()],
        "operators": [{"name": o.name, "label": o.label, "types": sorted(map(str, o.types)), "wants": o.wants} for o in OPERATORS.values()],
    }


def _examples(transform: Transform) -> Iterator[dict[str, Any]]:
    for example in transform.examples:
        yield {"value": example.value, "parameters": example.parameters, "others": example.others, "result": example.result}
