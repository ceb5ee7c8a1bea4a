"""A table of customers and one of contacts, in a PostgreSQL server or in SQLite files; the mapping between them as the hub has it, and as SQL.

The contacts' key is the database's own and nothing else of them is unique: a create that is sent twice makes a twin.
"""

from __future__ import annotations

import contextlib
import sqlite3
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

PAGES = 200  # in all, whatever the number of customers,
PAGES_A_SECOND = 1  # so that a run lasts for minutes on a quick machine too
TIME_OUT = 20  # seconds: a successor waits so long for what may still arrive, and so goes on within half a minute

FIELDS = ("number", "name", "email", "phone", "street", "city", "country", "stage", "points", "origin")
CUSTOMERS = """
    CREATE TABLE {place}customers (id BIGINT PRIMARY KEY, first_name TEXT, last_name TEXT, email TEXT, phone TEXT, street TEXT, city TEXT, country TEXT,
        status TEXT, amount BIGINT, points INTEGER, tags TEXT)
"""
CONTACTS = """
    CREATE TABLE contacts (id {key}, number BIGINT NOT NULL, name TEXT, email TEXT, phone TEXT, street TEXT, city TEXT, country TEXT, stage TEXT,
        points INTEGER, origin TEXT, made_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP)
"""
INDEX = "CREATE INDEX contacts_number ON contacts (number)"
MAKE_CUSTOMERS = """
    INSERT INTO customers
    WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {rows})
    SELECT n, ' First' || n % 977 || ' ', 'Last' || n % 1009, ' Person' || n || '@Example.com', CASE WHEN n % 10 > 0 THEN '+49 30 ' || n END,
        'Street ' || n % 500, CASE WHEN n % 3 = 0 THEN 'Berlin' ELSE 'Shanghai' END, CASE WHEN n % 3 = 0 THEN 'DE' ELSE 'CN' END,
        CASE n % 3 WHEN 0 THEN 'open' WHEN 1 THEN 'won' ELSE 'lost' END, n % 100000, n % 5000, 'a,b'
    FROM numbers
"""

MAPPING: dict[str, Any] = {
    "fields": [
        {"target": "number", "source": "id"},
        {"target": "name", "expression": "trim(first_name) || ' ' || upper(last_name)"},
        {"target": "email", "source": "email", "steps": [{"transform": "trim"}, {"transform": "lower"}]},
        {"target": "phone", "source": "phone", "steps": [{"transform": "default", "value": "none"}]},
        {"target": "street", "source": "street"},
        {"target": "city", "source": "city"},
        {"target": "country", "source": "country"},
        {
            "target": "stage",
            "source": "status",
            "steps": [{"transform": "value_map", "table": {"open": "NEW", "won": "CLOSED", "lost": "LOST"}}],
        },
        {"target": "points", "source": "points"},
        {"target": "origin", "constant": "shop"},
    ],
    "match": [["number"]],
}
MAPPED = """
    SELECT id, trim(first_name) || ' ' || upper(last_name), lower(trim(email)), coalesce(phone, 'none'), street, city, country,
        CASE status WHEN 'open' THEN 'NEW' WHEN 'won' THEN 'CLOSED' ELSE 'LOST' END, points, 'shop'
    FROM customers
"""
FOUND = f"SELECT {', '.join(FIELDS)} FROM contacts"


class Shop:
    """Both tables. The customers are made here, the contacts are what a run makes."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        with self.connected() as connection:
            for statement in (CUSTOMERS.format(place=self.place), MAKE_CUSTOMERS.format(rows=rows), CONTACTS.format(key=self.key), INDEX):
                connection.execute(statement)

    place = ""  # of the customers, beside the contacts
    key: str

    def connected(self) -> AbstractContextManager[Any]:
        """A connection that sees both tables, by a driver and not by what is tested. Each statement stands at once."""
        raise NotImplementedError

    def database(self, table: str) -> dict[str, Any]:
        """Where the table is, as a system's settings say it."""
        raise NotImplementedError

    def about(self) -> dict[str, Any]:
        """The sync: where both tables are, how they are read, and the mapping."""
        connection = {"page_rows": max(1, self.rows // PAGES), "total_seconds": TIME_OUT}
        source, target = (
            {"table": name, "settings": {"database": self.database(name), "connection": connection}} for name in ("customers", "contacts")
        )
        return {"source": {**source, "options": {"requests_per_second": PAGES_A_SECOND}}, "target": {**target, "options": {}}, "mapping": MAPPING}

    def faults(self) -> dict[str, int]:
        """How many customers have no contact just as it should be, contacts no customer, and customers more than one contact."""
        asked = {
            "missing": f"SELECT COUNT(*) FROM ({MAPPED} EXCEPT {FOUND}) AS one",
            "wrong": f"SELECT COUNT(*) FROM ({FOUND} EXCEPT {MAPPED}) AS one",
            "twins": "SELECT COUNT(*) - COUNT(DISTINCT number) FROM contacts",
        }
        with self.connected() as connection:
            return {name: connection.execute(question).fetchone()[0] for name, question in asked.items()}


class PostgresShop(Shop):
    key = "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"

    def __init__(self, url: str, rows: int) -> None:
        self.url = url
        super().__init__(rows)

    def connected(self) -> AbstractContextManager[Any]:
        return psycopg.connect(self.url, autocommit=True)

    def database(self, table: str) -> dict[str, Any]:
        at = urlsplit(self.url)
        return {"type": "postgresql", "host": at.hostname, "port": at.port, "user": at.username, "database": at.path[1:], "tls": "off"}


class SqliteShop(Shop):
    """In two files, for a file has one writer at a time."""

    key = "INTEGER PRIMARY KEY"
    place = "source."

    def __init__(self, folder: Path, rows: int) -> None:
        self.folder = folder
        super().__init__(rows)

    def connected(self) -> AbstractContextManager[Any]:
        connection = sqlite3.connect(self.folder / "contacts.sqlite3", isolation_level=None)
        connection.execute("ATTACH ? AS source", [str(self.folder / "customers.sqlite3")])
        return contextlib.closing(connection)

    def database(self, table: str) -> dict[str, Any]:
        return {"type": "sqlite", "path": str(self.folder / f"{table}.sqlite3")}
