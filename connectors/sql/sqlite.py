"""SQLite files, in folders that the operator allows. Never made, never attached: only what is there is opened.

A column of SQLite holds values of any type whatever it declares, so they are looked at by columns and told where they do not fit. Moments are
texts there, in one of several spellings, which are compared as texts: bounds are set so that each spelling falls inside.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import sqlite3
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from connectors.base import FieldType, Host, SettingsError, _
from connectors.sql.columns import Column
from connectors.sql.databases import Failure, Verdict, one_sentence
from connectors.sql.settings import SQLite, SqlSettings
from connectors.sql.staging import Staged, Staging, key_name

T = FieldType
BUSY_SECONDS = 5.0


class SqliteDatabase(Staged):
    errors = (sa.exc.DBAPIError, sqlite3.Error)
    truth = "1"

    def __init__(self, settings: SqlSettings, host: Host, file: SQLite) -> None:
        super().__init__(settings, host)
        self._path = file.path

    def url(self) -> str:
        return "sqlite+pysqlite://"

    def connect(self, *, read_only: bool) -> sqlite3.Connection:
        path = Path(self._path).resolve()
        self.host.allow_path(str(path))
        if not path.is_file():
            raise SettingsError(_("{system}: there is no file {path}."), system=self.system, path=self._path)
        connection = sqlite3.connect(
            f"{path.as_uri()}?mode={'ro' if read_only else 'rw'}", uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA query_only = ON" if read_only else "PRAGMA foreign_keys = ON")
        return connection

    def identity(self) -> dict[str, str]:
        self.reader.exec_driver_sql("SELECT COUNT(*) FROM sqlite_master").scalar_one()  # a file of something else fails here
        return {"server": f"SQLite {sqlite3.sqlite_version}", "who": Path(self._path).name}

    def interrupt(self) -> None:
        for connection in (self._reader, self._writer):
            if connection is not None and not connection.closed:
                with contextlib.suppress(sqlite3.Error):  # closed in this very moment
                    connection.connection.driver_connection.interrupt()  # type: ignore[union-attr]

    # --- reading ---

    def rows(self, select: sa.Select[Any]) -> Sequence[Sequence[Any]]:
        try:
            return super().rows(select)
        except sqlite3.OperationalError as error:
            if "decode" not in str(error):
                raise
        driver: Any = self.reader.connection.driver_connection
        driver.text_factory = bytes  # some text is not valid UTF-8: which, is found out column by column
        try:
            return super().rows(select)
        finally:
            driver.text_factory = str

    def bound(self, value: Any, column: Column) -> sa.ColumnElement[Any]:
        return super().bound(_stored(value), column)

    def after(self, columns: Sequence[Column], values: Sequence[Any]) -> sa.ColumnElement[bool]:
        if len(columns) == 1:
            return super().after(columns, values)
        return sa.tuple_(*(c.sql for c in columns)) > sa.tuple_(*(self.bound(v, c) for c, v in zip(columns, values, strict=True)))

    def among(self, columns: Sequence[Column], values: Sequence[Sequence[Any]]) -> sa.ColumnElement[bool]:
        if len(columns) == 1 and columns[0].field.type is T.DATETIME:
            return super().among(columns, [[spelling] for (value,) in values for spelling in _spellings(value)])
        return super().among(columns, values)

    def lower(self, column: Column, text: str) -> sa.ColumnElement[bool]:
        value = column.since(text)
        return column.sql >= super().bound(value.strftime("%Y-%m-%d %H:%M:%S") if isinstance(value, dt.datetime) else _stored(value), column)

    def upper(self, column: Column, text: str) -> sa.ColumnElement[bool]:
        value = column.value(text)
        return column.sql <= super().bound(value.strftime("%Y-%m-%dT%H:%M:%S.%f~") if isinstance(value, dt.datetime) else _stored(value), column)

    def mark(self, column: Column, raw: pl.Series, row: int) -> str | None:
        """As it is stored: a spelling of a moment is its place in the order."""
        value = raw[row]
        return None if value is None else value.hex() if isinstance(value, bytes) and column.field.type is T.BINARY else str(value)

    def unmark(self, column: Column, text: str) -> Any:
        match column.field.type:
            case T.INTEGER | T.BOOLEAN if text.lstrip("-").isdecimal():
                return int(text)
            case T.NUMBER:
                return float(text)
            case T.BINARY:
                return bytes.fromhex(text)
        return text

    # --- writing ---

    def begin(self, connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    def create_staging(self, connection: sa.Connection, staging: Staging, like: sa.Select[Any]) -> None:
        connection.exec_driver_sql(f"CREATE TEMP TABLE {self.quoted(staging.sql.name)} AS {like.compile(connection)} LIMIT 0")

    def fill(self, connection: sa.Connection, staging: Staging, frame: pl.DataFrame) -> None:
        names, marks = ", ".join(self.quoted(name) for name in frame.columns), ", ".join("?" * frame.width)
        driver: Any = connection.connection.driver_connection
        driver.executemany(f"INSERT INTO temp.{self.quoted(staging.sql.name)} ({names}) VALUES ({marks})", frame.rows())  # noqa: S608

    def plain(self, column: Column, values: pl.Series) -> pl.Series:
        match column.field.type:
            case T.DATETIME:
                return values.dt.strftime("%Y-%m-%d %H:%M:%S%.6f").str.strip_suffix(".000000")
            case T.TIME:
                return values.dt.strftime("%H:%M:%S%.6f").str.strip_suffix(".000000")
            case T.DATE | T.DECIMAL:
                return values.cast(pl.String)
            case T.BOOLEAN:
                return values.cast(pl.Int8)
        return values

    def insert(self, table: sa.Table, names: Sequence[str], rows: sa.Select[Any]) -> Any:
        return sqlite.insert(table).from_select(list(names), rows.where(sa.true())).on_conflict_do_nothing()

    returns_keys = True
    counts_matches = True

    def delete(self, staging: Staging) -> Any:
        keys = sa.select(*(staging.sql.c[key_name(n)] for n in range(len(staging.keys))))
        return sa.delete(staging.table.sql).where(sa.tuple_(*(staging.table.columns[name].sql for name in staging.keys)).in_(keys))

    # --- errors ---

    def failure(self, error: Exception) -> Failure:
        original = error.orig if isinstance(error, sa.exc.DBAPIError) else error
        name, said = getattr(original, "sqlite_errorname", None) or "", one_sentence(str(original))
        column = ", ".join(part.rpartition(".")[2] for part in said.partition("failed: ")[2].split(", "))
        if name in ("SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_ROWID"):
            return Failure(Verdict.UNIQUE, said, column)
        if name == "SQLITE_CONSTRAINT_NOTNULL":
            return Failure(Verdict.RECORD, "it must not be empty", column)
        if name.startswith(("SQLITE_CONSTRAINT", "SQLITE_MISMATCH", "SQLITE_TOOBIG")) or isinstance(original, OverflowError):
            return Failure(Verdict.RECORD, said)
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            return Failure(Verdict.BUSY, said)
        return Failure(Verdict.DOWN if name.startswith(("SQLITE_INTERRUPT", "SQLITE_IOERR", "SQLITE_FULL")) else Verdict.SETTINGS, said)


def _stored(value: Any) -> Any:
    """A value as it is usually stored."""
    if isinstance(value, dt.datetime):
        return _spellings(value)[0]
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, Decimal | dt.date | dt.time):
        return str(value)
    return value


def _spellings(value: dt.datetime) -> list[str]:
    whole = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"]
    return [value.strftime(form + more) for more in (["", ".%f"] if not value.microsecond else [".%f"]) for form in whole]
