"""What another schema of an entity means for the mappings that go from it or to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from connectors.base import Entity as Schema
from integration_hub.core import texts
from integration_hub.core.registry import Effect
from integration_hub.mappings.definition import DefinitionError, read_definition
from integration_hub.mappings.engine import compile_mapping
from integration_hub.mappings.models import Mapping
from integration_hub.systems.models import Entity

Json = dict[str, Any]


def mappings_touched(entity: Entity, old: Schema, new: Schema) -> list[Effect]:
    """Every mapping over the entity, by the version that runs use, or the draft before the first."""
    found = Mapping.objects.filter(Q(source=entity) | Q(target=entity)).select_related("source", "target").order_by("name")
    return [_effect(mapping, entity, old, new) for mapping in found]


def _effect(mapping: Mapping, entity: Entity, old: Schema, new: Schema) -> Effect:
    latest = mapping.latest
    definition = latest.definition if latest else mapping.draft
    breaks = [*problems_with(mapping, definition, entity, new, before=old)]
    goes_on: list[str] = []
    if mapping.target_id == entity.pk:
        breaks += _of_target(definition, old, new)
    goes_on += _read_otherwise(definition, old, new) if mapping.source_id == entity.pk and not breaks else []
    if not breaks:
        count = len(definition.get("fields", ()))
        goes_on.insert(0, ngettext("{n} mapped field still fits.", "All {n} mapped fields still fit.", count).format(n=count))
    return Effect(mapping.name, _("Mapping"), mapping.get_absolute_url(), tuple(breaks), tuple(goes_on))


def problems_with(mapping: Mapping, definition: Json, entity: Entity, new: Schema, *, before: Schema | None = None) -> list[str]:
    """What no longer fits where the entity looks like this, as the mapping's compiler says; less what did not fit `before`."""
    known = problems_with(mapping, definition, entity, before) if before is not None else []
    source = new if mapping.source_id == entity.pk else mapping.source.as_schema()
    target = new if mapping.target_id == entity.pk else mapping.target.as_schema()
    try:
        compile_mapping(read_definition(definition), source, target)
    except DefinitionError as error:
        return [said for problem in error.problems if (said := texts.render(problem.with_place)) not in known]
    return []


def _of_target(definition: Json, old: Schema, new: Schema) -> Iterator[str]:
    """What the target refuses from now on, although the mapping can be used."""
    told = {each["target"]: each for each in definition.get("fields", ()) if "target" in each}
    for field in new.fields:
        was = old.field(field.name)
        if field.required and not field.read_only and not (was and was.required) and field.name not in told:
            yield _("New records are refused without {field}, which is required now and not mapped.").format(field=field.name)
        if was is None or field.name not in told:
            continue
        if field.choices and (made := sorted((set(was.choices) - set(field.choices)) & _made_by(told[field.name]))):
            yield _("Records are rejected whose {field} becomes {values}.").format(field=field.name, values=texts.listed(made))
        if field.max_length is not None and (was.max_length is None or field.max_length < was.max_length):
            yield _("Records are rejected whose {field} is longer than {n} characters.").format(field=field.name, n=field.max_length)


def _made_by(told: Json) -> set[str]:
    """The fixed values that a field's mapping may end with: its constant, and those of its value maps."""
    tables = [step.get("table", {}).values() for step in told.get("steps", ()) if step.get("transform") == "value_map"]
    return {str(value) for table in tables for value in table} | ({str(told["constant"])} if told.get("constant") is not None else set())


def _read_otherwise(definition: Json, old: Schema, new: Schema) -> Iterator[str]:
    """Fields that are of another type now, and still can be mapped."""
    used = {each.get("source") for each in definition.get("fields", ())}
    for field in new.fields:
        was = old.field(field.name)
        if was and was.type != field.type and field.name in used:
            yield _("{field} is read as {type} now and still can be mapped.").format(field=field.name, type=texts.type_word(field.type))
