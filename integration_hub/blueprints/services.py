"""Configuration as text: export what the hub has, show what a file would change, apply it all or not at all.

Applying works through the same services as people do, in one transaction, and asks no system anything: the fields of an entity come from the
system's settings or from the file. A diff is an application that is rolled back, so it finds what applying would find. Nothing is ever deleted.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _
from pydantic import ValidationError as Invalid

from connectors.base import ConnectorError
from integration_hub.accounts.actor import Actor
from integration_hub.blueprints.document import VERSION, Document
from integration_hub.blueprints.parts import PARTS, Context, Part
from integration_hub.blueprints.parts.base import AtPath, Several
from integration_hub.blueprints.reading import Mistake, Path, Source, Wrong, read
from integration_hub.core import texts
from integration_hub.core.findings import findings, sentence

Json = dict[str, Any]
Name = tuple[str, str]  # (section, name)


@dataclass(frozen=True, slots=True)
class Change:
    """What applying does to one object: `fields` maps a path to [before, after]; all of them for one that is new."""

    section: str
    name: str
    is_new: bool
    fields: dict[str, list[Any]]


@dataclass(slots=True)
class Result:
    changes: list[Change] = field(default_factory=list)
    unchanged: list[Name] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


# --- out --------------------------------------------------------------------------------------------------------------


def export_config(*, by: Actor, names: Iterable[str] = (), warn: Callable[[str], None] = lambda text: None) -> Json:
    """The hub's configuration, or that of the objects with these names and of what they build on. Raises ValidationError for an unknown name."""
    by.require("config.export")
    wanted = set(names)
    chosen = _with_needs(wanted) if wanted else None
    document: Json = {"version": VERSION}
    for part in PARTS:
        found = {}
        for subject in part.all():
            if chosen is None or (part.section, str(subject)) in chosen:
                said = part.export(subject, warn=warn)
                if said is not None:
                    found[str(subject)] = said
        if found:
            document[part.section] = found
    return document


def _with_needs(wanted: set[str]) -> set[Name]:
    needs = {(part.section, str(subject)): part.needs(subject) for part in PARTS for subject in part.all()}
    known = {name for __, name in needs}
    chosen: set[Name] = set()
    left = [name for name in needs if name[1] in wanted]
    while left:
        name = left.pop()
        if name not in chosen:
            chosen.add(name)
            left += needs.get(name, ())
    if unknown := sorted(wanted - known):
        raise ValidationError(_("There is no system, mapping or sync called {names}.").format(names=", ".join(unknown)))
    return chosen


# --- in ---------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Said:
    """One object as a file says it, and where."""

    part: Part[Any]
    name: str
    spec: Any
    source: Source

    def mistake(self, path: Path, text: str) -> Mistake:
        return Mistake(self.source.place((self.part.section, self.name, *path)), text)


def load(files: Sequence[tuple[str, str | bytes]]) -> list[Said]:
    """The objects that these files (name, text) describe, in the order in which they are applied. Raises Wrong with all that is wrong."""
    found: dict[Name, Said] = {}
    mistakes: list[Mistake] = []
    for name, text in files:
        try:
            for said in _said(name, text):
                key = (said.part.section, said.name)
                if key in found:
                    place = found[key].source.place(key)
                    mistakes.append(said.mistake((), _("“{name}” is there already, at {place}.").format(name=said.name, place=place)))
                found[key] = said
        except Wrong as wrong:
            mistakes += wrong.mistakes
    if mistakes:
        raise Wrong(mistakes)
    order = {part.section: number for number, part in enumerate(PARTS)}
    return _behind_what_they_ask_for(sorted(found.values(), key=lambda said: (order[said.part.section], said.name)))


def _behind_what_they_ask_for(objects: list[Said]) -> list[Said]:
    """In this order, but each behind those of the objects that it builds on."""
    by_name = {(said.part.section, said.name): said for said in objects}
    placed: dict[Name, Said] = {}
    seen: set[Name] = set()

    def place(name: Name) -> None:
        if name in by_name and name not in seen:
            seen.add(name)
            for other in by_name[name].part.asks_for(by_name[name].spec):
                place(other)
            placed[name] = by_name[name]

    for name in by_name:
        place(name)
    return list(placed.values())


