"""What can be done to a system and to its entities. Speaking to a system happens outside any transaction; what it said is then stored in one."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from datetime import datetime
from math import ceil
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import ProtectedError
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from connectors.base import Connector, Misfit, SettingsError, Text
from connectors.base import Entity as Schema
from connectors.registry import UnknownConnector, connector_class, kinds
from integration_hub.accounts.actor import Actor
from integration_hub.accounts.models import User
from integration_hub.audit import services as audit
from integration_hub.core import texts
from integration_hub.core.registry import Effect, Use, effects_of, uses_of
from integration_hub.systems.connection import connect, connect_unsaved, keep_secrets, revealed, settings_of, validate_settings
from integration_hub.systems.consent import by_person
from integration_hub.systems.drift import SchemaChange, schema_changes
from integration_hub.systems.health import check_system, end_maintenance, start_maintenance
from integration_hub.systems.models import Credential, Entity, System

__all__ = [
    "InUse",
    "Sample",
    "accept_schema",
    "advice_on",
    "change_system",
    "changes_found",
    "check_system",
    "connect",
    "delete_system",
    "discover_entities",
    "end_maintenance",
    "problems_of_settings",
    "read_sample",
    "register_system",
    "select_entities",
    "start_maintenance",
    "take_schemas",
    "take_system",
    "told_in_use",
    "try_settings",
]  # fmt: skip

Json = dict[str, Any]
SAMPLE_SECONDS = 15.0
DISCOVER_SECONDS = 60.0
OPTIONS = ("read_only", "notes", "check_interval_seconds", "requests_per_second", "requests_per_minute", "requests_per_day")


class InUse(ValidationError):
    """It cannot be deleted or left out, because something else works with it; says what."""

    http_status = 409


# --- systems ----------------------------------------------------------------------------------------------------------


def register_system(*, name: str, connector: str, settings: Mapping[str, Any], by: Actor, owner: User | None = None, **options: Any) -> System:
    """Register an external system. `settings` hold their secrets in place; `options` are OPTIONS. Raises ValidationError by field."""
    by.require("systems.change")
    kind = _kind(connector)
    model, plain, secrets = validate_settings(kind, settings, {})
    system = System(name=name.strip(), slug=_free_slug(name), connector=connector, settings=plain, secrets=secrets, owner=owner)
    _set_options(system, options)
    _adopt_limits(system, model)
    _clean(system)
    with transaction.atomic():
        system.next_check_at = timezone.now()
        system.save()
        audit.record("system.registered", system, by=by, changes={"connector": ["", connector]})
    return system


def change_system(system: System, *, by: Actor, name: str | None = None, settings: Mapping[str, Any] | None = None, **options: Any) -> System:
    """Change a system. Of `settings`, a secret that is left out or empty keeps its stored value. Raises ValidationError by field."""
    by.require("systems.change", system)
    owner = options.pop("owner", _UNCHANGED)
    with transaction.atomic():
        system = System.objects.select_for_update().get(pk=system.pk)
        before = _audited(system)
        identity = _identity(system)
        if name is not None:
            system.name = name.strip()
        if owner is not _UNCHANGED:
            system.owner = owner
        if settings is not None:
            kind = _kind(system.connector)
            stored = revealed(system)
            model, system.settings, secrets = validate_settings(kind, keep_secrets(kind, system.settings, stored, settings), {})
            if secrets != stored:
                system.secrets = secrets
            _adopt_limits(system, model)
        _set_options(system, options)
        _clean(system)
        changes = _differences(before, _audited(system))
        if not changes:
            return system
        if system.state != System.State.MAINTENANCE:
            system.next_check_at = timezone.now()
        system.save()
        if _identity(system) != identity:  # a token of the old address or the old user is of no use to the new one
            Credential.objects.filter(system=system).delete()
        audit.record("system.changed", system, by=by, changes=changes)
    return system


def take_system(system: System, *, by: Actor) -> None:
    """Look after a system that nobody has. Raises ValidationError where somebody was quicker."""
    by.require("systems.check", system)
    with transaction.atomic():
        if not System.objects.filter(pk=system.pk, owner=None).update(owner=by.user_id):
            raise ValidationError(_("Somebody has {name} already.").format(name=system.name))
        audit.record("system.changed", system, by=by, changes={"owner": ["", by.name]})


def advice_on(system: System) -> list[str]:
    """What will give trouble with its settings, valid though they are."""
    return [texts.render(text) for text in _kind(system.connector).advice(settings_of(system))]


def delete_system(system: System, *, by: Actor) -> None:
    """Raises InUse while anything works with it or with one of its entities."""
    by.require("systems.delete", system)
    with transaction.atomic():
        system = System.objects.select_for_update().get(pk=system.pk)
        _refuse_while_used(system)
        audit.record("system.deleted", system, by=by)
        try:
            system.delete()
        except ProtectedError as error:  # by something that told nobody
            raise InUse(
                _("{name} is used by {users}. Change or delete these first.").format(
                    name=system, users=", ".join(sorted(str(row) for row in error.protected_objects)[:5])
                )
            ) from None


def problems_of_settings(*, connector: str, settings: Mapping[str, Any], system: System | None = None) -> dict[str, list[str]]:
    """What is wrong with these settings, by place. With a registered `system`, its stored secrets stand in for those left out."""
    try:
        kind = _kind(connector)
        if system is not None:
            settings = keep_secrets(kind, system.settings, revealed(system), settings)
        validate_settings(kind, settings, {})
    except ValidationError as error:
        return error.message_dict
    return {}


def try_settings(*, connector: str, settings: Mapping[str, Any], by: Actor, system: System | None = None, name: str = "") -> Text:
    """Prove that these settings work, without saving anything; what the system says of us. Raises ValidationError or ConnectorError.

    With a registered `system`, its stored secrets stand in for those left out.
    """
    by.require("systems.change", system)
    kind = _kind(connector)
    unchanged = False
    if system is not None and system.connector == connector:
        settings = keep_secrets(kind, system.settings, revealed(system), settings)
    model, plain, secrets = validate_settings(kind, settings, {})
    tried = System(name=name or (system.name if system else kind.title), connector=connector)
    if system is not None:
        unchanged = _identity(system) == _identity_of(plain, secrets)
    deadline = time.monotonic() + DISCOVER_SECONDS
    opened: AbstractContextManager[Connector] = connect_unsaved(tried, model, deadline=lambda: deadline)
    if unchanged and system is not None:  # with the grant that it already has, for only a person could get another
        opened = connect(system, deadline=lambda: deadline, for_check=True)
    with opened as speaking:
        if by_person(speaking) and not unchanged:
            said = gettext_noop("{system} asks a person first: save, then press Connect. The connection can be tested after it.")
            raise SettingsError(said, system=tried.name)
        return speaking.check()


def _kind(connector: str) -> type[Connector]:
    try:
        return connector_class(connector)
    except UnknownConnector:
        told = _("There is no connector “{kind}”. Installed are: {kinds}.").format(kind=connector, kinds=texts.listed(kinds()))
        raise ValidationError({"connector": told}) from None


def _free_slug(name: str) -> str:
    stem = slugify(name, allow_unicode=True)[:90] or "system"
    taken = {"add", "connected", *System.objects.filter(slug__startswith=stem).values_list("slug", flat=True)}
    return next(slug for number in range(1, len(taken) + 2) if (slug := stem if number == 1 else f"{stem}-{number}") not in taken)


def _set_options(system: System, options: Mapping[str, Any]) -> None:
    if unknown := set(options) - set(OPTIONS):
        raise TypeError(f"no options of a system: {', '.join(sorted(unknown))}")
    for option, value in options.items():
        setattr(system, option, value)


def _clean(system: System) -> None:
    """Raises ValidationError by field, for what people may set."""
    said = {"name", "slug", "owner", *OPTIONS}
    system.full_clean(exclude={f.name for f in system._meta.fields} - said)


def _adopt_limits(system: System, model: Any) -> None:
    """What the connector's settings say of time-outs and requests in flight also stands in columns, for syncs reckon with them."""
    connection = getattr(model, "connection", None)
    if seconds := getattr(connection, "total_seconds", None):
        system.time_out_seconds = ceil(seconds)
    if in_flight := getattr(connection, "in_flight", None):
        system.in_flight = in_flight


