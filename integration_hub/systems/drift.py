"""What is different between the schema the hub works with and the one a system shows now, as sentences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from connectors.base import Capabilities, Entity, Field, Text, _

Kind = Literal["added", "removed", "changed"]


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """One difference; `field` is "" for one of the entity as a whole."""

    kind: Kind
    field: str
    text: Text


def schema_changes(old: Entity, new: Entity) -> list[SchemaChange]:
    """Removed fields first, for they may stop a mapping; then changed, then added ones."""
    removed = [SchemaChange("removed", f.name, Text(_("{field} is gone"), {"field": f.name})) for f in old.fields if not new.field(f.name)]
    added = [
        SchemaChange("added", f.name, Text(_("{field} is new, {type}"), {"field": f.name, "type": Text(f.type)}))
        for f in new.fields
        if not old.field(f.name)
    ]
    changed = [change for f in new.fields if (before := old.field(f.name)) for change in _field_changes(before, f)]
    return [*removed, *_entity_changes(old, new), *changed, *added]


def _field_changes(old: Field, new: Field) -> Iterator[SchemaChange]:
    def change(template: str, **values: object) -> SchemaChange:
        return SchemaChange("changed", new.name, Text(template, {"field": new.name, **values}))

    if old.type != new.type:
        yield change(_("{field} was {before} and is now {after}"), before=Text(old.type), after=Text(new.type))
    if old.required != new.required:
        yield change(_("{field} is now required") if new.required else _("{field} is no longer required"))
    if old.read_only != new.read_only:
        yield change(_("{field} is now read-only") if new.read_only else _("{field} can now be written"))
    if old.max_length != new.max_length:
        if new.max_length is None:
            yield change(_("{field} has no longest length any more"))
        else:
            yield change(_("{field} may now be {length} characters long"), length=new.max_length)
    if old.scale != new.scale:
        yield change(_("{field} now has {scale} decimal places"), scale=new.scale)
    if gone := sorted(set(old.choices) - set(new.choices)):
        yield change(_("{field} no longer allows {values}"), values=", ".join(gone))
    if come := sorted(set(new.choices) - set(old.choices)):
        yield change(_("{field} now allows {values}"), values=", ".join(come))


def _entity_changes(old: Entity, new: Entity) -> Iterator[SchemaChange]:
    if old.key != new.key:
        yield SchemaChange(
            "changed", "", Text(_("the key was {before} and is now {after}"), {"before": ", ".join(old.key), "after": ", ".join(new.key)})
        )
    if old.cursor_field != new.cursor_field:
        values = {"before": old.cursor_field or "—", "after": new.cursor_field or "—"}
        yield SchemaChange("changed", "", Text(_("the cursor field was {before} and is now {after}"), values))
    yield from _lookup_changes(old, new)
    for name in Capabilities.model_fields:
        before, after = getattr(old.capabilities, name), getattr(new.capabilities, name)
        if before != after and name != "lookup_by":
            values = {"capability": name, "before": str(before), "after": str(after)}
            yield SchemaChange("changed", "", Text(_("what it can do changed: {capability} was {before} and is now {after}"), values))


def _lookup_changes(old: Entity, new: Entity) -> Iterator[SchemaChange]:
    """Of the fields that both have, by which records can be looked up only in one: that a new field can be is nothing by itself."""
    both = {f.name for f in old.fields} & {f.name for f in new.fields}
    could, can = both & set(old.capabilities.lookup_by), both & set(new.capabilities.lookup_by)
    if lost := sorted(could - can):
        yield SchemaChange("changed", "", Text(_("records can no longer be looked up by {fields}"), {"fields": ", ".join(lost)}))
    if come := sorted(can - could):
        yield SchemaChange("changed", "", Text(_("records can now be looked up by {fields}"), {"fields": ", ".join(come)}))
