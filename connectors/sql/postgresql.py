"""PostgreSQL: read by ADBC in Arrow batches, written by COPY into a temporary table and INSERT … ON CONFLICT from there.

ADBC streams the binary COPY protocol into Arrow, about twice as fast as rows through a driver, but COPY takes no parameters: so the values
of a query travel ahead of it, bound, into settings of the session (`hub.p0` …), and the query reads them from there.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import os
import re
import select
import socket
from collections.abc import Sequence
from typing import Any

import adbc_driver_manager
import adbc_driver_postgresql
import orjson
import polars as pl
import psycopg
import sqlalchemy as sa
from psycopg import sql
from psycopg.conninfo import make_conninfo
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql.base import PGCompiler, PGDialect

from connectors.base import FieldType, Host
from connectors.canonical import canonical_text
from connectors.sql.columns import Column
from connectors.sql.databases import Failure, Verdict, one_sentence
from connectors.sql.dialling import Authorities, allowed, dial
from connectors.sql.settings import PostgreSQL, SqlSettings
from connectors.sql.staging import Staged, Staging
from connectors.sql.tables import Table

T = FieldType
VERDICTS = {  # by SQLSTATE, or its first two characters
    "23505": Verdict.UNIQUE,
    **dict.fromkeys(("09", "21", "22", "23", "27", "38", "44", "54", "P0", "428C9"), Verdict.RECORD),
    "40": Verdict.BUSY, "53": Verdict.BUSY, "55P03": Verdict.BUSY, "55006": Verdict.BUSY,
    "08": Verdict.DOWN, "57": Verdict.DOWN, "58": Verdict.DOWN, "": Verdict.DOWN,
}  # fmt: skip
CLASSES = {  # the first two characters of every SQLSTATE that PostgreSQL itself raises; others are those of triggers and functions
    "00", "01", "02", "03", "08", "09", "0A", "0B", "0F", "0L", "0P", "0Z", "10", "20", "21", "22", "23", "24", "25", "26", "27", "28", "2B", "2D",
    "2F", "34", "38", "39", "3B", "3D", "3F", "40", "42", "44", "53", "54", "55", "57", "58", "72", "F0", "HV", "P0", "XX",
}  # fmt: skip
ROW_POLICY = ("42501", "ExecWithCheckOptions")  # SQLSTATE and place of what row-level security refuses: a right that only this record lacks
KEY_THERE = re.compile(r"\AKey \((?P<column>.*?)\)=\((?P<value>.*)\) already exists", re.DOTALL)
COPIED = re.compile(r"\ACOPY [^,]*, line \d+, column (?P<column>.*?): (?:\"(?P<value>.*)\"|null input)", re.DOTALL)
ANSWERED = re.compile(r"\[PGRES_FATAL_ERROR\]: ERROR:")  # what ADBC leaves of an error behind the first rows: no SQLSTATE, but the server is there
DEFINITION = """
    SELECT concat(
        (SELECT string_agg(concat_ws(' ', attname, atttypid, atttypmod, attnotnull, atthasdef, attidentity, attgenerated), ',' ORDER BY attnum)
            FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped),
        (SELECT string_agg(concat_ws(' ', indexrelid, indkey, indisunique, indisvalid), ',' ORDER BY indexrelid) FROM pg_index WHERE indrelid = c.oid)
    ) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relname = %(name)s AND CASE WHEN %(schema)s::text IS NULL THEN pg_table_is_visible(c.oid) ELSE n.nspname = %(schema)s END
"""
NATIVE = {T.INTEGER, T.BINARY, T.BOOLEAN}  # read as they are; dates and moments too


class _Settings(PGCompiler):
    """Renders each bound value as a setting of the session; `values` holds them in order."""

    def visit_bindparam(self, bindparam: sa.BindParameter[Any], *args: Any, **more: Any) -> str:
        self.values: list[str] = getattr(self, "values", [])
        self.values.append(_text(bindparam.effective_value))
        asked = f"current_setting('hub.p{len(self.values) - 1}')"
        if isinstance(bindparam.type, sa.String) and type(bindparam.type) is not postgresql.ENUM:
            return asked
        return f"CAST({asked} AS {self.dialect.type_compiler_instance.process(bindparam.type)})"


class _ByAdbc(PGDialect):
    statement_compiler = _Settings


class _Arrow:
    """A connection that hands query results over as Arrow batches. It is ADBC's own interface: the one by PEP 249 loads pyarrow, 44 MiB in each process."""

    def __init__(self, conninfo: str) -> None:
        self._database = adbc_driver_postgresql.connect(conninfo)
        self._connection = adbc_driver_manager.AdbcConnection(self._database)
        self._statement = adbc_driver_manager.AdbcStatement(self._connection)

    def frame(self, query: str, bound: pl.DataFrame | None = None) -> pl.DataFrame:
        """What a query gives; `bound`: a row of its parameters."""
        self._statement.set_sql_query(query)
        if bound is not None:
            self._statement.prepare()
            self._statement.bind_stream(bound.__arrow_c_stream__())
        stream, _count = self._statement.execute_query()
        return pl.DataFrame(stream)

    def interrupt(self) -> None:
        self._statement.cancel()

    def close(self) -> None:
        for part in (self._statement, self._connection, self._database):
            with contextlib.suppress(adbc_driver_manager.Error):  # a broken connection cannot be closed in order
                part.close()


