"""What can be done to a mapping."""

from __future__ import annotations

from collections.abc import Mapping as TypingMapping
from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.db.models import ProtectedError
from django.utils.translation import gettext as _

from integration_hub.accounts.actor import Actor
from integration_hub.audit import services as audit
from integration_hub.core import texts
from integration_hub.core.expressions.evaluator import evaluate
from integration_hub.core.registry import uses_of
from integration_hub.mappings import references
from integration_hub.mappings.definition import DefinitionError, read_definition
from integration_hub.mappings.engine import compile_mapping
from integration_hub.mappings.models import Mapping, MappingVersion
from integration_hub.mappings.suggest import suggest_definition
from integration_hub.systems.models import Entity
from integration_hub.systems.services import InUse, told_in_use


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
        return publish_definition(mapping, mapping.draft, by=by)


def publish_definition(mapping: Mapping, definition: Any, *, by: Actor) -> MappingVersion:
    """Make this what runs use from now on, in the caller's transaction, which holds the mapping. Raises DefinitionError with all that is wrong."""
    by.require("mappings.publish", mapping)
    read = read_definition(definition)
    compile_mapping(read, mapping.source.as_schema(), mapping.target.as_schema())
    if problems := references.problems(mapping, read):
        raise DefinitionError(problems)
    latest = mapping.latest
    version = MappingVersion.objects.create(
        mapping=mapping,
        number=latest.number + 1 if latest else 1,
        definition=read.stored(),
        source_schema=mapping.source.schema,
        target_schema=mapping.target.schema,
        published_by=by.name,
    )
    audit.record("mapping.published", mapping, by=by, note=f"v{version.number}")
    return version


def preview_mapping(
    mapping: Mapping, records: list[dict[str, Any]], *, by: Actor, definition: dict[str, Any] | None = None, traced: int | None = 0
) -> dict[str, Any]:
    """What the draft (or this definition) would make of these records, computed in a bounded process. Raises EvaluationFailed when it takes too long."""
    by.require("mappings.view", mapping)
    given = mapping.draft if definition is None else definition
    if problems := references.problems(mapping, given):
        told = [{"field": p.field, "step": p.step, "text": texts.stored(p.text)} for p in problems]
        return {"problems": told, "records": [], "trace": [], "asked": []}
    schemas = [entity.as_schema().model_dump(mode="json") for entity in (mapping.source, mapping.target)]
    result: dict[str, Any] = evaluate("integration_hub.mappings.preview:preview", given, *schemas, records, traced)
    if result["asked"]:  # which records are pointed to is known only now; the evaluator cannot see the links
        linked = references.linked(mapping, result["asked"])
        result = evaluate("integration_hub.mappings.preview:preview", given, *schemas, records, traced, linked)
    return result


def suggest_mapping(source: Entity, target: Entity, *, by: Actor, samples: Sequence[TypingMapping[str, Any]] = ()) -> dict[str, Any]:
    """A draft from names, types and sample records, for a person to look through."""
    by.require("mappings.change")
    return suggest_definition(source.as_schema(), target.as_schema(), samples)


def delete_mapping(mapping: Mapping, *, by: Actor) -> None:
    """Delete a mapping with its versions. Raises InUse while a sync uses it or a run is kept that used it."""
    by.require("mappings.delete", mapping)
    if found := uses_of(mapping):
        raise InUse(told_in_use(mapping, found))
    try:
        with transaction.atomic():
            audit.record("mapping.deleted", mapping, by=by)
            mapping.versions.all().delete()
            mapping.delete()
    except ProtectedError:  # by runs of a pair that is kept in step by another mapping now
        raise InUse(_("{name} stays, for runs are kept that went by it.").format(name=mapping)) from None
