"""YAML in: plain values and, for every value, where it stands, so that whatever is wrong with it can be told with its line.

A file is written by people and reviewed by people, so only what they read at a glance is taken: one document, text keys, no key twice, no
anchors and aliases (which also make a small file a huge one), no tags. Words such as `no` and `2026-01-05` are text; only true, false, null and
numbers are not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from django.utils.translation import gettext as _

LARGEST = 10 * 1024 * 1024
DEEPEST = 40
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands, counted from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong, and where."""

    place: Place
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


class Wrong(Exception):
    """What the files say cannot be used; `mistakes` are all that were found, in the order of the files."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        self.mistakes = sorted(dict.fromkeys(mistakes), key=lambda m: (m.place.file, m.place.line, m.place.column))
        super().__init__("\n".join(map(str, self.mistakes)))


@dataclass(slots=True)
class Source:
    """What a file says. `places` has the place of every value by its path; that of a mapping's value is its key's."""

    name: str
    value: Any
    places: dict[Path, Place] = field(default_factory=dict)

    def place(self, path: Path) -> Place:
        """Where this path stands; of a path that is not there, where the nearest part of it stands. Steps that the file does not have are passed
        over: pydantic names the chosen member of a union in its paths."""
        here: Path = ()
        for step in path:
            if (*here, step) in self.places:
                here = (*here, step)
        return self.places.get(here, Place(self.name, 1, 1))


def read(name: str, text: str | bytes) -> Source:
    """Raises Wrong."""
    if len(text) > LARGEST:
        raise Wrong([Mistake(Place(name, 1, 1), _("The file is larger than {size} MB.").format(size=LARGEST // 1024 // 1024))])
    try:
        loader = _Loader(text)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Wrong([_syntax(name, error)]) from None
    try:
        node = loader.get_single_node()
    except yaml.YAMLError as error:
        raise Wrong([_syntax(name, error)]) from None
    finally:
        loader.dispose()
    source = Source(name, None)
    if node is None:
        raise Wrong([Mistake(Place(name, 1, 1), _("The file is empty."))])
    mistakes: list[Mistake] = []
    source.value = _value(node, (), source, mistakes)
    if mistakes:
        raise Wrong(mistakes)
    return source


class _Refused(yaml.MarkedYAMLError):
    pass


class _Loader(yaml.reader.Reader, yaml.scanner.Scanner, yaml.parser.Parser, yaml.composer.Composer, yaml.resolver.BaseResolver):
    """Composes nodes and constructs nothing."""

    def __init__(self, stream: str | bytes) -> None:
        yaml.reader.Reader.__init__(self, stream)
        yaml.scanner.Scanner.__init__(self)
        yaml.parser.Parser.__init__(self)
        yaml.composer.Composer.__init__(self)
        yaml.resolver.BaseResolver.__init__(self)
        self.depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _Refused(None, None, _("anchors and aliases are not taken; write it out"), event.start_mark)
        if getattr(event, "tag", None) not in (None, "!"):
            raise _Refused(None, None, _("tags are not taken"), event.start_mark)
        if self.depth >= DEEPEST:
            raise _Refused(None, None, _("it is nested too deeply"), event.start_mark)
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
NUMBER = re.compile(r"[-+]?[0-9]+\.[0-9]*(?:[eE][-+][0-9]+)?")
WORDS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False, "null": None, "Null": None, "NULL": None}
WORDS |= {"~": None, "": None}


def _value(node: Any, path: Path, source: Source, mistakes: list[Mistake]) -> Any:
    source.places.setdefault(path, _place(source.name, node.start_mark))
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node, path, source, mistakes)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*path, number), source, mistakes) for number, item in enumerate(node.value)]
    return dict(_items(node, path, source, mistakes))


def _scalar(node: Any, path: Path, source: Source, mistakes: list[Mistake]) -> Any:
    text: str = node.value
    if node.style is not None:
        return text
    if text in WORDS:
        return WORDS[text]
    if INTEGER.fullmatch(text):
        if len(text) > 19 or not -(2**63) <= int(text) < 2**63:
            mistakes.append(Mistake(source.place(path), _("the number {number} is too large; quote it where it is text").format(number=text[:40])))
            return 0
        return int(text)
    return float(text) if NUMBER.fullmatch(text) else text


def _items(node: Any, path: Path, source: Source, mistakes: list[Mistake]) -> Iterator[tuple[str, Any]]:
    seen: dict[str, Place] = {}
    for key_node, value_node in node.value:
        here = _place(source.name, key_node.start_mark)
        if not isinstance(key_node, yaml.ScalarNode):
            mistakes.append(Mistake(here, _("a key must be text")))
            continue
        key = key_node.value
        if key in seen:
            mistakes.append(Mistake(here, _("“{key}” is there twice, first in line {line}").format(key=key, line=seen[key].line)))
            continue
        seen[key] = source.places[(*path, key)] = here
        yield key, _value(value_node, (*path, key), source, mistakes)


def _place(name: str, mark: Any) -> Place:
    return Place(name, mark.line + 1, mark.column + 1) if mark else Place(name, 1, 1)


def _syntax(name: str, error: Exception) -> Mistake:
    if isinstance(error, yaml.MarkedYAMLError):
        return Mistake(_place(name, error.problem_mark or error.context_mark), error.problem or error.context or _("this is not YAML"))
    if isinstance(error, yaml.reader.ReaderError):
        return Mistake(Place(name, 1, 1), _("character number {number} cannot stand in YAML").format(number=error.position + 1))
    return Mistake(Place(name, 1, 1), _("this is not YAML in UTF-8"))
