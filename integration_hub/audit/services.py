from __future__ import annotations

from typing import Any

from django.db import models

from integration_hub.accounts.actor import Actor
from integration_hub.audit.models import Entry
from integration_hub.core.models import Installation


def record(event: str, subject: models.Model, *, by: Actor, changes: dict[str, Any] | None = None, note: str = "") -> Entry:
    """Write down what `by` does to `subject`, in the caller's transaction, so that neither stands without the other.

    `changes` maps a field to [before, after]; for a secret it holds ["", "changed"], never a value.
    """
    return Entry.objects.create(
        event=event,
        actor_kind=by.kind,
        actor_name=by.name,
        actor_id=by.user_id,
        subject_type=subject._meta.label_lower,
        subject_id=str(subject.pk),
        subject_name=str(subject)[:300],
        changes=changes or {},
        note=note,
    )


def record_command(event: str, subject: models.Model | None = None, **more: Any) -> Entry:
    """As `record`, of what somebody does at the command line of the hub's machine; without a subject it is the hub that it is done to."""
    return record(event, subject or _hub(), by=Actor.command(), **more)


def _hub() -> Installation:
    hub, __ = Installation.objects.get_or_create(pk=1)
    return hub
