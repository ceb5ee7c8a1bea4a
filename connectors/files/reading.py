"""One pass through the files of an entity, in the order in which they were modified: what is read later is the newer.

A position is {"path", "version": of a file, "at": a place inside it, made by its reader, "upto": where a part of it ends}. Where that file is no longer
the same, reading starts anew. What changed since a cursor are whole files: a file that is written again is read again. That a file is gone is not seen.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from connectors.base import Cursor, Entity, Field, FieldType, Misfit, Page, Position, SettingsError, Text, _, frame_type
from connectors.canonical import from_canonical
from connectors.files.kinds import reader_of
from connectors.files.local import changed
from connectors.files.places import Found, Place
from connectors.files.readers import Part
from connectors.files.settings import MODIFIED, FileSettings


class Reading:
    def __init__(
        self, place: Place, declared: FileSettings, entity: Entity, *, since: Cursor | None, fields: Sequence[str] | None, keys_only: bool
    ) -> None:
        self._place, self._declared, self._entity = place, declared, entity
        wanted = set(entity.key) if keys_only else {f.name for f in entity.fields} if fields is None else set(fields)
        self._fields = [f for f in entity.fields if f.name in wanted]
        self._from = None if since is None else self._moment(since.value)

    def _moment(self, text: str) -> dt.datetime:
        try:
            moment: dt.datetime = from_canonical(text, self._entity.field(MODIFIED).type)  # type: ignore[union-attr]
        except ValueError:
            raise SettingsError(
                _("The cursor {value} is no value of {field} in {entity} of {system}. Set the cursor of the sync back."),
                value=text,
                field=MODIFIED,
                entity=self._entity.name,
                system=self._place.system,
            ) from None
        return moment

    def pages(self, position: Position | None) -> Iterator[Page]:
        """One page is held back, for only the last may say that it is."""
        held: Page | None = None
        for page, here in self._all(position):
            if held is not None:
                held.position = here
                yield held
            held = page
        yield held or Page(pl.DataFrame(schema=self._entity.frame_schema([f.name for f in self._fields])), None)

    def _all(self, position: Position | None) -> Iterator[tuple[Page, Position]]:
        """Each page, with the position that it begins at."""
        upto = (position or {}).get("upto")
        for found, at in self._files(position):
            with self._place.open(found) as file:
                reader = reader_of(file, self._declared, system=self._place.system, page_rows=self._place.connection.page_rows)
                own = [f for f in self._fields if f.name != MODIFIED]
                for part in reader.parts(own, at):
                    yield self._page(part, found), _position(found, at, upto)
                    if upto is not None and part.at == upto:
                        return
                    at = part.at or {}

    def _files(self, position: Position | None) -> Iterator[tuple[Found, Mapping[str, Any]]]:
        files = found_files(self._place, self._declared)
        if position is None:
            yield from ((f, {}) for f in files if self._from is None or f.modified >= self._from)
            return
        begun = next((f for f in files if f.path == position["path"]), None)
        if begun is None or begun.version != position["version"]:
            raise changed(position["path"], self._place.system)
        yield begun, position["at"]
        yield from ((f, {}) for f in files if f > begun)

    def split(self, parts: int) -> list[Position]:
        """Parts of the one file with about as many of its edges each."""
        (found,) = found_files(self._place, self._declared)
        with self._place.open(found) as file:
            edges = reader_of(file, self._declared, system=self._place.system, page_rows=self._place.connection.page_rows).edges()
        count = min(parts, len(edges))
        chosen = [edges[len(edges) * number // count] for number in range(count)]
        return [_position(found, at, upto) for at, upto in zip(chosen, [*chosen[1:], None], strict=True)] if chosen else []

    def _page(self, part: Part, found: Found) -> Page:
        modified = pl.Series(MODIFIED, [found.modified], dtype=frame_type(self._entity.field(MODIFIED).type))  # type: ignore[union-attr]
        frame = (
            part.frame.with_columns(modified.new_from_index(0, part.frame.height)) if any(f.name == MODIFIED for f in self._fields) else part.frame
        )
        frame = frame.select([f.name for f in self._fields])
        return Page(frame, None, [*part.misfits, *without_key(frame, self._entity, part.misfits)], part.absent)


def _position(found: Found, at: Mapping[str, Any], upto: Mapping[str, Any] | None) -> Position:
    return {"path": found.path, "version": found.version, "at": dict(at), **({"upto": dict(upto)} if upto is not None else {})}


def found_files(place: Place, declared: FileSettings) -> list[Found]:
    """The files of an entity. Raises SettingsError where the one that is named is missing."""
    if declared.is_pattern:
        return place.matching(declared.path)
    found = place.find(declared.path)
    if found is None:
        raise place.missing(declared.path)
    return [found]


def without_key(frame: pl.DataFrame, entity: Entity, told: Sequence[Misfit]) -> Iterator[Misfit]:
    known = {(m.row, m.field) for m in told} if told else set()
    for name in entity.key:
        if name in frame.columns and frame[name].null_count():
            for row in frame[name].is_null().arg_true().to_list():
                if (row, name) not in known and (row, "") not in known:
                    yield Misfit(row, name, "", Text(_("is empty, so the record has no key")))


def virtual() -> Field:
    """When its file was written: the cursor of every record."""
    return Field(name=MODIFIED, type=FieldType.DATETIME, label=_("File modified"), read_only=True)
