"""What works with a system and its entities, told by mappings and syncs."""

import pytest

from integration_hub.core.registry import uses_of
from integration_hub.mappings.models import Mapping
from integration_hub.syncs.models import Pair, Sync
from integration_hub.systems import services
from integration_hub.systems.models import Entity
from tests.fakes import CONTACTS

pytestmark = pytest.mark.django_db


@pytest.fixture
def used(make_system):
    """A CRM whose contacts a mapping and a sync fill from the OA's people, and whose deals nothing uses."""
    crm, oa = make_system(), make_system("OA")
    schema = CONTACTS.model_dump(mode="json")
    contacts, deals = (Entity.objects.create(system=crm, name=name, schema=schema, selected=True) for name in ("contacts", "deals"))
    people = Entity.objects.create(system=oa, name="people", schema=schema, selected=True)
    mapping = Mapping.objects.create(name="People to contacts", source=people, target=contacts)
    Sync.objects.create(name="People → contacts", pair=Pair.objects.create(a=people, b=contacts), mapping=mapping)
    return crm, contacts, deals, mapping


def test_mappings_and_syncs_are_told_with_their_state(used):
    crm, contacts, deals, mapping = used

    assert [(use.name, use.kind, use.word) for use in uses_of(crm)] == [
        ("People to contacts", "Mapping", ""),
        ("People → contacts", "Sync", "Never ran"),
    ]
    assert all(contacts.pk in use.parts and deals.pk not in use.parts for use in uses_of(crm))
    assert len(uses_of(contacts)) == 2
    assert uses_of(deals) == []
    assert [use.name for use in uses_of(mapping)] == ["People → contacts"]


def test_they_keep_their_system_and_entity(used, integrator):
    crm, _contacts, _deals, _mapping = used

    with pytest.raises(services.InUse, match="CRM is used by People to contacts, People → contacts"):
        services.delete_system(crm, by=integrator)
    with pytest.raises(services.InUse, match="contacts is used by"):
        services.select_entities(crm, ["deals"], by=integrator)
    services.select_entities(crm, ["contacts"], by=integrator)


def test_what_told_nobody_of_its_use_keeps_it_too(used, integrator, monkeypatch):
    monkeypatch.setattr(services, "uses_of", lambda *subjects: [])

    with pytest.raises(services.InUse, match="CRM is used by"):
        services.delete_system(used[0], by=integrator)


def test_the_page_names_what_depends_on_it_in_a_constant_number_of_queries(used, client, person, django_assert_max_num_queries):
    crm = used[0]
    for number in range(20):
        Entity.objects.create(system=crm, name=f"e{number}", schema=CONTACTS.model_dump(mode="json"), selected=True)
    client.force_login(person("viewer"), backend="django.contrib.auth.backends.ModelBackend")

    with django_assert_max_num_queries(32):
        page = client.get("/systems/crm/").content.decode()

    assert "People → contacts" in page
