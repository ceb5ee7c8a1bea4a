"""Editing by several people: a draft is saved only over the one that was seen, and taken over from a version."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from django.db import transaction

from integration_hub.accounts.actor import Actor
from integration_hub.audit import services as audit
from integration_hub.mappings import services
from integration_hub.mappings.models import Mapping, MappingVersion


class DraftMoved(Exception):
    """Somebody else changed the draft since it was read; `mapping` is as it is now."""

    def __init__(self, mapping: Mapping) -> None:
        self.mapping = mapping
        super().__init__(f"{mapping.changed_by} changed the draft")


def mark_of(draft: dict[str, Any]) -> str:
    """What a form remembers of the draft it was drawn from."""
    return hashlib.sha256(json.dumps(draft, sort_keys=True).encode()).hexdigest()[:20]


def save_draft(mapping: Mapping, *, definition: dict[str, Any], seen: str, by: Actor) -> Mapping:
    """Change the draft if it still is the one of mark `seen`. Raises DraftMoved."""
    by.require("mappings.change", mapping)
    with transaction.atomic():
        now = Mapping.objects.select_for_update().get(pk=mapping.pk)
        if mark_of(now.draft) != seen and now.draft != definition:
            raise DraftMoved(now)
        return services.change_mapping(now, definition=definition, by=by)


def take_over(version: MappingVersion, *, by: Actor) -> Mapping:
    """Make the draft what this version says."""
    return services.change_mapping(version.mapping, definition=version.definition, by=by)


def rename_mapping(mapping: Mapping, *, name: str, by: Actor) -> Mapping:
    """Raises ValidationError for a name that is taken."""
    by.require("mappings.change", mapping)
    name = name.strip()
    if name == mapping.name:
        return mapping
    before, mapping.name = mapping.name, name
    mapping.full_clean(exclude=["draft"])
    with transaction.atomic():
        Mapping.objects.filter(pk=mapping.pk).update(name=name)  # not save(): the draft is another matter, and changed_at is the draft's
        audit.record("mapping.renamed", mapping, by=by, changes={"name": [before, name]})
    return mapping