def _said(name: str, text: str | bytes) -> Iterator[Said]:
    source = read(name, text)
    if isinstance(source.value, dict) and isinstance(source.value.get("version"), int) and source.value["version"] != VERSION:
        told = _("this hub reads version {known} of the format, not {version}").format(known=VERSION, version=source.value["version"])
        raise Wrong([Mistake(source.place(("version",)), told)])
    try:
        document = Document.model_validate(source.value)
    except Invalid as invalid:
        raise Wrong(
            [
                Mistake(source.place(tuple(error["loc"])), texts.render(sentence(error, skip=min(2, len(error["loc"]) - 1))))
                for error in findings(invalid)
            ]
        ) from None
    for part in PARTS:
        for key, spec in getattr(document, part.section).items():
            yield Said(part, key, spec, source)


def apply_config(
    files: Sequence[tuple[str, str | bytes]], *, by: Actor, environ: Mapping[str, str] | None = None, dry: bool = False, only: set[Name] | None = None
) -> Result:
    """Make the hub as these files say, all of it or nothing. `dry` only tells what would change; `only` takes some of the objects.

    Raises Wrong with the place of everything that is wrong.
    """
    by.require("config.apply")
    objects = [said for said in load(files) if only is None or (said.part.section, said.name) in only]
    result, mistakes = Result(), list[Mistake]()
    failed: set[Name] = set()
    with transaction.atomic():
        for said in objects:
            if failed & set(said.part.asks_for(said.spec)):
                failed.add((said.part.section, said.name))
                continue
            context = Context(by, os.environ if environ is None else environ)
            try:
                with transaction.atomic():
                    change = _apply(said, context)
            except Wrong as wrong:
                failed.add((said.part.section, said.name))
                mistakes += wrong.mistakes
                continue
            result.notes += context.notes
            if change is None:
                result.unchanged.append((said.part.section, said.name))
            else:
                result.changes.append(change)
        if mistakes:
            raise Wrong(mistakes)
        if dry:
            transaction.set_rollback(True)
    return result


def _apply(said: Said, context: Context) -> Change | None:
    """What changed, or None. Raises Wrong."""
    before = _state(said)
    try:
        said.part.apply(said.name, said.spec, context)
    except AtPath as one:
        raise Wrong([said.mistake(one.path, one.text)]) from None
    except Several as several:
        raise Wrong([said.mistake(one.path, one.text) for one in several.found]) from None
    except ValidationError as error:
        raise Wrong(list(_by_field(said, error))) from None
    except ConnectorError as error:
        raise Wrong([said.mistake((), texts.render(error.text))]) from None
    after = _state(said)
    fields = _differences(before or {}, after or {})
    fields |= {path: ["", _("changed")] for path in context.secrets_changed} if before is not None else {}
    return Change(said.part.section, said.name, before is None, fields) if fields or before is None else None


def _state(said: Said) -> Json | None:
    subject = said.part.find(said.name)
    return None if subject is None else said.part.export(subject, warn=lambda text: None) or {}


def _by_field(said: Said, error: ValidationError) -> Iterator[Mistake]:
    found = error.message_dict if hasattr(error, "error_dict") else {"__all__": error.messages}
    for name, messages in found.items():
        yield from (said.mistake((name,), message) for message in messages)


def _differences(before: Json, after: Json) -> dict[str, list[Any]]:
    old, new = dict(_flat(before)), dict(_flat(after))
    return {path: [old.get(path), new.get(path)] for path in {**old, **new} if old.get(path) != new.get(path)}


def _flat(value: Any, way: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, part in value.items():
            yield from _flat(part, f"{way}.{name}" if way else str(name))
    elif isinstance(value, list | tuple) and any(isinstance(part, dict | list | tuple) for part in value):
        for number, part in enumerate(value):
            yield from _flat(part, f"{way}.{number}")
    else:
        yield way, value
