"""Shops of a CRM that become stores of an ERP, as two database files. A name is required there, and of countries only Germany is in the value map."""

import pytest

from integration_hub.syncs import services
from integration_hub.syncs.models import Run
from integration_hub.systems import services as systems
from tests.syncs.conftest import finish, published

DEFINITION = {
    "fields": [
        {"target": "crm_id", "source": "id"},
        {"target": "name", "source": "name", "required": True},
        {"target": "country", "source": "country", "steps": [{"transform": "trim"}, {"transform": "value_map", "table": {"Germany": "DE"}}]},
        {"target": "staff", "source": "staff"},
    ],
    "match": [["crm_id"]],
}


def opened(company):
    """The company with a table of shops and one of stores."""
    company.run("CRM", "CREATE TABLE shops (id INTEGER PRIMARY KEY, name TEXT, country TEXT, staff INTEGER)")
    company.run("ERP", "CREATE TABLE stores (no INTEGER PRIMARY KEY, crm_id TEXT UNIQUE, name TEXT, country TEXT, staff INTEGER)")
    for system in (company.crm, company.erp):
        systems.discover_entities(system, by=company.by)
        systems.select_entities(system, [e.name for e in system.entities.all()], by=company.by)
    return company


def shops_of(shop):
    """Their sync."""
    source, target = shop.crm.entities.get(name="shops"), shop.erp.entities.get(name="stores")
    mapping = published("Shops", source, target, DEFINITION)
    return services.create_sync(by=shop.by, source=source, target=target, name="Shops → stores", mapping=mapping, mode="full")


@pytest.fixture
def shop(company):
    return opened(company)


@pytest.fixture
def shops(shop):
    return shops_of(shop)


def add(shop, *rows):
    shop.run("CRM", "INSERT INTO shops VALUES (?, ?, ?, ?)", *rows)


def stores(shop):
    return {pk: rest for pk, *rest in shop.run("ERP", "SELECT crm_id, name, country, staff FROM stores")}


def replayed():
    return finish(Run.objects.filter(trigger="replay").latest("pk"))
