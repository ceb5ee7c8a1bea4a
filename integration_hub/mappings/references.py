"""What the references of a mapping point to, and where the links are that they ask for. What keeps links registers here, for it lies above."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from connectors.base import SettingsError, Text, _
from integration_hub.core.expressions.errors import did_you_mean
from integration_hub.core.registry import Registry
from integration_hub.mappings.definition import Definition, DefinitionError, Problem, Step, read_definition
from integration_hub.mappings.engine import Links
from integration_hub.mappings.models import Mapping
from integration_hub.systems.models import System

links: Registry[Callable[[System, System], Links]] = Registry("keepers of links")  # (source, target) → links by the entity that a reference points to


def steps_of(definition: Definition) -> Iterator[tuple[str, int, Step]]:
    """(target field, number, step) of every step that follows a reference."""
    for mapped in definition.fields:
        for number, step in enumerate(mapped.steps, 1):
            if step.declared.wants_links:
                yield mapped.target, number, step


def entities_pointed_to(definition: Any) -> list[str]:
    """The entities of the source that a stored definition's references point to; none where it cannot be read."""
    try:
        found = steps_of(read_definition(definition))
        return list(dict.fromkeys(step.parameters.entity for *__, step in found))  # type: ignore[attr-defined]
    except DefinitionError:
        return []


def problems(mapping: Mapping, definition: Any) -> list[Problem]:
    """References to entities that the systems do not have. What is wrong with the definition itself is not told here."""
    try:
        steps = list(steps_of(read_definition(definition)))
    except DefinitionError:
        return []
    found = []
    for field, number, step in steps:
        told: Any = step.parameters
        for system, name in ((mapping.source.system, told.entity), (mapping.target.system, told.target)):
            names = list(system.entities.values_list("name", flat=True)) if name else []
            if name and name not in names:
                found.append(Problem(_unknown(system, name, names), field, number))
    return found


def _unknown(system: System, name: str, names: Sequence[str]) -> Text:
    if suggestion := did_you_mean(name, names):
        return Text(_("{system} has no entity {name}. Did you mean {suggestion}?"), {"system": system.name, "name": name, "suggestion": suggestion})
    return Text(_("{system} has no entity {name}."), {"system": system.name, "name": name})


def linked(mapping: Mapping, asked: Iterable[tuple[str, str, list[str]]]) -> list[tuple[str, str, dict[str, str]]]:
    """What is linked of what a preview asked for, in its form. Where there is no pair to look in, nothing is."""
    found = []
    for entity, target, keys in asked:
        known: dict[str, str] = {}
        for keeper in links.values():
            try:
                known.update(keeper(mapping.source.system, mapping.target.system)(entity, target, keys))
            except SettingsError:
                continue
        found.append((entity, target, known))
    return found
