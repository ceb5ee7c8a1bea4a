"""A CRM and an ERP whose records refer to each other, as two database files: accounts with contacts, and employees with their managers."""

import sqlite3

import pytest

from integration_hub.syncs import services
from tests.syncs.conftest import published, registered

CRM = """
CREATE TABLE accounts (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE contacts (id INTEGER PRIMARY KEY, name TEXT NOT NULL, account_id INTEGER);
CREATE TABLE leads (id INTEGER PRIMARY KEY, name TEXT NOT NULL, account TEXT);
CREATE TABLE employees (id INTEGER PRIMARY KEY, name TEXT NOT NULL, manager_id INTEGER);
"""
ERP = """
CREATE TABLE customers (no INTEGER PRIMARY KEY, crm_id TEXT UNIQUE, name TEXT);
CREATE TABLE partners (no INTEGER PRIMARY KEY, crm_id TEXT UNIQUE, name TEXT);
CREATE TABLE people (no INTEGER PRIMARY KEY, crm_id TEXT UNIQUE, name TEXT, customer_no INTEGER);
CREATE TABLE staff (no INTEGER PRIMARY KEY, crm_id TEXT UNIQUE, name TEXT, boss_no INTEGER);
INSERT INTO customers (no, crm_id, name) VALUES (700, 'old', 'Old');
INSERT INTO people (no, crm_id, name) VALUES (800, 'old', 'Old');
INSERT INTO staff (no, crm_id, name) VALUES (900, 'old', 'Old');
"""


class Company:
    """Both systems, spoken to by hand, and their syncs."""

    def __init__(self, folder, by, *, suffix=""):
        self.by = by
        self.files = {"CRM": folder / "crm.db", "ERP": folder / "erp.db"}
        for name, tables in (("CRM", CRM), ("ERP", ERP)):
            with sqlite3.connect(self.files[name]) as made:
                made.executescript(tables)
        places = {name: {"database": {"type": "sqlite", "path": str(path)}, "connection": {"total_seconds": 2}} for name, path in self.files.items()}
        self.crm, self.erp = (registered(f"{name}{suffix}", place, by, connector="sql") for name, place in places.items())

    def run(self, system, statement, *rows):
        with sqlite3.connect(self.files[system]) as database:
            if rows:
                database.executemany(statement, rows)
                return []
            return database.execute(statement).fetchall()

    def accounts(self, *ids):
        self.run("CRM", "INSERT INTO accounts VALUES (?, ?)", *((pk, f"Account {pk}") for pk in ids))

    def contacts(self, **account_of):
        """contacts(c1=42): contact 1 belongs to account 42."""
        self.run("CRM", "INSERT INTO contacts VALUES (?, ?, ?)", *((name[1:], f"Contact {name[1:]}", of) for name, of in account_of.items()))

    def employees(self, *rows):
        """Pairs of an employee and his manager."""
        self.run("CRM", "INSERT INTO employees VALUES (?, ?, ?)", *((pk, f"Employee {pk}", manager) for pk, manager in rows))

    def customers_of_people(self):
        """Contact → the account that its person's customer was made of, as the ERP has it."""
        return dict(self.run("ERP", "SELECT p.crm_id, c.crm_id FROM people p LEFT JOIN customers c ON c.no = p.customer_no WHERE p.crm_id <> 'old'"))

    def bosses(self):
        """Employee → manager, by their keys in the CRM, as the ERP has them."""
        return dict(self.run("ERP", "SELECT s.crm_id, b.crm_id FROM staff s LEFT JOIN staff b ON b.no = s.boss_no WHERE s.crm_id <> 'old'"))

    def sync(self, source, target, field="", reference="", *, mode="full", name="", max_length=None, required=None, **step):
        """A sync of two tables; `field` of the target takes `reference` of the source through a link."""
        ends = self.crm.entities.get(name=source), self.erp.entities.get(name=target)
        fields = [{"target": "crm_id", "source": "id"}, {"target": "name", "source": "name", **({"max_length": max_length} if max_length else {})}]
        if field:
            fields.append({"target": field, "source": reference, "steps": [{"transform": "link", **step}], "required": required})
        name = name or f"{source} → {target}"
        mapping = published(name, *ends, {"fields": fields, "match": [["crm_id"]]})
        return services.create_sync(by=self.by, source=ends[0], target=ends[1], name=name, mapping=mapping, mode=mode)


@pytest.fixture
def company(db, tmp_path, by, settings):
    settings.ALLOWED_FOLDERS = [tmp_path.resolve()]
    return Company(tmp_path, by)


@pytest.fixture
def accounts_sync(company):
    return company.sync("accounts", "customers")


@pytest.fixture
def contacts_sync(company):
    return company.sync("contacts", "people", "customer_no", "account_id", entity="accounts")
