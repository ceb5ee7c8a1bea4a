"""The SQL connector against the conformance kit, on each kind of database."""

from __future__ import annotations

from decimal import Decimal

import pytest

from connectors.conformance import Conformance, Prepared
from connectors.sql import SqlConnector
from tests.connectors.sql_places import KINDS

CONTACTS = {
    "postgresql": """CREATE TABLE contacts (id bigint PRIMARY KEY, name varchar(60) NOT NULL, email text UNIQUE, price numeric(12, 2),
        active boolean, born date, updated_at timestamptz, tags jsonb, photo bytea, weight double precision, wakes time)""",
    "mariadb": """CREATE TABLE contacts (id bigint PRIMARY KEY, name varchar(60) NOT NULL, email varchar(120) UNIQUE, price decimal(12, 2),
        active tinyint(1), born date, updated_at datetime(6), tags longtext, photo blob, weight double, wakes time(6))""",
    "sqlite": """CREATE TABLE contacts (id integer NOT NULL, name varchar(60) NOT NULL, email text UNIQUE, price numeric(12, 2),
        active boolean, born date, updated_at datetime, tags json, photo blob, weight double, wakes time, PRIMARY KEY (id DESC))""",
}
MISFIT = {
    "postgresql": "UPDATE contacts SET born = 'infinity' WHERE id = 3",
    "mariadb": "UPDATE IGNORE contacts SET born = '2026-02-31' WHERE id = 3",
    "sqlite": "UPDATE contacts SET born = 'some day' WHERE id = 3",
}


class TestSql(Conformance):
    @pytest.fixture(params=KINDS)
    def prepared(self, request, sql_places):
        there = sql_places(request.param)
        there.run(CONTACTS[request.param])
        for n in range(1, 26):
            moment = f"2026-01-{1 + n // 3:02} 10:00:00"
            photo = {"postgresql": "'\\x00ff'", "mariadb": "x'00ff'", "sqlite": "x'00ff'"}[request.param]
            there.run(
                f"INSERT INTO contacts VALUES ({n}, 'Name {n}', 'user{n}@example.com', {n}.50, {'NULL' if n % 4 == 0 else n % 2}"
                f"{'::int::boolean' if request.param == 'postgresql' else ''}, '1990-01-{n:02}', '{moment}"
                f"{'+00' if request.param == 'postgresql' else ''}', '[\"a\", {n}]', {photo}, {n}.25, '08:30:00')"
            )

        def misfit() -> str:
            there.run(MISFIT[request.param])
            return "born"

        return Prepared(
            connector=SqlConnector,
            settings=there.settings(),
            entity="contacts",
            count=25,
            new=lambda n: {"id": 1000 + n, "name": f"New {n}", "email": f"new{n}@example.com", "price": Decimal("9.90"), "tags": '["x"]'},
            changed={"name": "Changed", "price": Decimal("1.00")},
            refused=lambda: {"id": 2000, "name": "Bad", "email": "user1@example.com", "price": Decimal("9.90"), "tags": "[]"},
            misfit=misfit,
            three_field="email",
            is_remote=request.param != "sqlite",
        )
