"""What is below reaches what is above only through these: apps fill them in `AppConfig.ready()`; no name twice."""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterator, ValuesView
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Registry(Generic[T]):
    """Things by name, in the order in which they were registered."""

    def __init__(self, what: str) -> None:
        self.what = what
        self._things: dict[str, T] = {}

    def register(self, name: str, thing: T) -> T:
        """Raises ValueError for a name that is taken."""
        if name in self._things:
            raise ValueError(f"Two {self.what} are called {name}.")
        self._things[name] = thing
        return thing

    def __getitem__(self, name: str) -> T:
        return self._things[name]

    def __contains__(self, name: str) -> bool:
        return name in self._things

    def __iter__(self) -> Iterator[str]:
        return iter(self._things)

    def values(self) -> ValuesView[T]:
        return self._things.values()

    def items(self) -> ItemsView[str, T]:
        return self._things.items()


@dataclass(frozen=True)
class Use:
    """Something that works with an object, so that the object cannot be deleted and stands still when it fails; shown on the object's page."""

    name: str
    kind: str = ""  # "Sync", "Mapping", translated
    href: str = ""
    state: str = "idle"  # ok, run, warn, bad or idle
    word: str = ""  # the state as a word
    owner: str = ""
    parts: tuple[int, ...] = ()  # keys of the parts of the object that it works with: of a system, its entities
    is_history: bool = False  # what is over, and only still told of

    def __str__(self) -> str:
        return self.name


def uses_of(*subjects: object) -> list[Use]:
    """What works with any of these, each once."""
    return list(dict.fromkeys(use for subject in subjects for find in uses._things.values() for use in find(subject)))


@dataclass(frozen=True)
class Effect:
    """What another schema of an entity means for something that works with it: what breaks, and what goes on; sentences."""

    name: str
    kind: str = ""  # "Sync", "Mapping", translated
    href: str = ""
    breaks: tuple[str, ...] = ()
    goes_on: tuple[str, ...] = ()


def effects_of(entity: object, old: object, new: object) -> list[Effect]:
    """What it means that this entity's schema, `old`, is now `new`: what breaks first."""
    found = [effect for find in effects._things.values() for effect in find(entity, old, new)]
    return sorted(found, key=lambda effect: not effect.breaks)


sweeps: Registry[Callable[[], None]] = Registry("sweeps")  # called every five seconds, each on its own; short, and safe to run twice at once
uses: Registry[Callable[[object], list[Use]]] = Registry("uses")  # (object) → what works with it or a part of it, so that nothing in use is deleted
effects: Registry[Callable[..., list[Effect]]] = Registry("effects")  # (entity, old schema, new one) → what that means for what works with it
# "audit" and, for what is typed at the hub's machine, "command": write down what is done below the audit log, in the same transaction
recorders: Registry[Callable[..., object]] = Registry("recorders")
event_texts: Registry[str] = Registry("event texts")  # "run.started" → "started a run of {subject}", to be translated; what the audit log says of it

stored_files: Registry[tuple[Any, str]] = Registry("stored files")  # (model, field): which column names files of the storage, for backups and sweeps
manifest_parts: Registry[Callable[[Any], Any]] = Registry("parts of the manifest")  # (dumps.Moment) → what a backup's manifest says beside its own
restored: Registry[Callable[[], None]] = Registry(
    "restored"
)  # called after a backup was put back, in one transaction: what is there may be overtaken
