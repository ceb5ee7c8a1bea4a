"""Databases of a measurement's own on a PostgreSQL server, which is as it was installed; and its own client, for the limit."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

ADDRESS = os.environ.get("TEST_POSTGRES_URL", "postgres://postgres@127.0.0.1:5432/hub")
PSQL = ("psql", "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1")


def missing() -> str:
    """Why nothing can be measured with databases here, or "" when it can."""
    if shutil.which("psql") is None:
        return "psql, by which the limit is measured, is not installed"
    place = urlsplit(ADDRESS)
    try:
        socket.create_connection((place.hostname, place.port or 5432), timeout=2).close()
    except OSError as error:
        return f"no PostgreSQL answers at {place.hostname}:{place.port or 5432} ({error.strerror or error}); TEST_POSTGRES_URL names another one"
    return ""


def url(database: str) -> str:
    """Its address on the server."""
    return urlsplit(ADDRESS)._replace(path=f"/{database}").geturl()


@contextlib.contextmanager
def database(purpose: str) -> Iterator[str]:
    """A fresh database, dropped afterwards; yields its name."""
    name = f"hub_bench_{os.getpid()}_{purpose}"
    with psycopg.connect(url("postgres"), autocommit=True) as server:
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield name
    finally:
        with psycopg.connect(url("postgres"), autocommit=True) as server:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def execute(database: str, *statements: str) -> None:
    """Each in a transaction of its own. What they wrote is on the disk, so that it costs nothing later."""
    with psycopg.connect(url(database), autocommit=True) as connection:
        for statement in (*statements, "CHECKPOINT"):
            connection.execute(statement)  # type: ignore[arg-type]


def one(database: str, query: str) -> tuple[Any, ...]:
    """The only row of a query."""
    with psycopg.connect(url(database)) as connection:
        row = connection.execute(query).fetchone()  # type: ignore[arg-type]
    assert row is not None
    return row


# --- by psql ----------------------------------------------------------------------------------------------------------


def fed(file: Path | IO[bytes], database: str, *statements: str) -> None:
    """Run these statements as one transaction; one of them reads what stands in the file from STDIN."""
    commands = [part for statement in statements for part in ("--command", statement)]
    with file.open("rb") if isinstance(file, Path) else contextlib.nullcontext(file) as incoming:
        subprocess.run([*PSQL, "--single-transaction", "--dbname", url(database), *commands], stdin=incoming, check=True)


def exported(database: str, query: str, path: Path) -> None:
    """What a query gives, as CSV with a header."""
    with path.open("wb") as file:
        subprocess.run([*PSQL, "--dbname", url(database), "--command", f"COPY ({query}) TO STDOUT (FORMAT csv, HEADER)"], stdout=file, check=True)


def piped(source: str, query: str, target: str, *statements: str) -> None:
    """As `fed`, with what a query of another database gives."""
    reading = subprocess.Popen([*PSQL, "--dbname", url(source), "--command", f"COPY ({query}) TO STDOUT"], stdout=subprocess.PIPE)
    assert reading.stdout is not None
    fed(reading.stdout, target, *statements)
    if reading.wait():
        raise RuntimeError("psql could not read the source")
