"""Ends of a sync on real servers, each holding customers its own way: a table in a database, a file, an OData service, the sandbox's CRM and ERP.

Whatever the end, a customer is told as (name, tax number, country, amount, blocked) under the key it has in the source. What was written is told by
the target itself: a database counts by triggers, the sandbox counts what took effect, a file is compared with what it was.
"""

from __future__ import annotations

import csv
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from integration_hub.systems.models import Entity
from tests import demo
from tests.connectors.odata_service import ODataService, customer
from tests.connectors.sql_places import Place
from tests.syncs.conftest import registered

Customer = tuple[str, str, str, Decimal | None, bool]
COUNT = 240
NAMES = ("Müller & Söhne", "海岚仪器（上海）有限公司", 'O\'Brien "Quotes" Ltd', "Zażółć gęślą; jaźń", "100% Rocket 🚀", "Back\\slash, Inc.")
COUNTRIES = ("DE", "CN", "GB", "PL", "US", "SG")

TABLE = {
    "postgresql": """CREATE TABLE customers (id varchar(40) PRIMARY KEY, name varchar(120) NOT NULL, tax_no varchar(32), country char(2),
        amount numeric(14, 2), blocked boolean, changed_at timestamptz)""",
    "mariadb": """CREATE TABLE customers (id varchar(40) PRIMARY KEY, name varchar(120) NOT NULL, tax_no varchar(32), country char(2),
        amount decimal(14, 2), blocked tinyint(1), changed_at datetime(6))""",
    "sqlite": """CREATE TABLE customers (id varchar(40) PRIMARY KEY NOT NULL, name varchar(120) NOT NULL, tax_no varchar(32), country char(2),
        amount numeric(14, 2), blocked boolean, changed_at datetime)""",
}
TRIGGER = {
    "postgresql": (
        "CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO written VALUES (lower(TG_OP)); RETURN NULL; END $$",
        "CREATE TRIGGER {on} AFTER {on} ON customers FOR EACH ROW EXECUTE FUNCTION tell()",
    ),
    "mariadb": ("", "CREATE TRIGGER on_{on} AFTER {on} ON customers FOR EACH ROW INSERT INTO written VALUES ('{on}')"),
    "sqlite": ("", "CREATE TRIGGER on_{on} AFTER {on} ON customers BEGIN INSERT INTO written VALUES ('{on}'); END"),
}


def customers() -> dict[str, Customer]:
    """Customers as they are found in life: names of all scripts, amounts that floats cannot hold, and some without one."""
    return {
        f"C{n:04}": (f"{NAMES[n % 6]} {n}", f"T-{n:06}", COUNTRIES[n % 6], None if n % 7 == 0 else Decimal(n * 1_000_000 + 10) / 100, n % 5 == 0)
        for n in range(1, COUNT + 1)
    }


class Table:
    """A table of customers in a database of its own."""

    fields = ("name", "tax_no", "country", "amount", "blocked")
    key = "id"

    def __init__(self, place: Place, name: str, by: Any) -> None:
        self.place = place
        first, each = TRIGGER[place.kind]
        place.run(TABLE[place.kind], "CREATE TABLE written (what varchar(9))", *filter(None, [first]))
        place.run(*(each.format(on=on) for on in ("insert", "update", "delete")))
        self.entity: Entity = registered(name, place.settings(), by, connector="sql").entities.get(name="customers")

    def fill(self) -> None:
        mark = "?" if self.place.kind == "sqlite" else "%s"
        rows = [
            (key, *texts, None if amount is None else str(amount), blocked, self._moment(number))
            for number, (key, (*texts, amount, blocked)) in enumerate(customers().items())
        ]
        self.place.connection.cursor().executemany(f"INSERT INTO customers VALUES ({', '.join([mark] * 7)})", rows)
        self.place.connection.commit()

    def rename(self, key: str, name: str) -> None:
        self.place.run(
            f"UPDATE customers SET name = '{name.replace(chr(39), chr(39) * 2)}', changed_at = '{self._moment(100_000)}' WHERE id = '{key}'"
        )

    def customers(self) -> dict[str, Customer]:
        rows = self.place.run(f"SELECT id, {', '.join(self.fields)} FROM customers")
        return {
            key: (name, tax, country, None if amount is None else Decimal(str(amount)), bool(blocked))
            for key, name, tax, country, amount, blocked in rows
        }

    def written(self) -> dict[str, int]:
        return dict(Counter(what for (what,) in self.place.run("SELECT what FROM written")))

    def _moment(self, minutes: int) -> str:
        """Long after the epoch and before the test, in the spelling that all three take."""
        day, rest = divmod(minutes, 1440)
        return f"2025-0{1 + day // 28}-{1 + day % 28:02} {rest // 60:02}:{rest % 60:02}:00.250000{'+00' if self.place.kind == 'postgresql' else ''}"


class Crm:
    """The accounts of the sandbox's CRM."""

    fields = ("name", "tax_id", "address.country", "annual_revenue.amount", None)
    key = "id"

    def __init__(self, sandbox: Any, by: Any) -> None:
        self.crm = sandbox.crm
        self.entity = registered("CRM", _only(demo.systems(sandbox.url)["CRM"], "accounts"), by).entities.get(name="accounts")

    def fill(self) -> None:
        self.crm.has(accounts=COUNT)

    def rename(self, key: str, name: str) -> None:
        self.crm.change("accounts", key, name=name)

    def customers(self) -> dict[str, Customer]:
        return {a["id"]: (a["name"], a["tax_id"], a["address"]["country"], _amount(a), a["status"] == "former") for a in self.crm.records("accounts")}


