"""The published JSON Schema of a configuration file: `manage.py config schema`. It knows the settings of every installed connector and the
parameters of every transform, so that an editor completes and checks a file while it is typed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from connectors.registry import connector_class, kinds
from integration_hub.blueprints.document import Document
from integration_hub.blueprints.references import WHOLE
from integration_hub.mappings.transforms import TRANSFORMS

PUBLISHED = Path(__file__).with_name("config.schema.json")
Json = dict[str, Any]


def config_schema() -> Json:
    schema = Document.model_json_schema()
    definitions = schema["$defs"]
    definitions["SystemPart"]["allOf"] = [
        {
            "if": {"properties": {"connector": {"const": kind}}, "required": ["connector"]},
            "then": {"properties": {"settings": {"$ref": f"#/$defs/{kind}.settings"}}},
        }
        for kind in kinds()
    ]
    for kind in kinds():
        _add(definitions, f"{kind}.settings", _secrets_as_references(connector_class(kind).Settings.model_json_schema()), prefix=kind)
    for name, transform in TRANSFORMS.items():
        parameters = transform.parameters.model_json_schema()
        parameters["properties"] = {"transform": {"const": name}, **parameters.get("properties", {})}
        parameters["required"] = ["transform", *parameters.get("required", [])]
        parameters |= {"title": str(transform.label), "description": str(transform.description), "additionalProperties": False}
        _add(definitions, f"step.{name}", parameters, prefix="step")
    definitions["Step"] = {"oneOf": [{"$ref": f"#/$defs/step.{name}"} for name in TRANSFORMS]}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Integration Hub configuration", **schema}


def _add(definitions: Json, name: str, schema: Json, *, prefix: str) -> None:
    """Add a schema with its own definitions under names of their own."""
    inner = schema.pop("$defs", {})
    for key, part in inner.items():
        definitions[f"{prefix}.{key}"] = _renamed(part, prefix)
    definitions[name] = _renamed(schema, prefix)


def _renamed(value: Any, prefix: str) -> Any:
    if isinstance(value, dict):
        return {key: f"#/$defs/{prefix}.{part[8:]}" if _is_own_reference(key, part) else _renamed(part, prefix) for key, part in value.items()}
    if isinstance(value, list):
        return [_renamed(part, prefix) for part in value]
    return value.replace("#/$defs/", f"#/$defs/{prefix}.") if isinstance(value, str) and value.startswith("#/$defs/") else value


def _is_own_reference(key: str, part: Any) -> bool:
    return key == "$ref" and isinstance(part, str) and part.startswith("#/$defs/")


def _secrets_as_references(value: Any) -> Any:
    """Where a secret stands, only a reference may."""
    if isinstance(value, list):
        return [_secrets_as_references(part) for part in value]
    if not isinstance(value, dict):
        return value
    found = {key: _secrets_as_references(part) for key, part in value.items()}
    if found.get("secret") is True:
        del found["secret"]
        reference = {"type": "string", "pattern": f"^(?:{WHOLE.pattern})?$"}
        found.pop("type", None)
        found.pop("default", None)
        found |= {"type": "object", "additionalProperties": reference} if found.pop("additionalProperties", None) else reference
    return found
