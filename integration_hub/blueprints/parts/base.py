"""What a part of a configuration file can do."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from django.db import models

from integration_hub.accounts.actor import Actor

S = TypeVar("S")
Json = dict[str, Any]
Path = tuple[str | int, ...]


class AtPath(Exception):
    """What is wrong with a value, by its path inside the part."""

    def __init__(self, path: Path, text: str) -> None:
        self.path, self.text = path, text
        super().__init__(text)


class Several(Exception):
    def __init__(self, found: list[AtPath]) -> None:
        self.found = found
        super().__init__(f"{len(found)}")


@dataclass(slots=True)
class Context:
    """What applying a file needs besides it, and what it leaves to be told."""

    by: Actor
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    secrets_changed: list[str] = field(default_factory=list)  # of the object being applied: paths
    notes: list[str] = field(default_factory=list)  # for people


class Part(ABC, Generic[S]):
    """`section` is its key in the file. Objects have natural keys: their names."""

    section: ClassVar[str]
    title: ClassVar[Any]

    @abstractmethod
    def all(self) -> list[models.Model]:
        """Every object, by name."""

    @abstractmethod
    def find(self, name: str) -> models.Model | None: ...

    @abstractmethod
    def export(self, subject: Any, *, warn: Callable[[str], None]) -> Json | None:
        """The object as a file says it, without defaults; None where it cannot be in a file, after `warn` has said why."""

    @abstractmethod
    def needs(self, subject: Any) -> list[tuple[str, str]]:
        """(section, name) of what it builds on."""

    @abstractmethod
    def asks_for(self, said: S) -> list[tuple[str, str]]:
        """(section, name) of what a file's object builds on, as far as its own text tells."""

    @abstractmethod
    def apply(self, name: str, said: S, context: Context) -> None:
        """Make it so, by the services. Raises AtPath, Several, or ValidationError by field."""


def without_defaults(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> Json:
    return {name: value for name, value in values.items() if name not in defaults or value != defaults[name]}
