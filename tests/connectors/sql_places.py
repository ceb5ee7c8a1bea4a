"""Databases for the tests of the SQL connector: a fresh one in each kind of server, spoken to by a driver and not by what is tested."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pymysql

from tests.services import require

KINDS = ("postgresql", "mariadb", "sqlite")


@dataclass
class Place:
    """A database of a test's own. `run` executes statements and returns what the last one selects."""

    kind: str
    database: dict[str, Any]
    connection: Any

    def run(self, *statements: str) -> list[tuple[Any, ...]]:
        cursor = self.connection.cursor()
        for statement in statements:
            cursor.execute(statement)
        rows = list(cursor.fetchall()) if cursor.description else []
        self.connection.commit()
        cursor.close()
        return [tuple(row) for row in rows]

    def clean(self) -> None:
        """As new."""
        if self.kind == "postgresql":
            self.run("SET lock_timeout = '5s'", "DROP SCHEMA IF EXISTS sales CASCADE", "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
        elif self.kind == "mariadb":
            name = self.database["database"]
            self.run(f"DROP DATABASE `{name}`", f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4", f"USE `{name}`")
        else:
            made = self.run("SELECT type, name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'")
            self.run(*(f'DROP {kind} "{name}"' for kind, name in made))

    def settings(self, **more: Any) -> dict[str, Any]:
        return {"database": self.database, "connection": {"page_rows": 10}, **more}


@contextlib.contextmanager
def place(kind: str, folder: Path) -> Iterator[Place]:
    with {"postgresql": _postgresql, "mariadb": _mariadb, "sqlite": _sqlite}[kind](folder) as made:
        yield made


def _name() -> str:
    return f"hub_test_{os.getpid()}_{uuid.uuid4().hex[:8]}"


@contextlib.contextmanager
def _postgresql(folder: Path) -> Iterator[Place]:
    at, name = urlsplit(require("postgresql")), _name()
    way: dict[str, Any] = {"host": at.hostname, "port": at.port, "user": at.username, "password": at.password or ""}
    with psycopg.connect(**way, dbname="postgres", autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}"')
        try:
            with psycopg.connect(**way, dbname=name) as connection:
                yield Place(kind="postgresql", database={"type": "postgresql", "database": name, "tls": "off", **way}, connection=connection)
        finally:
            server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@contextlib.contextmanager
def _mariadb(folder: Path) -> Iterator[Place]:
    at, name = urlsplit(require("mariadb")), _name()
    way: dict[str, Any] = {"host": at.hostname, "port": at.port, "user": at.username, "password": at.password or ""}
    server = pymysql.connect(**way, autocommit=True)
    try:
        server.cursor().execute(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4")
        connection = pymysql.connect(**way, database=name, charset="utf8mb4")
        try:
            yield Place(kind="mariadb", database={"type": "mysql", "database": name, "tls": "off", **way}, connection=connection)
        finally:
            connection.close()
            server.cursor().execute(f"DROP DATABASE `{name}`")
    finally:
        server.close()


@contextlib.contextmanager
def _sqlite(folder: Path) -> Iterator[Place]:
    path = folder / "records.sqlite3"
    connection = sqlite3.connect(path, check_same_thread=False)
    try:
        yield Place(kind="sqlite", database={"type": "sqlite", "path": str(path)}, connection=connection)
    finally:
        connection.close()
