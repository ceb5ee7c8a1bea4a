"""What a new version of a mapping will touch. What uses mappings registers here, for it lies above."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from integration_hub.core.registry import Registry, uses_of
from integration_hub.mappings.models import Mapping


@dataclass(frozen=True)
class Touched:
    """Something that works by the new version as soon as it is published: a sync, with the records it has linked."""

    name: str
    href: str
    state: str = "idle"
    word: str = ""
    schedule: str = ""
    linked_count: int | None = None  # stopped one above 10,000


touches: Registry[Callable[[Mapping, Any], list[Touched]]] = Registry("what a mapping touches")  # (mapping, by), filled by what uses mappings


def touched_by(mapping: Mapping, by: Any) -> list[Touched]:
    """What uses the mapping; where nobody tells more, the uses as they are."""
    found = [one for find in touches.values() for one in find(mapping, by)]
    told = {one.href for one in found}
    return found + [Touched(use.name, use.href, use.state, use.word) for use in uses_of(mapping) if use.href not in told]
