"""MariaDB 10.6 or newer, and MySQL 8, with which it was never run. A portion goes into a temporary table as one bound JSON text, which JSON_TABLE
takes apart in the server.

Not by LOAD DATA LOCAL, which lets a server ask for any file of the machine that runs the hub:
https://dev.mysql.com/doc/refman/8.4/en/load-data-local-security.html
"""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Sequence
from typing import Any

import polars as pl
import pymysql
import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.sql import visitors

from connectors.base import FieldType, Host, SettingsError, _
from connectors.sql.columns import Column
from connectors.sql.databases import Failure, Verdict, one_sentence
from connectors.sql.dialling import dial, tls_context
from connectors.sql.settings import MySQL, SqlSettings
from connectors.sql.staging import Staged, Staging

T = FieldType
LOST = {2003, 2006, 2013, 2014, 2055, 1053, 1077, 1079, 1080, 1152, 1158, 1159, 1160, 1161, 1317, 1927, 1969, 3024}
BUSY = {1040, 1203, 1205, 1206, 1213, 1226, 3572}
RECORD = {
    1048, 1263, 1264, 1265, 1292, 1364, 1366, 1369, 1406, 1416, 1451, 1452, 1525, 1526, 1644, 1690, 3140, 3141, 3156, 3819,
    4025, 4038, 4042, 4079,
    (TOO_LARGE := 1153),
}  # fmt: skip
OWN = 10_000  # from here on, numbers are those of triggers and procedures
COLUMN = re.compile(r"column (?:`[^`]*`\.`[^`]*`\.)?[`'](?P<column>[^`']+)[`']")
VALUE = re.compile(r"value:? '(?P<value>.*?)' for column", re.DOTALL)
TAKEN = re.compile(r"Duplicate entry '(?P<value>.*)' for key '(?:[^']*\.)?(?P<key>[^'.]+)'", re.DOTALL)
NO_RIGHT = (1044,)  # to do anything of the kind in this database
MIXED = {(1267,), (1270,), (1271,), (3988,)}  # a text holds characters that the column's character set does not have
TEXTS = {T.DATE, T.DATETIME, T.TIME, T.DECIMAL, T.JSON}  # parsed faster by columns than value by value in the driver


