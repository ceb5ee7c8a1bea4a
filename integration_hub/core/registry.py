"""What is below reaches what is above only through these: apps fill them in `AppConfig.ready()`; no name twice."""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterator, ValuesView
from typing import Generic, TypeVar

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


sweeps: Registry[Callable[[], None]] = Registry("sweeps")  # called every five seconds, each on its own; short, and safe to run twice at once
uses: Registry[Callable[..., list[str]]] = Registry("uses")  # (object) → names of what needs it, so that nothing in use is deleted
recorders: Registry[Callable[..., object]] = Registry("recorders")  # "audit": writes down what is done below the audit log, in the same transaction