class PostgresDatabase(Staged):
    is_clean = True
    errors = (sa.exc.DBAPIError, psycopg.Error, adbc_driver_manager.Error, pl.exceptions.ComputeError)

    def __init__(self, settings: SqlSettings, host: Host, server: PostgreSQL) -> None:
        super().__init__(settings, host)
        self._server = server
        self._authorities = Authorities(host, self._server)
        self._arrow: _Arrow | None = None
        self._adbc = _ByAdbc(paramstyle="named")

    def url(self) -> str:
        return "postgresql+psycopg://"

    def connect(self, *, read_only: bool) -> psycopg.Connection:
        return dial(self.host, self._server, lambda address: psycopg.connect(self._conninfo(address, read_only=read_only)), (psycopg.Error,))

    def _conninfo(self, address: str, *, read_only: bool) -> str:
        server, way = self._server, self.settings.connection
        options = f"-c statement_timeout={way.total_seconds * 1000} -c TimeZone=UTC -c DateStyle=ISO -c extra_float_digits=1"
        if read_only:
            options += " -c default_transaction_read_only=on"
        verify = {"sslrootcert": self._authorities.path} if server.tls == "verify" else {}
        return make_conninfo(
            host=server.host,
            hostaddr=address,
            port=server.port,
            dbname=server.database,
            user=server.user,
            **({"password": server.password} if server.password else {}),
            connect_timeout=way.connect_seconds,
            sslmode={"verify": "verify-full", "encrypt": "require", "off": "disable"}[server.tls],
            client_encoding="UTF8",
            application_name="integration-hub",
            options=options,
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
            **verify,
        )

    def identity(self) -> dict[str, str]:
        version, who = self.reader.exec_driver_sql("SELECT current_setting('server_version'), current_user").one()
        return {"server": f"PostgreSQL {version}", "who": who}

    @property
    def can_be_kept(self) -> bool:
        drivers: list[Any] = [one.connection.driver_connection for one in (self._reader, self._writer) if one is not None and not one.closed]
        return bool(drivers) and all(_is_at_rest(driver) for driver in drivers)

    def definition(self, table: sa.Table) -> str:
        return str(self.reader.exec_driver_sql(DEFINITION, {"name": str(table.name), "schema": table.schema}).scalar())

    def goes_on_for(self, host: Host) -> bool:
        allowed(host, self._server)
        return super().goes_on_for(host)

    def close(self) -> None:
        if self._arrow is not None:
            self._arrow.close()
            self._arrow = None
        super().close()

    def interrupt(self) -> None:
        if self._arrow is not None:
            self._arrow.interrupt()
        for connection in (self._reader, self._writer):
            if connection is not None and not connection.closed:
                driver: Any = connection.connection.driver_connection
                _break_off(driver)

    # --- reading ---

    def shown(self, column: Column) -> sa.ColumnElement[Any]:
        type_, found = column.sql.type, column.field.type
        if column.is_array:
            return sa.cast(sa.func.to_json(column.sql), sa.Text())
        if found in NATIVE or (found in (T.DATE, T.DATETIME) and isinstance(type_, sa.Date | sa.DateTime)):
            return column.sql
        if found is T.NUMBER and not isinstance(type_, sa.REAL):
            return column.sql
        if found is T.TEXT and isinstance(type_, sa.VARCHAR | sa.TEXT):
            return column.sql
        return sa.cast(column.sql, sa.Text())

    def bound(self, value: Any, column: Column) -> sa.ColumnElement[Any]:
        return sa.bindparam(None, value, type_=column.sql.type, unique=True)

    def after(self, columns: Sequence[Column], values: Sequence[Any]) -> sa.ColumnElement[bool]:
        if len(columns) == 1:
            return super().after(columns, values)
        left = sa.tuple_(*(c.sql for c in columns))
        return left > sa.tuple_(*(self.bound(v, c) for c, v in zip(columns, values, strict=True)))

    most_values = 10_000

    def among(self, columns: Sequence[Column], values: Sequence[Sequence[Any]]) -> sa.ColumnElement[bool]:
        """By one parameter, however many values there are: a JSON array of them."""
        texts = [[_text(v) for v in row] for row in values]
        listed = orjson.dumps([row[0] for row in texts] if len(columns) == 1 else texts).decode()
        asked = sa.cast(sa.bindparam(None, listed, sa.Text(), unique=True), postgresql.JSONB)
        compared = [_compared(column) for column in columns]
        if len(columns) == 1:
            element = sa.func.jsonb_array_elements_text(asked).column_valued("element")
            wanted = sa.select(sa.cast(element, compared[0].type)).scalar_subquery()
            return compared[0] == sa.func.any(sa.func.array(wanted))
        row: Any = sa.func.jsonb_array_elements(asked).column_valued("element")
        parts = sa.select(*(sa.cast(row.op("->>")(sa.literal_column(str(n))), one.type) for n, one in enumerate(compared)))
        return sa.tuple_(*compared).in_(parts)

    def lower(self, column: Column, text: str) -> sa.ColumnElement[bool]:
        """Without infinite moments, which are no cursor: a full reading tells of them."""
        bound = super().lower(column, text)
        return sa.and_(bound, column.sql < sa.cast(sa.literal_column("'infinity'"), column.sql.type)) if _has_infinity(column) else bound

    def fetch(self, select: sa.Select[Any], columns: Sequence[Column]) -> pl.DataFrame:
        compiled = select.compile(dialect=self._adbc)
        assert isinstance(compiled, _Settings)  # noqa: S101
        if self._arrow is None:
            self._arrow = dial(self.host, self._server, lambda address: _Arrow(self._conninfo(address, read_only=True)), (adbc_driver_manager.Error,))
        if values := getattr(compiled, "values", []):
            said = ", ".join(f"set_config('hub.p{n}', ${n + 1}::text, false) AS p{n}" for n in range(len(values)))
            self._arrow.frame(f"SELECT {said}", pl.DataFrame({f"p{n}": [value] for n, value in enumerate(values)}))
        return self._arrow.frame(compiled.string)

    # --- writing ---

    def begin(self, connection: sa.Connection) -> None:
        connection.exec_driver_sql("SET CONSTRAINTS ALL IMMEDIATE")  # else a deferred one would refuse the whole portion at its end
        # A portion is joined with its table by the key's index. The planner knows nothing of a fresh temporary table and would read the whole other one.
        connection.exec_driver_sql("SET LOCAL enable_hashjoin = off")
        connection.exec_driver_sql("SET LOCAL enable_mergejoin = off")

    def staging_type(self, column: Column) -> sa.ColumnElement[Any]:
        return sa.cast(sa.null(), postgresql.JSONB) if column.is_array else column.sql

    def stored(self, column: Column, staged: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        if not column.is_array:
            return staged
        elements = sa.select(sa.func.jsonb_array_elements_text(staged).column_valued("element")).scalar_subquery()
        return sa.case((staged.is_not(None), sa.cast(sa.func.array(elements), column.sql.type)))

    def equal(self, column: Column, staged: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
        if column.field.type is T.JSON or isinstance(column.sql.type, sa.types.NullType):  # such as a point, which knows no equality
            type_ = postgresql.JSONB() if column.field.type is T.JSON and not column.is_array else sa.Text()
            return sa.cast(column.sql, type_).is_not_distinct_from(sa.cast(self.stored(column, staged), type_))
        return column.sql.is_not_distinct_from(staged)

    def create_staging(self, connection: sa.Connection, staging: Staging, like: sa.Select[Any]) -> None:
        made = f"CREATE TEMPORARY TABLE {self.quoted(staging.sql.name)} ON COMMIT DELETE ROWS AS {like.compile(connection)} WITH NO DATA"
        connection.exec_driver_sql(made)

    def fill(self, connection: sa.Connection, staging: Staging, frame: pl.DataFrame) -> None:
        _copy(connection, sql.Identifier(staging.sql.name), frame)

    def copy_straight(self, connection: sa.Connection, table: Table, frame: pl.DataFrame) -> bool:
        if any(table.columns[name].is_array for name in frame.columns):
            return False
        stored = _copy(connection, sql.Identifier(*filter(None, [table.sql.schema, table.sql.name])), frame)
        return stored == frame.height  # a trigger may pass over some without a word

    def plain(self, column: Column, values: pl.Series) -> pl.Series:
        match column.field.type:
            case T.BINARY:
                return pl.select(pl.lit("\\x") + values.bin.encode("hex")).to_series()
            case T.DECIMAL if not column.exact:
                text = values.cast(pl.String)
                return text.str.strip_chars_end("0").str.strip_chars_end(".") if column.field.scale else text
        return values

    def insert(self, table: sa.Table, names: Sequence[str], rows: sa.Select[Any]) -> Any:
        return postgresql.insert(table).from_select(list(names), rows).on_conflict_do_nothing()

    returns_keys = True
    counts_matches = True

    # --- errors ---

    def failure(self, error: Exception) -> Failure:
        original = error.orig if isinstance(error, sa.exc.DBAPIError) else error
        state = getattr(original, "sqlstate", None) or _state_in(str(original))
        verdict = VERDICTS.get(state) or VERDICTS.get(state[:2]) or (Verdict.SETTINGS if state[:2] in CLASSES else Verdict.RECORD)
        if isinstance(original, psycopg.Error) and (state, original.diag.source_function) == ROW_POLICY:
            verdict = Verdict.RECORD
        if isinstance(original, psycopg.Error) and original.diag.message_primary:
            return _told(verdict, original.diag)
        if not state and ANSWERED.search(str(original)):
            verdict = Verdict.SETTINGS
        said = one_sentence(re.sub(r"\A.*?(?:ERROR:|FATAL:|port \d+ failed:)\s*(?:FATAL:\s*)?", "", str(original), count=1, flags=re.DOTALL))
        return Failure(_of_connecting(verdict, state, str(original)), said)


def _compared(column: Column) -> sa.ColumnElement[Any]:
    """The column itself; where its texts have a syntax of their own, such as an address's, its text: what is none is no record's, and no error."""
    is_free = column.field.type is not T.TEXT or column.is_uuid or isinstance(column.sql.type, sa.String | postgresql.CITEXT)
    return column.sql if is_free else sa.cast(column.sql, sa.Text())


def _of_connecting(verdict: Verdict, state: str, text: str) -> Verdict:
    """A refused sign-in has no SQLSTATE when it comes from the connection itself."""
    wrong = ("password", "authentication", "does not exist", "no pg_hba.conf", "SSL", "certificate", "not permitted")
    return Verdict.SETTINGS if not state and any(word in text for word in wrong) else verdict


def _told(verdict: Verdict, diag: Any) -> Failure:
    said = one_sentence(diag.message_primary)
    if verdict is Verdict.UNIQUE and (found := KEY_THERE.match(diag.message_detail or "")):
        return Failure(verdict, said, found["column"], found["value"][:200])
    if diag.sqlstate == "23503" and diag.message_detail:
        return Failure(verdict, one_sentence(diag.message_detail))
    if copied := COPIED.match(diag.context or ""):
        return Failure(verdict, said, copied["column"], (copied["value"] or "")[:200])
    return Failure(verdict, said, diag.column_name or "")


def _state_in(text: str) -> str:
    found = re.search(r"SQLSTATE: ([0-9A-Z]{5})", text)
    return found[1] if found else "57014" if "canceling statement" in text else ""


def _is_at_rest(connection: psycopg.Connection) -> bool:
    """In no transaction, and with nothing to be heard: a server that closes a connection says so first."""
    if connection.closed or connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
        return False
    heard, *_nothing = select.select([connection.fileno()], [], [], 0)
    return not heard


def _break_off(connection: psycopg.Connection) -> None:
    """Ask the server to stop, then shut the socket: it may be the server that does not answer."""
    with contextlib.suppress(psycopg.Error, OSError):
        connection.cancel_safe(timeout=2)
        with socket.socket(fileno=os.dup(connection.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)


def _copy(connection: sa.Connection, place: sql.Identifier, frame: pl.DataFrame) -> int:
    """How many of the rows are there now."""
    names = sql.SQL(", ").join(map(sql.Identifier, frame.columns))
    text = io.BytesIO()
    frame.write_csv(text, include_header=False, quote_style="non_numeric")  # null: nothing; an empty text: ""
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(place, names)) as copy:
        copy.write(text.getbuffer())
    return int(cursor.rowcount)


def _has_infinity(column: Column) -> bool:
    return column.field.type in (T.DATE, T.DATETIME)


def _text(value: Any) -> str:
    """A value as PostgreSQL reads it."""
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    if isinstance(value, dt.datetime):
        return value.isoformat()
    return canonical_text(value)
