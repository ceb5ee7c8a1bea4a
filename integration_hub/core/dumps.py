"""The whole database in one file, as it was at one moment, and back again: all of it or nothing.

Beside `bulk` the only place that asks which database it is, for each has a way of its own that copies while the hub works: SQLite its backup
interface, PostgreSQL pg_dump on an exported snapshot.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Protocol, cast

from django.db import connection

BLOCK = 1 << 20
AT_ONCE = 1000


class CannotDump(Exception):
    """The database cannot be copied or put back as things are; says why and what to do. Nothing has been changed."""


class Moment(Protocol):
    """The database as it is in the dump."""

    def ask(self, statement: str) -> Iterator[tuple[Any, ...]]: ...


def kind() -> str:
    """What a dump of this database is of: "sqlite" or "postgresql"."""
    return connection.vendor


@contextmanager
def dumped(path: Path) -> Iterator[Moment]:
    """Write the database to `path`, and answer questions over what is in the file for as long as the block lasts. Raises CannotDump."""
    with _DUMPED[kind()](path) as moment:
        yield moment


def load(path: Path) -> None:
    """Replace all that the database holds by this dump, in one transaction of the database. Raises CannotDump."""
    connection.close()
    _LOAD[kind()](path)


# --- SQLite -----------------------------------------------------------------------------------------------------------


class _Sqlite:
    def __init__(self, database: sqlite3.Connection) -> None:
        self.database = database

    def ask(self, statement: str) -> Iterator[tuple[Any, ...]]:
        return iter(self.database.execute(statement))


@contextmanager
def _dumped_sqlite(path: Path) -> Iterator[Moment]:
    """In one step: readers of a WAL keep nobody waiting, and a copy in several steps begins anew with each commit of others."""
    with closing(sqlite3.connect(path)) as copy:
        try:
            with closing(sqlite3.connect(connection.settings_dict["NAME"])) as live:
                live.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it
        except sqlite3.Error as error:  # no room, or a database that is damaged
            raise CannotDump(f"The database could not be copied to {path.parent}: {error}.") from None
        yield _Sqlite(copy)


def _load_sqlite(path: Path) -> None:
    """The other way round it is one transaction of the database, so that a process that still has it open sees the old or the new."""
    with closing(sqlite3.connect(path)) as dump, closing(sqlite3.connect(connection.settings_dict["NAME"], timeout=20)) as live:
        (told,) = dump.execute("PRAGMA quick_check(1)").fetchone()
        if told != "ok":
            raise CannotDump(f"The database in the archive is damaged: {told}.")
        try:
            dump.backup(live)
        except sqlite3.OperationalError as error:
            raise CannotDump(f"The database could not be replaced: {error}.") from None


# --- PostgreSQL -------------------------------------------------------------------------------------------------------


class _Postgresql:
    def __init__(self, cursor: Any) -> None:
        self.cursor = cursor

    def ask(self, statement: str) -> Iterator[tuple[Any, ...]]:
        self.cursor.execute(statement)
        while rows := self.cursor.fetchmany(AT_ONCE):
            yield from rows


@contextmanager
def _dumped_postgresql(path: Path) -> Iterator[Moment]:
    program = _program("pg_dump")
    own = connection.copy()
    try:
        own.inc_thread_sharing()
        with own.cursor() as cursor:
            cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            cursor.execute("SELECT pg_export_snapshot(), quote_ident(current_schema())")
            snapshot, schema = cursor.fetchone()
            # What stands in other schemas is not the hub's: it may not be read by its user, and would be in its own way when put back.
            chosen = [f"--table={schema}.*", f"--snapshot={snapshot}", f"--file={path}"]
            _run([program, "--format=custom", "--no-owner", "--no-privileges", *chosen])
            yield _Postgresql(cursor)
    finally:
        own.close()


def _load_postgresql(path: Path) -> None:
    """Tables go and come in one transaction, also those that the dump does not know: pg_restore writes SQL, psql runs it."""
    programs = [_program("pg_restore"), "--file=-", "--no-owner", "--no-privileges", str(path)]
    into = [_program("psql"), "--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1", "--output=/dev/null", "--file=-"]
    drop = f"SET lock_timeout = '20s'; DROP TABLE IF EXISTS {', '.join(tables)} CASCADE;\n" if (tables := _tables()) else ""
    with (
        subprocess.Popen(into, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=_place()) as database,
        subprocess.Popen(programs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_place()) as dump,
    ):
        script, told = cast(IO[bytes], database.stdin), cast(IO[bytes], database.stderr)
        try:
            script.write(drop.encode())
            shutil.copyfileobj(cast(IO[bytes], dump.stdout), script, BLOCK)
        except BrokenPipeError:
            dump.kill()
        else:
            if dump.wait() != 0:
                database.kill()  # an end of its input would be a commit
                raise CannotDump(f"The database in the archive cannot be read: {_last_line(cast(IO[bytes], dump.stderr).read())}.")
        with suppress(BrokenPipeError):
            script.close()
        said = told.read()
        if database.wait() != 0:
            raise CannotDump(f"The database could not be replaced: {_last_line(said)}.")


def _tables() -> list[str]:
    with connection.cursor() as cursor:
        names = connection.introspection.table_names(cursor)
    connection.close()  # it would keep the tables from being dropped
    return [connection.ops.quote_name(name) for name in names]


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise CannotDump(f"{name} is not installed. Install the PostgreSQL client programs of the server's version or a newer one.")
    return found


def _place() -> dict[str, str]:
    """Where the database is, for its own programs; in the environment, for other processes can read the arguments of a command."""
    used = connection.settings_dict
    named = {"PGHOST": used["HOST"], "PGPORT": used["PORT"], "PGUSER": used["USER"], "PGPASSWORD": used["PASSWORD"], "PGDATABASE": used["NAME"]}
    options = {f"PG{name.upper()}": value for name, value in used["OPTIONS"].items() if name.startswith("ssl")}
    return {**os.environ, **{name: str(value) for name, value in (named | options).items() if value}}


def _run(command: list[str]) -> None:
    ended = subprocess.run(command, env=_place(), capture_output=True, check=False)
    if ended.returncode != 0:
        raise CannotDump(f"The database could not be copied: {_last_line(ended.stderr)}.")


def _last_line(said: bytes) -> str:
    lines = said.decode(errors="replace").strip().splitlines()
    return lines[-1].rstrip(".") if lines else "it said nothing"


_DUMPED = {"sqlite": _dumped_sqlite, "postgresql": _dumped_postgresql}
_LOAD = {"sqlite": _load_sqlite, "postgresql": _load_postgresql}
