"""What the audit log says of an event: a sentence without its who. Apps register theirs; an event without a text is told by its name."""

from __future__ import annotations

from django.utils.translation import gettext as _

from integration_hub.audit.models import Entry
from integration_hub.core.registry import event_texts


def sentence(entry: Entry) -> str:
    """What was done, in the reader's language."""
    if entry.event not in event_texts:
        return f"{entry.event} {entry.subject_name}"
    return _(event_texts[entry.event]).format(subject=entry.subject_name)


def details(entry: Entry) -> str:
    """What changed, in one line: field: before → after."""
    return "; ".join(_change(name, change) for name, change in entry.changes.items())[:300]


def _change(name: str, change: object) -> str:
    if not (isinstance(change, list) and len(change) == 2):
        return f"{name}: {change}"
    before, after = ("—" if value in ("", None) else str(value) for value in change)
    return f"{name}: {after}" if before == "—" else f"{name}: {before} → {after}"
