"""Sentences travel as an English template with named values, are stored so, and are translated where they are shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.translation import gettext, gettext_noop, pgettext

from connectors.base import FieldType, Text

FIELD_TYPES = (
    gettext_noop("text"), gettext_noop("integer"), gettext_noop("number"), gettext_noop("decimal"), gettext_noop("boolean"), gettext_noop("date"),
    gettext_noop("time"), gettext_noop("datetime"), gettext_noop("json"), gettext_noop("binary"),
)  # fmt: skip


def stored(text: Text) -> dict[str, Any]:
    """The text as JSON for a row."""
    return {"template": text.template, "values": {name: _plain(value) for name, value in text.values.items()}}


def render(text: Text | Mapping[str, Any] | None) -> str:
    """The sentence in the reader's language; "" for none. Values that are texts or types of fields are translated too."""
    if not text:
        return ""
    template, values = (text.template, text.values) if isinstance(text, Text) else (text["template"], text["values"])
    if not template:
        return ""
    return gettext(template).format_map({name: _shown(value) for name, value in values.items()})


def type_word(type_: str) -> str:
    """What a field's type is called."""
    return gettext(type_)


def listed(names: Iterable[str]) -> str:
    """Names side by side, as the reader's language separates them."""
    return pgettext("between the names of a list", ", ").join(names)


def _shown(value: Any) -> Any:
    return type_word(value) if isinstance(value, FieldType) else render(value) if isinstance(value, Mapping | Text) else value


def _plain(value: Any) -> Any:
    if isinstance(value, Text | FieldType):
        return stored(value if isinstance(value, Text) else Text(value))
    return value if isinstance(value, str | int | float | bool | dict | None) else str(value)
