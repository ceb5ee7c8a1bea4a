from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from integration_hub.blueprints.document import MappingPart
from integration_hub.core import texts
from integration_hub.mappings import services
from integration_hub.mappings.definition import Definition, DefinitionError, Problem, read_definition
from integration_hub.mappings.models import Mapping
from integration_hub.systems.models import Entity

from .base import AtPath, Context, Json, Part, Path, Several


class MappingsPart(Part[MappingPart]):
    section: ClassVar[str] = "mappings"
    title: ClassVar[Any] = gettext_lazy("mapping")

    def all(self) -> list[Any]:
        return list(self._every().order_by("name"))

    def find(self, name: str) -> Mapping | None:
        return self._every().filter(name=name).first()

    def _every(self) -> Any:
        return Mapping.objects.select_related("source__system", "target__system")

    def needs(self, subject: Mapping) -> list[tuple[str, str]]:
        return [("systems", subject.source.system.name), ("systems", subject.target.system.name)]

    def asks_for(self, said: MappingPart) -> list[tuple[str, str]]:
        return [("systems", name) for path in (said.source, said.target) for name, _entity in _splits(path)]

    def export(self, subject: Mapping, *, warn: Callable[[str], None]) -> Json | None:
        version = subject.latest
        if version is None:
            warn(_("The mapping {name} has no published version and is left out.").format(name=subject))
            return None
        definition = read_definition(version.definition).stored()
        return {"source": entity_name(subject.source), "target": entity_name(subject.target), **definition}

    def apply(self, name: str, said: MappingPart, context: Context) -> None:
        source, target = _entity(said.source, "source"), _entity(said.target, "target")
        mapping = self.find(name)
        try:
            definition = read_definition(said.model_dump(mode="json", exclude_defaults=True, include=set(Definition.model_fields)))
            if mapping is None:
                mapping = services.create_mapping(name=name, source=source, target=target, definition=definition.stored(), by=context.by)
            elif (mapping.source_id, mapping.target_id) != (source.pk, target.pk):
                told = _("{name} goes from {source} to {target} here. A mapping keeps its entities; give another one another name.")
                raise AtPath(("source",), told.format(name=name, source=entity_name(mapping.source), target=entity_name(mapping.target)))
            elif _is_published(mapping, definition):
                return
            else:
                mapping = services.change_mapping(mapping, definition=definition.stored(), by=context.by)
            services.publish_mapping(mapping, by=context.by)
        except DefinitionError as error:
            raise Several([AtPath(_place(problem, said), texts.render(problem.text)) for problem in error.problems]) from None


def _is_published(mapping: Mapping, definition: Definition) -> bool:
    version = mapping.latest
    return version is not None and read_definition(version.definition).hash() == definition.hash()


def _place(problem: Problem, said: MappingPart) -> Path:
    number = next((number for number, field in enumerate(said.fields) if field.target == problem.field), None)
    if number is None:
        return ("match",) if said.match else ()
    return ("fields", number, "steps", problem.step - 1) if problem.step else ("fields", number)


# --- entities by name -------------------------------------------------------------------------------------------------


def entity_name(entity: Entity) -> str:
    return f"{entity.system.name}/{entity.name}"


def _splits(path: str) -> list[tuple[str, str]]:
    """Every way to read it as system and entity; names may hold a slash themselves."""
    cuts = [place for place, sign in enumerate(path) if sign == "/"]
    return [(path[:cut], path[cut + 1 :]) for cut in cuts]


def _entity(path: str, field: str) -> Entity:
    for system, name in _splits(path):
        entity = Entity.objects.filter(system__name=system, name=name).select_related("system").first()
        if entity is not None and not entity.selected:
            raise AtPath((field,), _("{entity} is not among the entities of {system}; add it there.").format(entity=name, system=system))
        if entity is not None:
            return entity
    raise AtPath((field,), _("There is no entity {path}; it is written as system/entity.").format(path=path))