def _identity(system: System) -> Any:
    """What decides as whom we speak to what: a token belongs to it."""
    return _identity_of(system.settings, revealed(system))


def _identity_of(plain: Json, secrets: Json) -> Any:
    who = {key: plain.get(key) for key in ("base_url", "auth")} if "base_url" in plain else plain
    return who, secrets


_UNCHANGED = object()
_AUDITED = ("name", "read_only", "notes", "check_interval_seconds", "requests_per_second", "requests_per_minute", "requests_per_day")


def _audited(system: System) -> Json:
    state = {name: getattr(system, name) for name in _AUDITED}
    state["owner"] = str(system.owner) if system.owner else ""
    state.update({f"settings.{path}": value for path, value in _flat(system.settings)})
    state.update({f"secret {path}": system.secrets.ciphertext for path in revealed(system)})
    return state


def _flat(value: Any, way: str = "") -> Iterable[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _flat(part, f"{way}.{name}" if way else name)
    elif isinstance(value, list) and any(isinstance(part, dict) for part in value):
        for number, part in enumerate(value):
            yield from _flat(part, f"{way}.{number}")
    else:
        yield way, value


def _differences(before: Json, after: Json) -> Json:
    changes: Json = {}
    for name in {**before, **after}:
        old, new = before.get(name), after.get(name)
        if old != new:
            secret = name.startswith("secret ")
            changes["secrets" if secret else name] = ["", "changed"] if secret else [old, new]
    return changes


def _refuse_while_used(*subjects: Any) -> None:
    if found := uses_of(*subjects):
        raise InUse(told_in_use(subjects[0], found))


def told_in_use(subject: Any, found: Iterable[Use]) -> str:
    """Why it stays, and where what holds it can be let go, as far as only its own page says so."""
    users = texts.listed(dict.fromkeys(str(use) for use in found))
    told = _("{name} is used by {users}. Change or delete these first.").format(name=subject, users=users)
    if any(use.is_history for use in found):
        told += " " + _("A history is deleted on its own page, to which the page of the system leads.")
    return told


# --- entities ---------------------------------------------------------------------------------------------------------


def discover_entities(system: System, *, by: Actor) -> list[Entity]:
    """Look what the system holds now. What is new is added; a selected entity that looks otherwise keeps its schema until the new one is accepted."""
    by.require("systems.change", system)
    deadline = time.monotonic() + DISCOVER_SECONDS
    with connect(system, deadline=lambda: deadline) as connector:
        found = {schema.name: schema for schema in connector.discover()}
    with transaction.atomic():
        System.objects.select_for_update().get(pk=system.pk)  # two discoveries at once take turns
        known = {entity.name: entity for entity in system.entities.all()}
        for name, schema in found.items():
            _take_found(known.get(name) or Entity(system=system, name=name, schema=schema.model_dump(mode="json")), schema)
        for name in known.keys() - found.keys():
            _take_missing(known[name])
        audit.record("system.discovered", system, by=by, note=", ".join(sorted(found))[:1000])
    return list(system.entities.all())


def _take_found(entity: Entity, schema: Schema) -> None:
    dumped = schema.model_dump(mode="json")
    matters = bool(entity.pk and entity.selected and schema_changes(entity.as_schema(), schema))
    if not matters:
        entity.schema, entity.label = dumped, schema.label
    entity.found_schema = dumped if matters else None
    entity.found_at, entity.is_missing = timezone.now(), False
    entity.save()


def _take_missing(entity: Entity) -> None:
    if entity.selected or uses_of(entity):
        entity.is_missing, entity.found_schema = True, None
        entity.save(update_fields=["is_missing", "found_schema"])
    else:
        entity.delete()


def changes_found(entity: Entity) -> list[SchemaChange]:
    """What accepting the found schema would change."""
    return schema_changes(entity.as_schema(), Schema.model_validate(entity.found_schema)) if entity.found_schema else []


def effects_found(entity: Entity) -> list[Effect]:
    """What the found schema means for the mappings and syncs over the entity: what breaks first. [] where nothing changed."""
    return effects_of(entity, entity.as_schema(), Schema.model_validate(entity.found_schema)) if entity.found_schema else []


def accept_schema(entity: Entity, *, by: Actor) -> Entity:
    """Work with what the system shows now. Mappings that need a field that is gone say so themselves."""
    by.require("systems.change", entity.system)
    with transaction.atomic():
        entity = Entity.objects.select_for_update().get(pk=entity.pk)
        if entity.found_schema is None:
            return entity
        changes = _told(changes_found(entity))
        entity.schema, entity.found_schema = entity.found_schema, None
        entity.label = entity.as_schema().label
        entity.save()
        audit.record("entity.schema_accepted", entity, by=by, changes=changes)
    return entity


def take_schemas(system: System, schemas: Iterable[Schema], *, by: Actor) -> None:
    """Work with these schemas without asking the system: what is new is added, what is known is replaced. Nothing is selected or taken away."""
    by.require("systems.change", system)
    with transaction.atomic():
        System.objects.select_for_update().get(pk=system.pk)
        known = {entity.name: entity for entity in system.entities.all()}
        for schema in schemas:
            dumped = schema.model_dump(mode="json")
            entity = known.get(schema.name)
            if entity is None:
                Entity.objects.create(system=system, name=schema.name, label=schema.label, schema=dumped)
            elif (before := entity.as_schema()) != schema:
                entity.schema, entity.label, entity.found_schema = dumped, schema.label, None
                entity.save(update_fields=["schema", "label", "found_schema"])
                audit.record("entity.schema_accepted", entity, by=by, changes=_told(schema_changes(before, schema)))


def _told(changes: Iterable[SchemaChange]) -> Json:
    return {"schema": ["", [texts.stored(change.text) for change in changes]]}


def select_entities(system: System, names: Iterable[str], *, by: Actor) -> list[Entity]:
    """Offer exactly these entities for mappings. Raises InUse for one that is left out but used, ValidationError for a name that is none."""
    by.require("systems.change", system)
    wanted = set(names)
    with transaction.atomic():
        System.objects.select_for_update().get(pk=system.pk)
        entities = {entity.name: entity for entity in system.entities.all()}
        if unknown := sorted(wanted - entities.keys()):
            raise ValidationError({"entities": _("{system} has no entity {names}.").format(system=system.name, names=", ".join(unknown))})
        for name, entity in entities.items():
            if entity.selected and name not in wanted:
                _refuse_while_used(entity)
        before = sorted(name for name, entity in entities.items() if entity.selected)
        system.entities.filter(name__in=wanted).update(selected=True)
        system.entities.exclude(name__in=wanted).update(selected=False)
        if before != sorted(wanted):
            audit.record("system.entities_selected", system, by=by, changes={"entities": [", ".join(before), ", ".join(sorted(wanted))]})
    return list(system.entities.selected())


@dataclass(frozen=True, slots=True)
class Sample:
    """Some records as the system shows them at this moment: `rows` map field to value, `misfits` are what does not fit the schema."""

    fields: list[str]
    rows: list[Json]
    misfits: list[Misfit] = field(default_factory=list)
    read_at: datetime = field(default_factory=timezone.now)


def read_sample(entity: Entity, *, by: Actor, count: int = 5) -> Sample:
    """The first `count` records, read now. Raises ConnectorError."""
    by.require("records.view", entity)
    schema = entity.as_schema()
    deadline = time.monotonic() + SAMPLE_SECONDS
    with connect(entity.system, deadline=lambda: deadline) as connector:
        with closing(connector.read(schema)) as pages:  # type: ignore[type-var]
            page = next(pages)
        total = connector.count(schema) if schema.capabilities.count else None
    Entity.objects.filter(pk=entity.pk).update(read_last_at=Now(), **({} if total is None else {"record_count": total}))
    frame = page.frame.head(count)
    return Sample(frame.columns, frame.to_dicts(), [misfit for misfit in page.misfits if misfit.row < count])
