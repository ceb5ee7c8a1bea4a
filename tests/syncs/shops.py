"""Shops of a CRM that become stores of an ERP, as two database files. A name is required there, and of countries only Germany is in the value map."""

import pytest
from django.utils import timezone

from integration_hub.syncs import services
from integration_hub.syncs.models import OpenRow, Run, Sync
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


@pytest.fixture
def untold(shop, shops, run_now):
    """Two linked shops and a third, which the target holds since a time that the hub has forgotten, for a backup was put back; it cannot ask the target
    by anything but its keys."""
    add(shop, (1, "One", "Germany", 1), (2, "Two", "Germany", 2))
    run_now(shops)
    target = shops.target
    target.schema["capabilities"] |= {"lookup_by": [], "upsert": False, "idempotency_key": False}
    target.save()
    add(shop, (3, "Three", "Germany", 3))
    shop.run("ERP", "INSERT INTO stores (crm_id, name, country, staff) VALUES ('3', 'Three', 'DE', 3)")
    Sync.objects.update(restored_at=timezone.now())
    assert run_now(Sync.objects.get(pk=shops.pk)).sums()["unknown"] == 1
    return OpenRow.objects.open().get()


def number_of(shop, key):
    """The key of its store."""
    ((number,),) = shop.run("ERP", f"SELECT no FROM stores WHERE crm_id = '{key}'")
    return str(number)