class MySqlDatabase(Staged):
    errors = (sa.exc.DBAPIError, pymysql.Error, OSError)
    truth = "1"

    def __init__(self, settings: SqlSettings, host: Host, server: MySQL) -> None:
        super().__init__(settings, host)
        self._server = server

    def url(self) -> str:
        return "mysql+pymysql://"

    def connect(self, *, read_only: bool) -> Any:
        server, way = self._server, self.settings.connection
        connection: Any = pymysql.connect(
            host=server.host,
            port=server.port,
            user=server.user,
            password=server.password,
            database=server.database,
            charset="utf8mb4",
            connect_timeout=way.connect_seconds,
            read_timeout=way.total_seconds + 5,
            write_timeout=way.total_seconds + 5,
            ssl=tls_context(self.host, server),
            ssl_disabled=server.tls == "off",
            local_infile=False,
            defer_connect=True,
        )
        line = dial(self.host, server, lambda address: socket.create_connection((address, server.port), way.connect_seconds), (OSError,))
        line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.connect(line)
        with connection.cursor() as cursor:
            modes = "STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,NO_AUTO_VALUE_ON_ZERO"  # the last, for a key of 0 is one
            cursor.execute("SET SESSION sql_mode = CONCAT(@@sql_mode, ',', %s), time_zone = '+00:00'", (modes,))
            limit = "max_statement_time = %s" if "MariaDB" in connection.get_server_info() else "max_execution_time = %s * 1000"
            cursor.execute(f"SET SESSION {limit}", (way.total_seconds,))
            if read_only:
                cursor.execute("SET SESSION TRANSACTION READ ONLY")
        return connection

    def identity(self) -> dict[str, str]:
        version, who = self.reader.exec_driver_sql("SELECT VERSION(), CURRENT_USER()").one()
        return {"server": version if "MariaDB" in version else f"MySQL {version}", "who": who}

    def interrupt(self) -> None:
        for connection in (self._reader, self._writer):
            line = getattr(connection.connection.driver_connection, "_sock", None) if connection is not None and not connection.closed else None
            if line is not None:
                with contextlib.suppress(OSError):
                    line.shutdown(socket.SHUT_RDWR)

    def shown(self, column: Column) -> sa.ColumnElement[Any]:
        if column.is_bits:
            return sa.cast(column.sql, sa.Integer())
        return sa.cast(column.sql, sa.CHAR()) if column.field.type in TEXTS or column.is_uuid else column.sql

    def found(self, select: sa.Select[Any], among: sa.ColumnElement[bool], columns: Sequence[Column]) -> pl.DataFrame:
        try:
            return super().found(select, among, columns)
        except sa.exc.DBAPIError as error:
            if error.orig is None or error.orig.args[:1] not in MIXED:
                raise
        return super().found(select, _in_unicode(among), columns)

    # --- writing ---

    def staging_type(self, column: Column) -> sa.ColumnElement[Any]:
        plain = sa.cast(column.sql, sa.Integer()) if column.is_bits else column.sql  # bits would take the digit 1 for those of its character
        return sa.case((sa.true(), plain))  # as an expression it may be null, and has no default

    def create_staging(self, connection: sa.Connection, staging: Staging, like: sa.Select[Any]) -> None:
        made = f"CREATE TEMPORARY TABLE {self.quoted(staging.sql.name)} AS {like.compile(connection, compile_kwargs={'literal_binds': True})} LIMIT 0"
        try:
            connection.exec_driver_sql(made)
        except sa.exc.DBAPIError as error:
            if error.orig is None or error.orig.args[:1] != NO_RIGHT:
                raise
            raise SettingsError(
                _("{system} does not let {user} make temporary tables, by way of which records are written. Grant it CREATE TEMPORARY TABLES there."),
                system=self.system,
                user=self._server.user,
            ) from None

    def fill(self, connection: sa.Connection, staging: Staging, frame: pl.DataFrame) -> None:
        binary = {name for name, dtype in frame.schema.items() if dtype == pl.Binary}
        names = {name: f"c{number}" for number, name in enumerate(frame.columns)}
        into = ", ".join(self.quoted(name) for name in names)
        taken = ", ".join(f"UNHEX(j.{short})" if name in binary else f"j.{short}" for name, short in names.items())
        columns = ", ".join(f"{short} LONGTEXT PATH '$.{short}'" for short in names.values())
        insert = f"INSERT INTO {self.quoted(staging.sql.name)} ({into}) SELECT {taken} FROM JSON_TABLE(%s, '$[*]' COLUMNS ({columns})) AS j"  # noqa: S608
        plain = frame.with_columns(pl.col(pl.Boolean).cast(pl.Int8), *(pl.col(name).bin.encode("hex") for name in binary)).rename(names)
        text = plain.write_json()
        driver: Any = connection.connection.driver_connection
        with driver.cursor() as cursor:
            most = int(connection.exec_driver_sql("SELECT @@max_allowed_packet").scalar_one())
            few = most // 3  # bytes of a JSON text, in which quotes are doubled at worst
            parts = len(text.encode()) // few + 1
            for part in plain.iter_slices(-(-plain.height // parts)):
                said = part.write_json() if parts > 1 else text
                if parts > 1 and len(said.encode()) > few and len(cursor.mogrify(insert, (said,)).encode()) >= most:  # the server would hang up
                    raise pymysql.err.DataError(TOO_LARGE, f"it is larger than max_allowed_packet, which is {most} bytes there")
                cursor.execute(insert, (said,))

    def plain(self, column: Column, values: pl.Series) -> pl.Series:
        match column.field.type:
            case T.DATETIME:
                return values.dt.strftime("%Y-%m-%d %H:%M:%S%.6f")
            case T.DATE | T.DECIMAL:
                return values.cast(pl.String)
            case T.TIME:
                return values.dt.strftime("%H:%M:%S%.6f")
        return values

    def insert(self, table: sa.Table, names: Sequence[str], rows: sa.Select[Any]) -> Any:
        """IGNORE would also cut what is too long; this passes over what is there already, and over nothing else."""
        nothing = {names[0]: table.c[names[0]]}
        return mysql.insert(table).from_select(list(names), rows).on_duplicate_key_update(nothing)

    # --- errors ---

    def failure(self, error: Exception) -> Failure:
        original = error.orig if isinstance(error, sa.exc.DBAPIError) else error
        if isinstance(original, OSError):
            return Failure(Verdict.DOWN, (original.strerror or str(original)).lower())
        number, text = (
            (*original.args, "")[:2] if original is not None and original.args and isinstance(original.args[0], int) else (2013, str(original))
        )
        said = one_sentence(re.sub(r"`[^`]*`\.`hub_\d+`\.", "", str(text)))
        if number == 1062 and (taken := TAKEN.search(str(text))):
            return Failure(Verdict.UNIQUE, said, taken["key"], taken["value"][:200])
        if number in RECORD or number >= OWN:
            column, value = COLUMN.search(str(text)), VALUE.search(str(text))
            shown = value["value"][:200] if value and not value["value"].startswith("\\x") else ""  # not its bytes: the text that was sent says more
            return Failure(Verdict.RECORD, said, column["column"] if column else "", shown)
        verdict = Verdict.BUSY if number in BUSY else Verdict.DOWN if number in LOST or number == 0 else Verdict.SETTINGS
        return Failure(verdict, said)


def _in_unicode(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """The condition with its columns converted, which no index serves: asked only where a text makes it necessary."""

    def converted(element: Any, **_named: Any) -> Any:
        is_text = isinstance(element, sa.Column) and isinstance(element.type, sa.String)
        return sa.cast(element, mysql.CHAR(charset="utf8mb4")) if is_text else None

    return visitors.replacement_traverse(condition, {}, converted)
