"""A file that may be written: a table held in memory, a log beside the file, and the file replaced as a whole at the end.

    orders.csv             always whole: replaced by renaming
    .orders.csv.parts/     what was written since, a segment for each portion, in the order of their names

A portion is written once its segment is: durable, and put down at once or not at all. So a load of many portions costs what its rows cost, not the
whole file for each. When the connector is closed, file and segments are brought together in a new file, which takes the old one's place; then the
segments go. Whoever is killed on the way leaves a whole file and segments that the next use, or check, of the system brings in.

Bringing in a segment twice changes nothing: each says what its records are, not how they differ. So a kill between the renaming and the last removal does
no harm. Those who bring in are kept apart by the place: by a lock, or by replacing only the version that was read. Whoever else reads the file sees what
was written once it is brought in, and never a part of it. What another program wrote into the file meanwhile is read first, and kept.

Rewriting makes the line ends of a CSV file LF, and says null where a record of JSON Lines lacked a field; everything else stays as it was read. A file
with anything that cannot be read is not written, for it would be lost.
"""

from __future__ import annotations

import io
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

import polars as pl

from connectors.base import (
    BadAnswer,
    Changes,
    Cursor,
    Entity,
    Outcome,
    Page,
    Position,
    PositionExpired,
    Result,
    SettingsError,
    SystemBusy,
    SystemDown,
    _,
    frame_type,
)
from connectors.canonical import from_canonical
from connectors.files.judging import DONE, ROW, judged
from connectors.files.kinds import reader_of
from connectors.files.local import changed
from connectors.files.places import Found, Overtaken, Place
from connectors.files.readers import Reader
from connectors.files.reading import without_key
from connectors.files.segments import KEY, keys_of, with_segment
from connectors.files.settings import MODIFIED, FileSettings
from connectors.files.writers import Writer, writer_of

LARGEST_FILE = 512 * 1024 * 1024
TRIES = 5


