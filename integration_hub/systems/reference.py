"""The help's page of connectors, drawn from their settings models."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_origin

from django.utils.translation import gettext as _
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from connectors.base import Connector
from integration_hub.systems.connection import installed
from integration_hub.systems.settings_form import kind_of
from integration_hub.systems.shape import is_secret, is_tag, items_of, members, tag_of, without_none


@dataclass
class Part:
    """One model of a connector's settings: where it stands, and its settings."""

    path: str
    rows: list[dict[str, Any]] = field(default_factory=list)


def connectors(by: Any) -> dict[str, Any]:
    """Each installed connector with all its settings."""
    return {"connectors": [_told(kind) for kind in installed()]}


def _told(kind: type[Connector]) -> dict[str, Any]:
    return {"kind": kind.kind, "title": _(kind.title), "about": _(kind.description) if kind.description else "", "parts": list(_parts(kind.Settings))}


def _parts(model: type[BaseModel]) -> Iterator[Part]:
    """The settings' models in the order of the form, each once, however often it is used."""
    seen: set[type[BaseModel]] = set()
    waiting: list[tuple[str, type[BaseModel]]] = [("", model)]
    while waiting:
        path, one = waiting.pop(0)
        if one in seen:
            continue
        seen.add(one)
        inner: list[tuple[str, type[BaseModel]]] = []
        part = Part(path)
        for name, info in one.model_fields.items():
            if is_tag(info.annotation):
                continue
            place = f"{path}.{name}" if path else name
            part.rows.append(_row(name, info))
            annotation = items_of(info.annotation) or info.annotation
            listed = "[]" if items_of(info.annotation) else ""
            for below in members(annotation):
                tag = tag_of(below)
                inner.append((f"{place}{listed}" + (f" {tag[0]}: {tag[1]}" if tag else ""), below))
        waiting = inner + waiting
        yield part


def _row(name: str, info: FieldInfo) -> dict[str, Any]:
    kinds = {
        "lines": _("list"), "pairs": _("names and values"), "json": "JSON", "number": _("number"), "check": _("yes or no"), "text": _("text"),
        "group": _("part, see below"), "union": _("one of several parts, see below"), "list": _("list of parts, see below"),
    }  # fmt: skip
    kind = kind_of(info)
    default = None if info.is_required() else info.get_default(call_default_factory=True)
    return {
        "name": name,
        "label": _(info.title) if info.title else "",
        "help": _(info.description) if info.description else "",
        "kind": _("secret") if is_secret(info) else ", ".join(_options(info)) if kind == "choice" else kinds.get(kind, kind),
        "required": info.is_required(),
        "default": _shown(default),
    }


def _options(info: FieldInfo) -> list[str]:
    annotation = without_none(info.annotation)
    found = get_args(annotation) if get_origin(annotation) is Literal else [option.value for option in annotation]
    return [str(option) for option in found]


def _shown(value: Any) -> str:
    if value in (None, "", PydanticUndefined) or (isinstance(value, BaseModel | list | tuple | dict) and not isinstance(value, dict)):
        return ""
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, dict):
        return ", ".join(f"{key}: {one}" for key, one in value.items())
    return str(getattr(value, "value", value))
