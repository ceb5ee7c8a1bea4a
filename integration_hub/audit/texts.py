"""What the audit log says of an event: a sentence without its who. Apps register theirs; an event without a text is told by its name."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.utils.translation import gettext as _

from integration_hub.audit.models import Entry
from integration_hub.core import texts
from integration_hub.core.registry import event_texts


def sentence(entry: Entry) -> str:
    """What was done, in the reader's language."""
    if entry.event not in event_texts:
        return f"{entry.event} {entry.subject_name}"
    return _(event_texts[entry.event]).format(subject=entry.subject_name)


def details(entry: Entry) -> str:
    """What changed, in one line: field: before → after."""
    return "; ".join(_change(entry, name, change) for name, change in entry.changes.items())[:300]


def _change(entry: Entry, name: str, change: object) -> str:
    field = _field(entry.subject_type, name)
    name = _named(field) or name
    if not (isinstance(change, list) and len(change) == 2):
        return f"{name}: {change}"
    before, after = (_value(field, value) for value in change)
    return f"{name}: {after}" if before == "—" else f"{name}: {before} → {after}"


def _field(subject_type: str, name: str) -> Any:
    """What the change names of its subject: a field, or what refers to it; None for something within a field, or of a table that is gone."""
    try:
        return apps.get_model(subject_type)._meta.get_field(name)
    except (LookupError, ValueError, FieldDoesNotExist):
        return None


def _named(field: Any) -> str:
    if field is None:
        return ""
    return str(field.related_model._meta.verbose_name_plural if field.auto_created and field.is_relation else field.verbose_name)


def _value(field: Any, value: Any) -> str:
    if isinstance(value, list):  # of sentences
        return texts.listed(texts.render(each) for each in value)
    if value in ("", None):
        return "—"
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if value == "changed":  # a secret, whose value is never written down
        return _("changed")
    return str(dict(getattr(field, "flatchoices", ())).get(value, value))
