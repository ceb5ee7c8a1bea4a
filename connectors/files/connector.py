"""The connector for files."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import ClassVar

import polars as pl
from pydantic import BaseModel

from connectors.base import KEY, Capabilities, Changes, Connector, Cursor, Entity, Field, Host, Outcome, Page, Position, SettingsError, Text, _
from connectors.files.kinds import place_of, reader_of
from connectors.files.looking_up import looked_up
from connectors.files.readers import declared_fields
from connectors.files.reading import Reading, found_files, virtual
from connectors.files.settings import MODIFIED, Csv, FileSettings, FilesSettings, Parquet, Sftp
from connectors.files.tables import Table

BULK = 8000


class FilesConnector(Connector):
    """Speaks to one place. Files that may be written are tables held in memory; what was written is brought into them at the end."""

    kind: ClassVar[str] = "files"
    title: ClassVar[str] = _("Files")
    description: ClassVar[str] = _("CSV, JSON Lines, Excel and Parquet, in folders of this machine, in S3 and on SFTP servers.")
    Settings: ClassVar[type[BaseModel]] = FilesSettings

    def __init__(self, settings: BaseModel, host: Host) -> None:
        if not isinstance(settings, FilesSettings):
            raise TypeError("FilesConnector takes FilesSettings")
        super().__init__(settings, host)
        self._files = {f.name: f for f in settings.files}
        self._place = place_of(settings, host)
        self._tables: dict[str, Table] = {}

    def close(self) -> None:
        try:
            for table in self._tables.values():
                table.bring_in()
        finally:
            self._place.close()

    @classmethod
    def advice(cls, settings: BaseModel) -> list[Text]:
        if not isinstance(settings, FilesSettings):
            return []
        said = []
        for declared in settings.files:
            names = {"name": declared.name}
            if declared.is_pattern and isinstance(settings.place, Sftp):
                said.append(Text(_("{name}: a file that is moved into the folder with an old time is met by full runs alone."), names))
            if declared.write and isinstance(declared.format, Csv) and declared.format.formulas == "as they are":
                said.append(Text(_("{name}: a spreadsheet that opens the file runs the texts in it that are formulas."), names))
        return said

    def check(self) -> Text:
        started = time.monotonic()
        said = self._place.identity()
        for declared in self._files.values():
            if declared.write:
                self._table(self._discovered(declared)).count()  # what somebody wrote who was killed is found, and brought in when this is closed
            elif not declared.is_pattern:
                found_files(self._place, declared)
        names = {"system": self.host.system, "milliseconds": round((time.monotonic() - started) * 1000), **said}
        return Text(_("{system} answered in {milliseconds} ms: {server} {who}."), names)

    def discover(self) -> list[Entity]:
        return [self._discovered(declared) for declared in self._files.values()]

    def _discovered(self, declared: FileSettings) -> Entity:
        fields = self._fields(declared)
        for name in declared.key:
            if name not in {f.name for f in fields}:
                raise SettingsError(
                    _("{entity} of {system} has no column {field}, which is its key; there are: {fields}. Correct it in the settings."),
                    entity=declared.name,
                    system=self.host.system,
                    field=name,
                    fields=", ".join(f.name for f in fields[:30]),
                )
        return Entity(
            name=declared.name,
            label=declared.label,
            fields=(*fields, virtual()),
            key=declared.key,
            cursor_field=MODIFIED,
            capabilities=capabilities(declared, fields),
        )

    def _fields(self, declared: FileSettings) -> list[Field]:
        """As the newest file has them."""
        newest = next(reversed(self._place.matching(declared.path)), None) if declared.is_pattern else self._place.find(declared.path)
        if newest is None and declared.write and declared.fields:
            return declared_fields(declared)
        if newest is None:
            raise self._place.missing(declared.path)
        with self._place.open(newest) as file:
            return reader_of(file, declared, system=self.host.system, page_rows=self._place.connection.page_rows).fields()

    def count(self, entity: Entity) -> int | None:
        declared = self._declared(entity)
        if declared.write:
            return self._table(entity).count()
        if not isinstance(declared.format, Parquet):
            return None
        total = 0
        for found in found_files(self._place, declared):
            with self._place.open(found) as file:
                total += reader_of(file, declared, system=self.host.system, page_rows=1).count() or 0
        return total

    def read(
        self,
        entity: Entity,
        since: Cursor | None = None,
        *,
        position: Position | None = None,
        until: str | None = None,
        fields: Sequence[str] | None = None,
        keys_only: bool = False,
    ) -> Iterator[Page]:
        yield from self._pages(entity, since, position=position, fields=fields, keys_only=keys_only)

    def _pages(
        self,
        entity: Entity,
        since: Cursor | None = None,
        *,
        position: Position | None = None,
        fields: Sequence[str] | None = None,
        keys_only: bool = False,
    ) -> Iterator[Page]:
        declared = self._declared(entity)
        if declared.write:
            return self._table(entity).pages(since, position=position, fields=fields, keys_only=keys_only)
        return Reading(self._place, declared, entity, since=since, fields=fields, keys_only=keys_only).pages(position)

    def split(self, entity: Entity, parts: int, since: Cursor | None = None, *, until: str | None = None) -> list[Position]:
        return Reading(self._place, self._declared(entity), entity, since=since, fields=None, keys_only=False).split(parts)

    def lookup(self, entity: Entity, by: str, values: Sequence[str], fields: Sequence[str] | None = None) -> pl.DataFrame:
        names = None if fields is None else [*fields, *(entity.key if by == KEY else [by])]
        return looked_up(self._pages(entity, fields=names), entity, by, values, fields)

    def write(self, entity: Entity, changes: Changes) -> list[Outcome]:
        if not self._declared(entity).write:
            raise SettingsError(
                _("{entity} of {system} is only read. To write to it, say so under Files in the settings."),
                entity=entity.name,
                system=self.host.system,
            )
        return self._table(entity).write(changes)

    def _declared(self, entity: Entity) -> FileSettings:
        if entity.name not in self._files:
            raise SettingsError(_("{system} has no file called {entity} in its settings any more."), system=self.host.system, entity=entity.name)
        return self._files[entity.name]

    def _table(self, entity: Entity) -> Table:
        if entity.name not in self._tables:
            self._tables[entity.name] = Table(self._place, self._declared(entity), entity)
        return self._tables[entity.name]


def capabilities(declared: FileSettings, fields: Sequence[Field]) -> Capabilities:
    """A pattern may hold a record twice, in an older and a newer file, so nothing is looked up there."""
    return Capabilities(
        create=declared.write,
        update=declared.write,
        upsert=declared.write,
        delete=declared.write,
        bulk=BULK if declared.write else 0,
        incremental=True,
        partitions=isinstance(declared.format, Parquet) and not declared.write and not declared.is_pattern,
        count=declared.write or isinstance(declared.format, Parquet),
        lookup_by_key=not declared.is_pattern,
        lookup_by=() if declared.is_pattern else tuple(f.name for f in fields),
        stable_order=not declared.is_pattern,
        snapshot=not declared.is_pattern,
    )
