"""Databases that are written through a temporary table: what a portion holds goes there in one stroke, and from there into the table by one statement."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import polars as pl
import sqlalchemy as sa

from connectors.sql.columns import Column
from connectors.sql.databases import Database
from connectors.sql.tables import Table

ROW = "#row"


def key_name(number: int) -> str:
    return f"#key{number}"


def sent_name(name: str) -> str:
    return f"#sent {name}"


@dataclass(frozen=True)
class Staging:
    """A temporary table for one kind of change: the row's number, its key, its values under their columns' names, and which are sent."""

    sql: sa.Table
    table: Table
    keys: tuple[str, ...]  # the table's key columns, where the change names its record
    names: tuple[str, ...]  # the columns with values
    masked: tuple[str, ...]  # those of them that not every row sends

    @property
    def row(self) -> sa.ColumnElement[Any]:
        return self.sql.c[ROW]

    def same_key(self) -> sa.ColumnElement[bool]:
        return sa.and_(*(self.table.columns[name].sql == self.sql.c[key_name(n)] for n, name in enumerate(self.keys)))


class Staged(Database):
    """What a database that can do so has to say."""

    returns_keys: ClassVar[bool] = False  # an insert of many rows returns the keys it made, in the order of the rows
    counts_matches: ClassVar[bool] = False  # an update counts the rows it met, and not only those that are another now

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._stagings: dict[tuple[Any, ...], Staging] = {}

    def close(self) -> None:
        self._stagings = {}  # they went with their connection
        super().close()

    def staging(self, connection: sa.Connection, table: Table, *, keys: Sequence[str], names: Sequence[str], masked: Sequence[str]) -> Staging:
        """The temporary table for such changes, made when first needed and empty."""
        place = (table.name, tuple(keys), tuple(names), tuple(masked))
        if place not in self._stagings:
            staging = self._planned(table, *place[1:], name=f"hub_{len(self._stagings)}")
            like: list[sa.ColumnElement[Any]] = [sa.literal_column("0").label(ROW)]
            like += [self.staging_type(table.columns[name]).label(key_name(n)) for n, name in enumerate(keys)]
            like += [self.staging_type(table.columns[name]).label(name) for name in names]
            like += [sa.literal_column(self.truth).label(sent_name(name)) for name in masked]
            self.create_staging(connection, staging, sa.select(*like).select_from(table.sql))
            self._stagings[place] = staging
        return self._stagings[place]

    truth: ClassVar[str] = "true"

    @staticmethod
    def _planned(table: Table, keys: tuple[str, ...], names: tuple[str, ...], masked: tuple[str, ...], *, name: str) -> Staging:
        columns: list[sa.Column[Any]] = [sa.Column(ROW, sa.Integer())]
        columns += [sa.Column(key_name(n), table.columns[key].sql.type) for n, key in enumerate(keys)]
        columns += [sa.Column(one, table.columns[one].sql.type) for one in names]
        columns += [sa.Column(sent_name(one), sa.Boolean()) for one in masked]
        return Staging(sa.Table(name, sa.MetaData(), *columns), table, keys, names, masked)

    def quoted(self, name: str) -> str:
        return self.writer.dialect.identifier_preparer.quote_identifier(name)

    def staging_type(self, column: Column) -> sa.ColumnElement[Any]:
        """An expression of the type that the column has in a temporary table."""
        return column.sql

    def stored(self, column: Column, staged: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """What is put into the table for what stands in the temporary one."""
        return staged

    def equal(self, column: Column, staged: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
        """Whether the table's column holds just this."""
        return column.sql.is_not_distinct_from(staged)

    @abc.abstractmethod
    def create_staging(self, connection: sa.Connection, staging: Staging, like: sa.Select[Any]) -> None:
        """Make the temporary table with the columns of this query."""

    @abc.abstractmethod
    def fill(self, connection: sa.Connection, staging: Staging, frame: pl.DataFrame) -> None:
        """Put these rows into the temporary table."""

    def copy_straight(self, connection: sa.Connection, table: Table, frame: pl.DataFrame) -> bool:
        """Put these new rows into their table without a temporary one; False where that cannot be done."""
        return False

    def empty(self, connection: sa.Connection, staging: Staging) -> None:
        connection.execute(sa.delete(staging.sql))

    @abc.abstractmethod
    def insert(self, table: sa.Table, names: Sequence[str], rows: sa.Select[Any]) -> Any:
        """A statement that inserts these rows, passing over those that uniqueness forbids."""

    def delete(self, staging: Staging) -> Any:
        return sa.delete(staging.table.sql).where(staging.same_key())
