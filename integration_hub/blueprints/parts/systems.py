from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from connectors.base import Connector, SettingsError
from connectors.base import Entity as Schema
from connectors.registry import UnknownConnector, connector_class
from integration_hub.blueprints import references
from integration_hub.blueprints.document import SchemaPart, SystemPart
from integration_hub.systems import services
from integration_hub.systems.connection import join_secrets, kind_of, revealed, settings_of, validate_settings
from integration_hub.systems.models import System
from integration_hub.systems.shape import hosts_in, secrets_in

from .base import AtPath, Context, Json, Part, Path, Several, without_defaults

OPTIONS = services.OPTIONS
DEFAULTS = {name: info.get_default() for name, info in SystemPart.model_fields.items() if name in OPTIONS}


class SystemsPart(Part[SystemPart]):
    section: ClassVar[str] = "systems"
    title: ClassVar[Any] = gettext_lazy("system")

    def all(self) -> list[Any]:
        return list(System.objects.order_by("name").prefetch_related("entities"))

    def find(self, name: str) -> System | None:
        return System.objects.filter(name=name).prefetch_related("entities").first()

    def needs(self, subject: System) -> list[tuple[str, str]]:
        return []

    def asks_for(self, said: SystemPart) -> list[tuple[str, str]]:
        return []

    # --- out ----------------------------------------------------------------------------------------------------------

    def export(self, subject: System, *, warn: Callable[[str], None]) -> Json | None:
        settings = _escaped(subject.settings)
        variables = _variables()
        for path, value in revealed(subject).items():
            settings = join_secrets(settings, {path: _references(value, f"{subject.pk}/{path}", variables)})
        selected = sorted((e for e in subject.entities.all() if e.selected), key=lambda e: e.name)
        declared = _declared(subject)
        schemas = {e.name: e.as_schema() for e in selected if declared.get(e.name) != e.as_schema()}
        found: Json = {"connector": subject.connector, "settings": settings}
        if selected:
            found["entities"] = [entity.name for entity in selected]
        if schemas:
            found["schemas"] = {name: SchemaPart.of(schema).model_dump(mode="json", exclude_defaults=True) for name, schema in schemas.items()}
        return found | without_defaults({name: getattr(subject, name) for name in OPTIONS}, DEFAULTS)

    # --- in -----------------------------------------------------------------------------------------------------------

    def apply(self, name: str, said: SystemPart, context: Context) -> None:
        kind = _kind(said.connector)
        system = self.find(name)
        if system is not None and system.connector != said.connector:
            told = _("{name} speaks through the connector {connector} here. A system keeps its connector; give another one another name.")
            raise AtPath(("connector",), told.format(name=name, connector=system.connector))
        settings = _resolved(kind, said.settings, system, context)
        options = {option: getattr(said, option) for option in OPTIONS}
        try:
            model, _plain, sealed = validate_settings(kind, settings, {})
            before = revealed(system) if system is not None else {}
            if system is None:
                system = services.register_system(name=name, connector=said.connector, settings=settings, by=context.by, **options)
            else:
                system = services.change_system(system, by=context.by, settings=settings, **options)
                changed = {path for path in {*before, *sealed} if before.get(path) != sealed.get(path)}
                context.secrets_changed += sorted(f"settings.{path.replace('/', '.')}" for path in changed)
        except ValidationError as error:
            raise Several(list(_settings_mistakes(error))) from None
        self._apply_entities(system, said, kind.declared(model, system=name), context)

    def _apply_entities(self, system: System, said: SystemPart, declared: list[Schema], context: Context) -> None:
        schemas = {schema.name: schema for schema in declared}
        schemas |= {name: part.as_schema(name) for name, part in said.schemas.items()}
        known = {entity.name for entity in system.entities.all()}
        for number, name in enumerate(said.entities):
            if name not in schemas and name not in known:
                told = _(
                    "The settings do not describe the fields of {entity}; describe them under schemas, or export a hub that has discovered them."
                )
                raise AtPath(("entities", number), told.format(entity=name))
        services.take_schemas(system, schemas.values(), by=context.by)
        try:
            services.select_entities(system, said.entities, by=context.by)
        except ValidationError as error:
            raise AtPath(("entities",), " ".join(error.messages)) from None


