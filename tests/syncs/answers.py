"""A shop whose answers the tests write themselves, byte by byte, and its sync into the CRM."""

import pytest

from integration_hub.syncs import services
from tests.connectors.conftest import contacts
from tests.connectors.shop import Server
from tests.syncs.conftest import FAST, published, registered


@pytest.fixture
def shop_sync(few, crm, by, request):
    """A sync from a shop whose answers we write ourselves, byte by byte."""
    pagination = {} if "without an end" in request.node.name.replace("_", " ") else {"pagination": {"type": "none"}}
    server = Server()
    shop = registered("Shop", {"base_url": server.shop.url, "connection": FAST, "entities": [contacts(list=pagination)]}, by)
    source, target = shop.entities.get(), crm.entities.get(name="users")
    fields = [
        {"target": "employee_id", "source": "id", "steps": [{"transform": "to_text"}]},
        {"target": "full_name", "source": "name", "required": True},
        {"target": "email", "source": "email", "required": True},
        {"target": "phone", "source": "tags"},
    ]
    mapping = published("Contacts", source, target, {"fields": fields, "match": [["employee_id"]]})
    sync = services.create_sync(by=by, source=source, target=target, name="Contacts", mapping=mapping, mode="full")
    sync.shop = server.shop
    yield sync
    server.close()
