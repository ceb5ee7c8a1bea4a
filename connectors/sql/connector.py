"""The connector for relational databases."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import ClassVar

import polars as pl
import sqlalchemy as sa
from pydantic import BaseModel

from connectors.base import Changes, Connector, Cursor, Entity, Host, Outcome, Page, Position, Text, _
from connectors.sql import kept
from connectors.sql.databases import Database
from connectors.sql.kinds import database_of
from connectors.sql.looking_up import looked_up
from connectors.sql.reading import Reading, newest_cursor
from connectors.sql.settings import Oracle, SQLServer, SqlSettings
from connectors.sql.staging import Staged
from connectors.sql.tables import Table, Tables
from connectors.sql.writing_by_rows import WritingByRows
from connectors.sql.writing_staged import StagedWriting


class SqlConnector(Connector):
    """Speaks to one database. It belongs to one thread at a time; between two calls, and two pages, no transaction is open."""

    kind: ClassVar[str] = "sql"
    title: ClassVar[str] = _("Database")
    description: ClassVar[str] = _(
        "PostgreSQL, MariaDB and SQLite. MySQL, and with their drivers SQL Server and Oracle, are offered too, but were never run."
    )
    Settings: ClassVar[type[BaseModel]] = SqlSettings

    def __init__(self, settings: BaseModel, host: Host) -> None:
        if not isinstance(settings, SqlSettings):
            raise TypeError("SqlConnector takes SqlSettings")
        super().__init__(settings, host)
        self._settings = settings
        self._opened: Database | None = self._open()
        self._known: set[str] = set()  # tables of which this connector knows what they are

    def _open(self) -> Database:
        return kept.taken(self._settings, self.host) or database_of(self._settings, self.host)

    @property
    def _database(self) -> Database:
        if self._opened is None:
            self._opened = self._open()
        return self._opened

    @property
    def _reflection(self) -> Tables:
        return Tables(self._settings, self.host.system, is_clean=self._database.is_clean)

    def close(self) -> None:
        if self._opened is not None:
            kept.keep(self._opened)
            self._opened = None

    @classmethod
    def advice(cls, settings: BaseModel) -> list[Text]:
        if not isinstance(settings, SqlSettings) or not isinstance(settings.database, SQLServer | Oracle):
            return []
        names = {"database": "Oracle" if isinstance(settings.database, Oracle) else "SQL Server"}
        return [
            Text(_("The hub was never run with {database}. Try it on a copy first."), names),
            Text(
                _("Only the rights of its user keep the hub from writing while it reads {database}. Give it none where it is to read alone."), names
            ),
        ]

    def check(self) -> Text:
        self._database.close()  # what is open already would not show that the settings still let us in
        started = time.monotonic()
        with self._database.request():
            said = self._database.identity()
        names = {"system": self.host.system, "milliseconds": round((time.monotonic() - started) * 1000), **said}
        return Text(_("{system} answered in {milliseconds} ms: {server}. We are {who} there."), names)

    def discover(self) -> list[Entity]:
        with self._database.request():
            return [table.entity() for table in self._reflection.all(self._database.reader)]

    def count(self, entity: Entity) -> int | None:
        table = self._table(entity)
        with self._database.request():
            return int(self._database.reader.execute(sa.select(sa.func.count()).select_from(table.sql)).scalar_one())

    def newest(self, entity: Entity) -> str | None:
        return newest_cursor(self._database, self._table(entity), entity)

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
        reading = Reading(self._database, self._table(entity), entity, since=since, until=until, fields=fields, keys_only=keys_only)
        yield from reading.pages(position)

    def split(self, entity: Entity, parts: int, since: Cursor | None = None, *, until: str | None = None) -> list[Position]:
        reading = Reading(self._database, self._table(entity), entity, since=since, until=until, fields=None, keys_only=True)
        return reading.split(parts)

    def lookup(self, entity: Entity, by: str, values: Sequence[str], fields: Sequence[str] | None = None) -> pl.DataFrame:
        return looked_up(self._database, self._table(entity), entity, by, values, fields)

    def write(self, entity: Entity, changes: Changes) -> Sequence[Outcome]:
        table = self._table(entity)
        if isinstance(self._database, Staged):
            return StagedWriting(self._database, table, entity, changes).send_all()
        return WritingByRows(self._database, table, entity, changes).send_all()

    def _table(self, entity: Entity) -> Table:
        database = self._database
        if entity.name in database.tables and entity.name not in self._known:
            with database.request():
                is_as_it_was = database.definition(database.tables[entity.name].sql) == database.definitions[entity.name]
            if not is_as_it_was:
                database.close()  # it has changed since another connector asked
        if entity.name not in database.tables:
            with database.request():
                table = self._reflection.one(database.reader, entity.name)
                database.definitions[entity.name] = database.definition(table.sql)
                database.tables[entity.name] = table
        self._known.add(entity.name)
        return database.tables[entity.name]