def _kind(connector: str) -> type[Connector]:
    try:
        return connector_class(connector)
    except UnknownConnector as error:
        raise AtPath(("connector",), str(error)) from None


def _declared(system: System) -> dict[str, Schema]:
    """What the stored settings describe; nothing where they are no longer usable."""
    try:
        return {schema.name: schema for schema in kind_of(system).declared(settings_of(system), system=system.name)}
    except SettingsError:
        return {}


# --- references and secrets -------------------------------------------------------------------------------------------


def _resolved(kind: type[Connector], settings: Json, system: System | None, context: Context) -> Json:
    """The settings with the values of their references. A secret whose variable is not set keeps its stored value."""
    secret_places = [way for way, _model in secrets_in(kind.Settings, settings)]
    stored = revealed(system) if system is not None else {}
    found, mistakes, kept = _copied(settings), [], []
    for path, text in list(references.texts_in(settings)):
        is_secret = any(tuple(map(str, path[: len(way)])) == way for way in secret_places)
        if is_secret and text and not references.is_reference(text):
            told = _("A secret does not stand in a file. Put it into the environment and a reference here, such as {reference}.")
            mistakes.append(AtPath(("settings", *path), told.format(reference="${ENV:CRM_TOKEN}")))
            continue
        try:
            value = references.resolve(text, context.environ)
        except references.NotSet as error:
            old = _stored_at(stored, path) if is_secret and error.variable not in references.OF_THE_HUB else None
            if old is None:
                mistakes.append(AtPath(("settings", *path), str(error)))
                continue
            value = old
            kept.append(error.variable)
        _put(found, path, value)
    if kept and system is not None and (strange := hosts_in(found) - hosts_in(system.settings)):
        told = _("The address changed to {host}, and a stored secret is not sent to another host: set {variables}.")
        mistakes.append(AtPath(("settings",), told.format(host=min(strange), variables=", ".join(kept))))
    if mistakes:
        raise Several(mistakes)
    context.notes += [_("{variable} is not set; {system} keeps the secret it has.").format(variable=v, system=system) for v in kept]
    return found


def _stored_at(stored: Mapping[str, Any], path: Path) -> str | None:
    for cut in range(len(path), 0, -1):
        here = stored.get("/".join(map(str, path[:cut])))
        for step in path[cut:]:
            here = here.get(step) if isinstance(here, dict) else None
        if isinstance(here, str):
            return here
    return None


def _references(value: Any, way: str, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _references(part, f"{way}/{name}", variables) for name, part in value.items()}
    return variables[way]


def _variables() -> dict[str, str]:
    """(id of the system / path of the secret) → its reference, for all systems, so that a part of them is exported with the same names."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for system in System.objects.order_by("pk"):
        for path, value in sorted(revealed(system).items()):
            for way in _leaves(value, path):
                name = system.name if system.name.isascii() else f"system {zlib.crc32(system.name.encode()):08x}"
                wanted = references.reference(name, *way.split("/"))
                number, free = 2, wanted
                while free in taken:
                    free, number = f"{wanted[:-1]}_{number}}}", number + 1
                taken.add(free)
                found[f"{system.pk}/{way}"] = free
    return found


def _leaves(value: Any, way: str) -> Iterator[str]:
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _leaves(part, f"{way}/{name}")
    else:
        yield way


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return references.escape(value)
    if isinstance(value, Mapping):
        return {name: _escaped(part) for name, part in value.items()}
    return [_escaped(part) for part in value] if isinstance(value, list | tuple) else value


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copied(part) for name, part in value.items()}
    return [_copied(part) for part in value] if isinstance(value, list) else value


def _put(value: Any, path: Path, text: str) -> None:
    for step in path[:-1]:
        value = value[step]
    value[path[-1]] = text


def _settings_mistakes(error: ValidationError) -> Iterator[AtPath]:
    if not hasattr(error, "error_dict"):
        yield AtPath((), " ".join(error.messages))
        return
    own = {*OPTIONS, "name", "slug", "connector", "settings", "__all__"}
    for place, messages in error.message_dict.items():
        way: Path = tuple(int(step) if step.isdecimal() else step for step in place.split("."))
        yield from (AtPath(way if place in own else ("settings", *way), f"{place}: {message}") for message in messages)
