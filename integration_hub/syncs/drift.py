"""Schemas that change under syncs: what that means for each, and which sync must not run until somebody has seen to it.

A field that a target required and that is there no more means that the target's records are others than those that the mapping was made for: the sync
stops with one sentence, also before anyone has accepted the change. Its cursor stays where it is, so that nothing is missed meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from connectors.base import Entity as Schema
from connectors.base import Text
from integration_hub.core import texts
from integration_hub.core.expressions.errors import ExpressionError
from integration_hub.core.registry import Effect
from integration_hub.mappings.effects import problems_with
from integration_hub.mappings.models import MappingVersion
from integration_hub.syncs.models import Sync, SyncCursor
from integration_hub.syncs.states import Mode
from integration_hub.systems.models import Entity


def vanished(sync: Sync, version: MappingVersion) -> Text | None:
    """That required fields of the target, which this version fills, are there no more, in the schema that is worked with or the one that was found."""
    target = sync.target
    schemas = [target.as_schema(), *([Schema.model_validate(target.found_schema)] if target.found_schema else [])]
    gone = [name for name in _required(version) if any(schema.field(name) is None for schema in schemas)]
    if not gone:
        return None
    said = gettext_noop("{entity} no longer has {fields}, which it required. Publish the mapping {name} without it; the cursor stays where it is.")
    return Text(said, {"entity": target, "fields": texts.listed(gone), "name": sync.mapping})


def _required(version: MappingVersion) -> list[str]:
    """The target fields of a version that are required: by the mapping itself, or by the target as it was when it was published."""
    of_target = {field["name"] for field in version.target_schema.get("fields", ()) if field.get("required")}
    told: list[dict[str, Any]] = version.definition.get("fields", [])
    return [each["target"] for each in told if each.get("required") or (each.get("required") is None and each["target"] in of_target)]


def syncs_touched_by(entity: Entity, old: Schema, new: Schema) -> list[Effect]:
    """Every sync over the entity, with what breaks and what goes on once it looks like `new`."""
    syncs = Sync.objects.filter(Q(pair__a=entity) | Q(pair__b=entity)).with_names().order_by("name")
    return [_effect(sync, entity, old, new) for sync in syncs]


def _effect(sync: Sync, entity: Entity, old: Schema, new: Schema) -> Effect:
    breaks = [*_breaks(sync, entity, old, new)]
    cursor = SyncCursor.objects.filter(sync=sync, side=sync.source_side).first()
    goes_on = []
    if cursor is not None and not (entity.pk == sync.source.pk and old.cursor_field != new.cursor_field):
        goes_on.append(_("The cursor stays at {value}.").format(value=cursor.value[:80]))
    if old.key == new.key:
        goes_on.append(_("Links stay."))
    if not breaks:
        goes_on.insert(0, _("It runs on."))
    return Effect(sync.name, _("Sync"), sync.get_absolute_url(), tuple(breaks), tuple(goes_on))


def _breaks(sync: Sync, entity: Entity, old: Schema, new: Schema) -> Iterator[str]:
    version = sync.mapping.latest
    if version is not None:
        gone = [name for name in _required(version) if entity.pk == sync.target.pk and new.field(name) is None]
        if gone:
            yield _("It stops, also before this is accepted: {fields}, which the target required, is gone.").format(fields=texts.listed(gone))
        elif problems_with(sync.mapping, version.definition, entity, new, before=old):
            yield _("Its runs fail until a version of the mapping {name} is published that fits.").format(name=sync.mapping)
    if old.key != new.key:
        yield _("Its links stand under the key {before}; under {after} no record is known again.").format(
            before=texts.listed(old.key), after=texts.listed(new.key)
        )
    could, can = old.capabilities.lookup_by_key, new.capabilities.lookup_by_key
    if entity.pk == sync.target.pk and could and not can and (sync.reconcile_interval_seconds or sync.reconcile_crontab):
        yield _("It can no longer reconcile: the target cannot be asked for single records.")
    if entity.pk == sync.source.pk:
        yield from _of_source(sync, old, new)


def _of_source(sync: Sync, old: Schema, new: Schema) -> Iterator[str]:
    if sync.mode == Mode.INCREMENTAL and not new.capabilities.incremental and old.capabilities.incremental:
        yield _("It can no longer ask for what changed; choose Full.")
    elif sync.mode == Mode.INCREMENTAL and old.cursor_field != new.cursor_field:
        yield _("Its cursor stands by {before}, which is no measure of {after}: set the cursor, or run it in full.").format(
            before=old.cursor_field or "—", after=new.cursor_field or "—"
        )
    elif sync.mode == Mode.INCREMENTAL and new.cursor_field and _type(old, new.cursor_field) != _type(new, new.cursor_field):
        yield _("Its cursor field {field} is of another type: set the cursor, or run it in full.").format(field=new.cursor_field)
    if sync.filter and _reads(sync.filter, old) and not _reads(sync.filter, new):
        yield _("Its filter no longer fits the fields.")


def _type(schema: Schema, name: str) -> str:
    field = schema.field(name)
    return field.type.value if field else ""


def _reads(text: str, schema: Schema) -> bool:
    from integration_hub.core.expressions import language

    try:
        language.parse(text, {field.name: field.type for field in schema.fields})
    except ExpressionError:
        return False
    return True
