"""What a field may hold. One declaration serves the check of what is written, the OpenAPI document and the README's tables."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sandbox.times import TimeStyle, is_moment


class Problem(NamedTuple):
    """What is wrong with one field of a record that was sent."""

    field: str
    code: str
    message: str


@dataclass(frozen=True)
class Kind:
    """A kind of value: `fits` judges what is written; `schema` is what can be read (demo data is dirty in places), `strict` what may be written."""

    name: str
    fits: Callable[[Any], bool]
    schema: dict[str, Any]
    strict: dict[str, Any]


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _matching(pattern: str) -> Callable[[Any], bool]:
    match = re.compile(pattern).search
    return lambda value: isinstance(value, str) and match(value) is not None


def _kind(name: str, fits: Callable[[Any], bool], schema: dict[str, Any], **strict: Any) -> Kind:
    return Kind(name, fits, schema, {**schema, **strict})


def _patterned(name: str, pattern: str) -> Kind:
    return _kind(name, _matching(pattern), {"type": "string"}, pattern=pattern)


def _dated(name: str, pattern: str, format_: str) -> Kind:
    shaped = _matching(pattern)

    def fits(value: Any) -> bool:
        if not shaped(value):
            return False
        try:
            datetime.strptime(value, format_)  # noqa: DTZ007  a date has no zone
        except ValueError:
            return False
        return True

    return _kind(name, fits, {"type": "string"}, pattern=pattern)


COUNTRY_CODES = (
    "AT",
    "AU",
    "BE",
    "BR",
    "CA",
    "CH",
    "CN",
    "DE",
    "ES",
    "FR",
    "GB",
    "HK",
    "IN",
    "IT",
    "JP",
    "KR",
    "MY",
    "NL",
    "PL",
    "SE",
    "SG",
    "TH",
    "TW",
    "US",
    "VN",
)

TEXT = _kind("text", _is_text, {"type": "string"})
EMAIL = _patterned("e-mail", r"^[^@\s]+@[^@\s]+\.[^@\s.]+$")
INTEGER = _kind("integer", _is_integer, {"type": "integer"})
NUMBER = _kind("number", lambda value: isinstance(value, int | float) and not isinstance(value, bool), {"type": "number"})
POSITIVE = _kind("number above 0", lambda value: NUMBER.fits(value) and value > 0, {"type": "number"}, exclusiveMinimum=0)
BOOLEAN = _kind("boolean", lambda value: isinstance(value, bool), {"type": "boolean"})
FLAG = _kind("flag", lambda value: value in ("", "X"), {"type": "string", "enum": ["", "X"]})
DECIMAL = _patterned("decimal as text", r"^-?\d{1,13}(\.\d{1,4})?$")
DATE = _dated("date YYYY-MM-DD", r"^\d{4}-\d{2}-\d{2}$", "%Y-%m-%d")
COMPACT_DATE = _dated("date YYYYMMDD", r"^\d{8}$", "%Y%m%d")
COUNTRY = _kind("country", lambda value: value in COUNTRY_CODES, {"type": "string"}, enum=list(COUNTRY_CODES))
CURRENCY = _patterned("currency", r"^[A-Z]{3}$")
TEXTS = _kind(
    "list of texts",
    lambda value: isinstance(value, list) and all(isinstance(v, str) for v in value),
    {"type": "array", "items": {"type": "string"}},
)
ANY_LIST = _kind(
    "list of objects",
    lambda value: isinstance(value, list) and all(isinstance(v, dict) for v in value),
    {"type": "array", "items": {"type": "object"}},
)


def moment(style: TimeStyle) -> Kind:
    return Kind(f"moment ({style.schema['description']})", lambda value: is_moment(style, value), style.schema, style.schema)


@dataclass(frozen=True)
class Field:
    """One field of an entity. `within` holds the fields of a nested object."""

    name: str
    kind: Kind = TEXT
    required: bool = False
    read_only: bool = False
    max_length: int | None = None
    choices: tuple[Any, ...] = ()
    within: tuple[Field, ...] = ()
    note: str = ""

    def schema(self, *, strict: bool) -> dict[str, Any]:
        """As JSON Schema; a value may be null unless the field is required in what is written."""
        if self.within:
            schema = object_schema(self.within, strict=strict)
        else:
            schema = dict(self.kind.strict if strict else self.kind.schema)
        if strict and self.max_length:
            schema["maxLength"] = self.max_length
        if strict and self.choices:
            schema["enum"] = list(self.choices)
        if not (strict and self.required):
            schema["type"] = [schema["type"], "null"]
            if "enum" in schema:
                schema["enum"] = [*schema["enum"], None]
        if self.read_only:
            schema["readOnly"] = True
        if self.note:
            schema["description"] = self.note
        return schema


def object_schema(fields: Sequence[Field], *, strict: bool, required: Sequence[str] = ()) -> dict[str, Any]:
    shown = [field for field in fields if not (strict and field.read_only)]
    schema: dict[str, Any] = {"type": "object", "properties": {field.name: field.schema(strict=strict) for field in shown}}
    if required:
        schema["required"] = list(required)
    if not strict:
        schema["additionalProperties"] = False
    return schema


def problem_with(field: Field, value: Any) -> Problem | None:
    """What is wrong with this one value; None where it may be written."""
    if value is None or value == "":
        return Problem(field.name, "required", f"{field.name} must not be empty.") if field.required else None
    if not field.kind.fits(value):
        return Problem(field.name, "invalid", f"{field.name}: {str(value)[:60]!r} is no {field.kind.name}.")
    if field.max_length and len(value) > field.max_length:
        return Problem(field.name, "too_long", f"{field.name} is {len(value)} characters long; {field.max_length} are allowed.")
    if field.choices and value not in field.choices:
        return Problem(field.name, "not_allowed", f"{field.name}: {str(value)[:60]!r} is none of {', '.join(map(str, field.choices))}.")
    return None


class Checker:
    """Checks what is written to one entity: fields that it does not have are refused, those that it sets itself are passed over."""

    def __init__(self, fields: Sequence[Field]) -> None:
        self.fields = {field.name: field for field in fields}
        self.required = [field.name for field in fields if field.required]
        self.nested = {field.name: Checker(field.within) for field in fields if field.within}

    def check(self, values: Any, *, whole: bool, path: str = "") -> tuple[dict[str, Any], list[Problem]]:
        """The values that may be set, and what is wrong. `whole`: a create, in which nothing required may be missing."""
        if not isinstance(values, dict):
            return {}, [Problem(path.rstrip("."), "invalid", "A JSON object is expected.")]
        clean: dict[str, Any] = {}
        problems: list[Problem] = []
        for name, value in values.items():
            field = self.fields.get(name)
            if field is None:
                problems.append(Problem(path + name, "unknown_field", f"There is no field {path + name}."))
            elif field.read_only:
                continue
            elif name in self.nested and value is not None:
                clean[name], within = self.nested[name].check(value, whole=False, path=f"{path}{name}.")
                problems += within
            elif (problem := problem_with(field, value)) is not None:
                problems.append(problem._replace(field=path + problem.field))
            else:
                clean[name] = value
        if whole:
            problems += [Problem(path + name, "required", f"{path + name} must not be empty.") for name in self.required if name not in values]
        return clean, problems

    def blank(self) -> dict[str, Any]:
        """A record in which every field is empty."""
        return {name: self.nested[name].blank() if name in self.nested else None for name in self.fields}


def merged(record: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """The record with the values set; nested objects are set field by field."""
    result = {**record, **values}
    for name, value in values.items():
        if isinstance(value, dict) and isinstance(record.get(name), dict):
            result[name] = merged(record[name], value)
    return result
