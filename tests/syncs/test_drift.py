"""Schemas that change under mappings and syncs: told before they are accepted, and a sync that must stop says why."""

import pytest
from django.urls import reverse

from connectors.base import FieldType
from integration_hub.core import texts
from integration_hub.core.registry import effects_of
from integration_hub.mappings import services as mappings
from integration_hub.syncs import due, services
from integration_hub.syncs.models import Sync, SyncCursor
from integration_hub.syncs.services import NotPossible
from integration_hub.systems import services as systems
from integration_hub.systems.drift import schema_changes
from tests.syncs.linked import company
from tests.syncs.shops import DEFINITION, add, shop, shops

__all__ = ["company", "shop", "shops"]
pytestmark = pytest.mark.django_db(transaction=True)


def find(shop, system, *statements):
    """Change a system's tables, then look again what it holds."""
    for statement in statements:
        shop.run(system, statement)
    registered = shop.crm if system == "CRM" else shop.erp
    systems.discover_entities(registered, by=shop.by)
    return registered.entities.get(name="shops" if system == "CRM" else "stores")


def told(entity):
    return {effect.kind: (list(effect.breaks), list(effect.goes_on)) for effect in systems.effects_found(entity)}


def test_a_field_that_is_gone_is_told_with_what_it_breaks(shop, shops, client, person):
    entity = find(shop, "CRM", "ALTER TABLE shops DROP COLUMN country")

    found = told(entity)

    assert found["Mapping"] == (["country: There is no field country."], [])
    assert found["Sync"] == (["Its runs fail until a version of the mapping Shops is published that fits."], ["Links stay."])
    client.force_login(person("integrator"))
    page = client.get(reverse("systems:entity", args=[entity.system.slug, "shops"])).content.decode()
    assert "Its runs fail until a version of the mapping Shops is published that fits." in page
    assert "2 mappings and syncs break, as told below." in page
    api = client.get(f"/api/v1/systems/{entity.system.slug}/entities/shops/").json()
    assert [(effect["name"], bool(effect["breaks"])) for effect in api["effects_found"]] == [("Shops", True), ("Shops → stores", True)]


def test_what_nobody_uses_breaks_nothing(shop, shops):
    entity = find(shop, "CRM", "ALTER TABLE shops ADD COLUMN fax TEXT")

    assert told(entity) == {"Mapping": ([], ["All 4 mapped fields still fit."]), "Sync": ([], ["It runs on.", "Links stay."])}
    assert [texts.render(change.text) for change in systems.changes_found(entity)] == ["fax is new, text"]


def test_fields_by_which_records_can_be_looked_up_are_told_by_their_names(shops):
    old = shops.target.as_schema()
    fewer = old.model_copy(update={"capabilities": old.capabilities.model_copy(update={"lookup_by": ("no", "name")})})

    assert [str(change.text) for change in schema_changes(old, fewer)] == ["records can no longer be looked up by country, crm_id, staff"]
    assert [str(change.text) for change in schema_changes(fewer, old)] == ["records can now be looked up by country, crm_id, staff"]
    turned = old.model_copy(update={"capabilities": old.capabilities.model_copy(update={"lookup_by": old.capabilities.lookup_by[::-1]})})
    assert schema_changes(old, turned) == []


def test_a_new_required_field_of_the_target_is_told(shop, shops):
    entity = find(
        shop, "ERP", "DROP TABLE stores",
        "CREATE TABLE stores (no INTEGER PRIMARY KEY, crm_id TEXT UNIQUE, name TEXT, country TEXT, staff INTEGER, tax TEXT NOT NULL)",
    )  # fmt: skip

    assert told(entity)["Mapping"][0] == ["New records are refused without tax, which is required now and not mapped."]


def test_a_key_and_a_cursor_field_that_change_are_told(shops):
    sync, old = Sync.objects.with_names().get(), shops.source.as_schema()
    old = old.model_copy(update={"cursor_field": "staff", "capabilities": old.capabilities.model_copy(update={"incremental": True})})
    Sync.objects.filter(pk=sync.pk).update(mode="incremental", filter="staff > 3")
    SyncCursor.objects.create(sync=sync, side="a", value="7", key="1")
    fields = [field.model_copy(update={"type": FieldType.TEXT}) if field.name == "staff" else field for field in old.fields]

    of_key = effects_of(shops.source, old, old.model_copy(update={"key": ("name",)}))
    of_cursor = effects_of(shops.source, old, old.model_copy(update={"cursor_field": "id"}))
    of_type = effects_of(shops.source, old, old.model_copy(update={"fields": tuple(fields)}))

    assert "Its links stand under the key id; under name no record is known again." in of_key[0].breaks
    assert of_key[0].goes_on == ("The cursor stays at 7.",)
    assert of_cursor[0].breaks == ("Its cursor stands by staff, which is no measure of id: set the cursor, or run it in full.",)
    assert "Its cursor field staff is of another type: set the cursor, or run it in full." in next(e for e in of_type if e.kind == "Sync").breaks


def test_a_required_target_field_that_vanishes_stops_the_sync_and_leaves_its_cursor(shop, shops, by, run_now):
    add(shop, (1, "One", "Germany", 1))
    run_now(shops)
    SyncCursor.objects.create(sync=shops, side="a", value="7", key="1")
    entity = find(shop, "ERP", "ALTER TABLE stores DROP COLUMN name")

    assert told(entity)["Sync"] == (
        ["It stops, also before this is accepted: name, which the target required, is gone."],
        ["The cursor stays at 7.", "Links stay."],
    )
    with pytest.raises(NotPossible, match="ERP · stores no longer has name, which it required"):
        services.start_run(Sync.objects.with_names().get(), by=by)
    Sync.objects.update(next_due_at="2026-01-01T00:00:00Z", interval_seconds=300)
    due.start_due_syncs()
    shops.refresh_from_db()
    assert "Publish the mapping Shops without it; the cursor stays where it is." in texts.render(shops.refusal)
    systems.accept_schema(entity, by=by)
    with pytest.raises(NotPossible, match="no longer has name"):
        services.start_run(Sync.objects.with_names().get(), by=by)

    without = {**DEFINITION, "fields": [each for each in DEFINITION["fields"] if each["target"] != "name"]}
    mappings.publish_mapping(mappings.change_mapping(shops.mapping, definition=without, by=by), by=by)
    run = run_now(Sync.objects.with_names().get())

    assert run.state == "succeeded"
    assert Sync.objects.get().refusal is None
    assert SyncCursor.objects.get().value == "7"