class Erp:
    """The customers of the sandbox's ERP, which give themselves their numbers and know the source's as an external reference."""

    fields = ("NAME", "TAX_NO", "COUNTRY", "CREDIT_LIMIT", "BLOCKED")
    key = "EXT_REF"

    def __init__(self, sandbox: Any, by: Any) -> None:
        self.erp = sandbox.erp
        self.erp.has(customers=0)
        self.entity = registered("ERP", _only(demo.systems(sandbox.url)["ERP"], "customers"), by).entities.get(name="customers")

    def customers(self) -> dict[str, Customer]:
        return {
            c["EXT_REF"]: (c["NAME"], c["TAX_NO"], c["COUNTRY"], Decimal(c["CREDIT_LIMIT"]) if c["CREDIT_LIMIT"] else None, c["BLOCKED"] == "X")
            for c in self.erp.records("customers")
        }

    def written(self) -> dict[str, int]:
        named = {"customers.create": "insert", "customers.update": "update", "customers.delete": "delete"}
        return {named.get(what, what): count for what, count in self.erp.applied().items()}


FILE_FIELDS = [{"name": "id"}, {"name": "name"}, {"name": "tax_no"}, {"name": "country"}, {"name": "amount", "type": "decimal", "scale": 2}]


class File:
    """One file of customers in a folder: as a source a CSV file in the encoding of China, as a target a Parquet file."""

    fields = Table.fields
    key = "id"

    def __init__(self, folder: Path, form: str, by: Any) -> None:
        self.path = folder / f"customers.{form}"
        self._known: tuple[Any, dict[str, Customer]] = (None, {})
        self._written: Counter[str] = Counter()
        format_ = {"type": "csv", "encoding": "gb18030"} if form == "csv" else {"type": form}
        if form == "csv":
            self._put({})
        file = {"name": "customers", "path": self.path.name, "format": format_, "key": ["id"], "write": form != "csv"}
        file["fields"] = [*FILE_FIELDS, {"name": "blocked", "type": "boolean"}]
        settings = {"place": {"type": "folder", "folder": str(folder)}, "files": [file]}
        self.entity = registered(f"{form} file", settings, by, connector="files").entities.get(name="customers")

    def fill(self) -> None:
        self._put(customers())

    def rename(self, key: str, name: str) -> None:
        held = self.customers()
        self._put({**held, key: (name, *held[key][1:])})

    def _put(self, held: dict[str, Customer]) -> None:
        """As another program would: beside it, then in its place."""
        draft = self.path.with_suffix(".draft")
        with draft.open("w", encoding="gb18030", newline="") as file:
            lines = csv.writer(file)
            lines.writerow(["id", *self.fields])
            lines.writerows([key, *texts, amount, str(blocked).lower()] for key, (*texts, amount, blocked) in held.items())
        draft.replace(self.path)

    def customers(self) -> dict[str, Customer]:
        if self.path.suffix == ".parquet":
            return {key: tuple(customer) for key, *customer in pl.read_parquet(self.path).select("id", *self.fields).iter_rows()}
        with self.path.open(encoding="gb18030", newline="") as file:
            __, *lines = csv.reader(file)
        return {key: (*texts, Decimal(amount) if amount else None, blocked == "true") for key, *texts, amount, blocked in lines}

    def written(self) -> dict[str, int]:
        """By the customers in which each new file differs from the one before; one that differs in none was written for nothing."""
        mark, before = self._known
        is_now = (self.path.stat().st_ino, self.path.stat().st_mtime_ns)
        if is_now != mark:
            now = self.customers()
            differences = Counter("update" if key in before else "insert" for key in now if before.get(key) != now[key])
            self._written += differences or Counter(nothing=1)
            self._known = (is_now, now)
        return dict(self._written)


class Service:
    """The customers of an OData service."""

    fields = ("Name", "Email", "Address.Zip", "Price", "Active")
    key = "ID"

    def __init__(self, service: ODataService, by: Any) -> None:
        self.service = service
        self.entity = registered("OData", {"base_url": f"{service.url}/v4"}, by, connector="odata").entities.get(name="Customers")

    def fill(self) -> None:
        for number, (name, tax, country, amount, blocked) in enumerate(customers().values(), start=1):
            address, price = {"City": "Köln", "Zip": country}, None if amount is None else str(amount)
            self.service.put("Customers", customer(number, Name=name, Email=tax, Address=address, Price=price, Active=blocked))

    def rename(self, key: str, name: str) -> None:
        self.service.put("Customers", {**self.service.sets["Customers"][int(key),], "Name": name, "ModifiedAt": "2026-11-22T12:00:00Z"})

    def customers(self) -> dict[str, Customer]:
        return {
            str(c["ID"]): (c["Name"], c["Email"], c["Address"]["Zip"], None if c["Price"] is None else Decimal(c["Price"]), c["Active"])
            for c in self.service.sets["Customers"].values()
        }


def _only(settings: dict[str, Any], entity: str) -> dict[str, Any]:
    return {**settings, "entities": [e for e in settings["entities"] if e["name"] == entity]}


def _amount(account: dict[str, Any]) -> Decimal | None:
    amount = (account["annual_revenue"] or {}).get("amount")
    return None if amount is None else Decimal(str(amount))