class Table:
    def __init__(self, place: Place, declared: FileSettings, entity: Entity) -> None:
        self._place, self._declared, self._entity = place, declared, entity
        self._fields = [f for f in entity.fields if f.name != MODIFIED]
        path = PurePosixPath(declared.path)
        self._parts = str(path.parent / f".{path.name}.parts")
        self._records: pl.DataFrame | None = None  # with the column KEY
        self._file: Found | None = None  # which the records are from,
        self._segments: list[Found] = []  # and what was written since
        self._has_written = False
        self._has_twins = False  # two of the file's records have the same key
        self._writer: Writer = writer_of(declared, self._fields, None)

    # --- reading ---

    def count(self) -> int:
        return self._fresh().height

    def pages(
        self, since: Cursor | None, *, position: Position | None = None, fields: Sequence[str] | None = None, keys_only: bool = False
    ) -> Iterator[Page]:
        """As `Connector.read`. A position is {"row", "version": of the file and of what was written since}."""
        records = self._fresh()
        version = "/".join(f.version if f else "" for f in (self._file, *self._segments))
        if position is not None and position["version"] != version:
            raise changed(self._declared.path, self._place.system)
        found = [f.modified for f in (self._file, *self._segments) if f]
        wanted = set(self._entity.key) if keys_only else {f.name for f in self._entity.fields} if fields is None else set(fields)
        names = [f.name for f in self._entity.fields if f.name in wanted]
        if not found or (since is not None and max(found) < from_canonical(since.value, self._entity.field(MODIFIED).type)):  # type: ignore[union-attr]
            records = records.clear()
        modified = pl.lit(max(found, default=None), dtype=frame_type(self._entity.field(MODIFIED).type))  # type: ignore[union-attr]
        records = records.with_columns(modified.alias(MODIFIED)).select(names)
        for start in range((position or {}).get("row", 0), max(records.height, 1), self._place.connection.page_rows):
            page = records.slice(start, self._place.connection.page_rows)
            end = start + page.height
            yield Page(page, {"row": end, "version": version} if end < records.height else None, list(without_key(page, self._entity, ())))

    def _fresh(self) -> pl.DataFrame:
        """The records as they now are. Only what came since the last time is read.

        The file is named first and read last, so that the segments listed in between are those that this very version does not hold yet.
        """
        for _try in range(TRIES):
            file = self._place.find(self._declared.path)
            segments = sorted(self._place.listed(self._parts), key=lambda f: f.path)
            try:
                if self._records is None or file != self._file or segments[: len(self._segments)] != self._segments:
                    self._records, self._file, self._segments = self._loaded(file), file, []
                for segment in segments[len(self._segments) :]:
                    self._records = with_segment(self._records, self._read_segment(segment))
                    self._segments.append(segment)
            except PositionExpired:
                self._records = None
                continue
            return self._records
        raise SystemBusy(_("{path} of {system} changes all the time."), retry_after=5.0, path=self._declared.path, system=self._place.system)

    def _loaded(self, file: Found | None) -> pl.DataFrame:
        schema = {f.name: frame_type(f.type, f.scale) for f in self._fields}
        if file is None:
            if self._place.find(self._declared.path) is not None:
                raise changed(self._declared.path, self._place.system)
            return pl.DataFrame(schema={**schema, KEY: pl.String})
        values: dict[str, Any] = {"path": self._declared.path, "system": self._place.system}
        if file.size > LARGEST_FILE:
            raise SettingsError(_("{path} of {system} is larger than {limit} MiB, so it can only be read."), limit=LARGEST_FILE >> 20, **values)
        with self._place.open(file) as opened:
            reader = reader_of(opened, self._declared, system=self._place.system, page_rows=100_000)
            self._refuse_others(reader)
            frames = [pl.DataFrame(schema=schema)]
            for part in reader.parts(self._fields, {}):
                if part.misfits:
                    wrong = part.misfits[0]
                    values |= {"field": wrong.field, "text": wrong.text, "reason": wrong.reason}
                    raise BadAnswer(
                        _(
                            "{path} of {system} is not written as long as something in it cannot be read, for it would be lost: {field} {text} {reason}."
                        ),
                        **values,
                    )
                frames.append(part.frame)
            self._writer = writer_of(self._declared, self._fields, reader)  # by now it knows the encoding
        records = self._writer.undone(pl.concat(frames))
        records = records.with_columns(keys_of(records, self._entity.key).alias(KEY))
        self._has_twins = bool((records[KEY].is_duplicated() & records[KEY].is_not_null()).any())
        return records

    def _refuse_others(self, reader: Reader) -> None:
        """Columns that the hub does not know would be lost."""
        there, known = {f.name for f in reader.learnt()}, {f.name for f in self._fields}
        if there and there != known:
            raise SettingsError(
                _("{path} of {system} has other columns than were accepted: {fields}. Look again what the system holds."),
                path=self._declared.path,
                system=self._place.system,
                fields=", ".join(sorted(there ^ known)),
            )

    def _read_segment(self, segment: Found) -> pl.DataFrame:
        with self._place.open(segment) as opened:
            return pl.read_ipc(io.BytesIO(opened.read(0, opened.size)))

    # --- writing ---

    def write(self, changes: Changes) -> list[Outcome]:
        if not len(changes):
            return []
        records = self._fresh()
        if self._has_twins:
            raise SettingsError(
                _("{path} of {system} is not written: it has a key twice. Correct it there, or choose another key."),
                path=self._declared.path,
                system=self._place.system,
            )
        rows, refused = judged(changes, records, self._declared, self._fields, self._writer)
        outcomes = [Outcome(row, Result.REFUSED, reason=reason) for row, reason in refused.items()]
        outcomes += [Outcome(row, Result.WRITTEN, key) for row, key in rows.select(ROW, KEY).iter_rows()]
        news = rows.filter(~pl.col(DONE)).drop(ROW, DONE)
        if not news.height:
            return outcomes
        try:
            self._put_segment(news)
        except SystemBusy:
            raise
        except SystemDown as error:
            return [o if o.result is Result.REFUSED else Outcome(o.row, Result.UNKNOWN, reason=error.text) for o in outcomes]
        return outcomes

    def _put_segment(self, news: pl.DataFrame) -> None:
        last = int(PurePosixPath(self._segments[-1].path).name.split("-")[0]) if self._segments else 0
        self._has_written = True
        number = max(time.time_ns(), last + 1)  # never one that was there before, so that nobody removes another's
        self._place.put(f"{self._parts}/{number:020}-{uuid.uuid4().hex}", news.write_ipc)

    # --- the file itself ---

    def bring_in(self) -> None:
        """Replace the file by one that holds what is known to have been written since."""
        if not self._segments and not self._has_written:
            return
        with self._place.alone(self._parts):
            for _try in range(TRIES):
                records = self._fresh()
                if not self._segments:
                    return
                try:
                    self._place.put(self._declared.path, lambda out, records=records: self._writer.write(records.drop(KEY), out), over=self._file)  # type: ignore[misc]
                except Overtaken:
                    continue
                for segment in self._segments:
                    self._place.remove(segment.path)
                self._records, self._segments = None, []
                return
        raise SystemBusy(_("{path} of {system} changes all the time."), retry_after=5.0, path=self._declared.path, system=self._place.system)
