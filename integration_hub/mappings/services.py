"""What can be done to a mapping."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from integration_hub.accounts.actor import Actor
from integration_hub.audit import services as audit
from integration_hub.mappings.definition import read_definition
from integration_hub.mappings.engine import compile_mapping
from integration_hub.mappings.models import Mapping, MappingVersion
from integration_hub.systems.models import Entity


def create_mapping(*, name: str, source: Entity, target: Entity, definition: dict[str, Any], by: Actor) -> Mapping:
    """A mapping with this draft; it may still be wrong, what is published may not. Raises ValidationError."""
    by.require("mappings.change")
    mapping = Mapping(name=name.strip(), source=source, target=target, draft=definition, changed_by=by.name)
    mapping.full_clean(exclude=["draft"])
    with transaction.atomic():
        mapping.save()
        audit.record("mapping.created", mapping, by=by)
    return mapping


def change_mapping(mapping: Mapping, *, definition: dict[str, Any], by: Actor) -> Mapping:
    """Change the draft. What runs use stays as it is until it is published."""
    by.require("mappings.change", mapping)
    with transaction.atomic():
        mapping = Mapping.objects.select_for_update().get(pk=mapping.pk)
        if mapping.draft == definition:
            return mapping
        mapping.draft, mapping.changed_by = definition, by.name
        mapping.save(update_fields=["draft", "changed_at", "changed_by"])
        audit.record("mapping.changed", mapping, by=by)
    return mapping


def publish_mapping(mapping: Mapping, *, by: Actor) -> MappingVersion:
    """Make the draft what runs use from now on. Raises DefinitionError with all that is wrong with it."""
    by.require("mappings.publish", mapping)
    with transaction.atomic():
        mapping = Mapping.objects.select_for_update(of=("self",)).select_related("source", "target").get(pk=mapping.pk)
        definition = read_definition(mapping.draft)
        compile_mapping(definition, mapping.source.as_schema(), mapping.target.as_schema())
        latest = mapping.latest
        version = MappingVersion.objects.create(
            mapping=mapping,
            number=latest.number + 1 if latest else 1,
            definition=definition.stored(),
            source_schema=mapping.source.schema,
            target_schema=mapping.target.schema,
            published_by=by.name,
        )
        audit.record("mapping.published", mapping, by=by, note=f"v{version.number}")
    return version


def delete_mapping(mapping: Mapping, *, by: Actor) -> None:
    """Delete a mapping with its versions. Raises ProtectedError while a sync uses it or a run is kept that used it."""
    by.require("mappings.delete", mapping)
    with transaction.atomic():
        audit.record("mapping.deleted", mapping, by=by)
        mapping.versions.all().delete()
        mapping.delete()
