"""Registering a system, looking at it, and what Settings offer, in a real browser."""

from datetime import timedelta

import pytest
from django.utils import timezone

from connectors.base import Field, FieldType
from integration_hub.accounts.models import Token
from integration_hub.systems import services
from integration_hub.systems.models import HealthCheck, System
from tests.fakes import CONTACTS, MemoryConnector, Store

pytestmark = [pytest.mark.service("chromium"), pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def _memory(memory):
    """The systems of these tests are of kind memory."""


def test_a_system_is_registered_in_three_steps(signed_in, fits, shot, assert_accessible):
    page = signed_in("integrator")
    page.goto("/systems/")
    page.get_by_role("link", name="Register a system").first.click()
    page.get_by_role("link", name="Memory").click()

    page.get_by_label("Name", exact=False).first.fill("CRM")
    page.get_by_label("Address").fill("crm")
    page.locator("#s-auth-tag").select_option("password")
    page.get_by_label("User", exact=True).fill("ada")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Test connection").click()
    page.get_by_text("CRM answered 401 to user ada.").wait_for()
    assert_accessible(page)
    shot(page, "system-register", languages=("en",))

    page.get_by_label("Password").fill("open sesame")
    page.get_by_role("button", name="Test connection").click()
    page.get_by_text("Signed in to crm.").wait_for()
    assert page.get_by_label("Password").input_value() == ""  # it travels on sealed
    assert "open sesame" not in page.content()
    page.get_by_role("button", name="Save and pick entities").click()

    page.get_by_label("Contacts").wait_for()
    fits(page)
    assert_accessible(page)
    shot(page, "system-entities", languages=("en",))
    page.get_by_role("button", name="Use what is ticked").click()

    page.get_by_text("CRM has not been asked yet.").wait_for()
    page.get_by_text("李雷").wait_for()
    system = System.objects.get()
    assert system.secrets.reveal() == {"auth/password": "open sesame"}
    assert [entity.name for entity in system.entities.selected()] == ["contacts"]


def test_lists_of_settings_grow_and_shrink_and_nothing_typed_is_lost(signed_in):
    page = signed_in("integrator")
    page.goto("/systems/add/memory/")
    page.get_by_label("Name", exact=False).first.fill("CRM")
    page.get_by_label("Address").fill("crm")
    page.locator("#s-headers > summary").click()
    for name, value in (("A", "one"), ("B", "two")):
        page.get_by_role("button", name="Add to Headers").click()
        page.locator("#s-headers-1-name" if name == "B" else "#s-headers-0-name").fill(name)
        page.locator("#s-headers-1-value" if name == "B" else "#s-headers-0-value").fill(value)
    page.get_by_role("button", name="Add to Headers").click()
    page.locator("#s-headers-2").wait_for()
    page.get_by_role("button", name="Remove 3").click()
    page.locator("#s-headers-2").wait_for(state="detached")
    page.get_by_role("button", name="Save and pick entities").click()
    page.wait_for_url("**/systems/crm/entities/**")

    system = System.objects.get()
    assert system.settings["headers"] == [{"name": "A"}, {"name": "B"}]
    assert system.secrets.reveal() == {"headers/0/value": "one", "headers/1/value": "two"}


@pytest.fixture
def crm(integrator, memory):
    """A system with a day of history, drift in its entity, and a failure now."""
    password = {"address": "crm", "auth": {"type": "password", "user": "ada", "password": "open sesame"}}
    crm = services.register_system(name="CRM", connector="memory", settings=password, requests_per_day=10_000, by=integrator)
    services.discover_entities(crm, by=integrator)
    services.select_entities(crm, ["contacts"], by=integrator)
    name, vip = CONTACTS.fields[1:]
    found = CONTACTS.model_copy(update={"fields": (CONTACTS.fields[0], name, vip.model_copy(update={"type": FieldType.TEXT}), Field(name="city"))})
    memory.stores["crm"].entities = [found]
    services.discover_entities(crm, by=integrator)
    now = timezone.now()
    for minutes in range(40, 24 * 60, 10):
        check = HealthCheck.objects.create(system=crm, ok=True, latency_ms=150 + (minutes * 7) % 60 + (200 if minutes % 350 == 0 else 0))
        HealthCheck.objects.filter(pk=check.pk).update(at=now - timedelta(minutes=minutes))
    for minutes in (5, 15, 25, 35):
        check = HealthCheck.objects.create(system=crm, ok=False)
        HealthCheck.objects.filter(pk=check.pk).update(at=now - timedelta(minutes=minutes))
    memory.stores["crm"].is_down = True
    services.check_system(crm, by=integrator)
    return crm


def test_a_system_that_does_not_answer_says_what_stands_still(crm, signed_in, fits, shot, assert_accessible):
    page = signed_in("administrator")
    page.goto("/systems/crm/")

    page.get_by_text("CRM cannot be reached.").wait_for()
    page.get_by_text("CRM failed several times").or_(page.get_by_text("CRM does not answer at crm.").first).first.wait_for()
    fits(page)
    assert_accessible(page)
    shot(page, "system-down")

    MemoryConnector.stores["crm"].is_down = False
    page.get_by_role("button", name="Test connection").click()
    page.get_by_text("CRM answers.").wait_for()
    page.get_by_text("李雷").wait_for()
    fits(page)
    shot(page, "system-up", languages=("en",))


def test_what_changed_is_shown_before_it_is_accepted(crm, signed_in, shot, assert_accessible):
    MemoryConnector.stores["crm"].is_down = False
    page = signed_in("integrator", username="maria")
    page.goto("/systems/crm/entities/contacts/")
    page.get_by_text("vip was boolean and is now text").wait_for()
    page.get_by_text("李雷").wait_for()
    assert_accessible(page)
    shot(page, "entity-drift", languages=("en",))

    page.get_by_role("button", name="Accept the changes…").click()
    page.locator("dialog[open]").get_by_role("button", name="Accept the changes").click()

    page.get_by_text("The fields are as they were accepted.").wait_for()


def test_lists_and_forms_stand_in_both_languages(crm, signed_in, fits, shot, assert_accessible):
    MemoryConnector.stores["erp"] = Store()
    System.objects.create(name="ERP", slug="erp", connector="memory", settings={"address": "erp"}, state="reachable", latency_ms=42, read_only=True)
    page = signed_in("administrator")
    for address, name in (
        ("/systems/", "systems"),
        ("/systems/add/", "system-add"),
        ("/systems/add/rest/", "system-add-rest"),
        ("/systems/crm/change/", "system-change"),
        ("/systems/crm/maintenance/", "system-maintenance"),
        ("/settings/profile/", "profile"),
        ("/settings/password/", "password"),
        ("/settings/people/", "people"),
        ("/settings/people/add/", "person-add"),
        ("/settings/tokens/add/", "token-add"),
    ):
        page.goto(address)
        page.wait_for_load_state("networkidle")
        fits(page)
        assert_accessible(page)
        shot(page, name, languages=("en",))


def test_a_token_is_shown_once(signed_in, shot, assert_accessible):
    page = signed_in("operator")
    page.goto("/settings/tokens/")
    page.get_by_role("link", name="Make a token").click()
    page.get_by_label("Name", exact=False).first.fill("CI")
    page.get_by_label("see systems").check()
    page.get_by_role("button", name="Make the token").click()

    key = page.locator("#token-key").inner_text()
    assert key.startswith("hub_")
    shot(page, "token-made", languages=("en",))
    page.get_by_role("link", name="I have copied it").click()
    page.get_by_text("CI").first.wait_for()
    assert key not in page.content()
    assert_accessible(page)
    shot(page, "tokens", languages=("en",))

    page.get_by_role("button", name="Revoke…").click()
    page.locator("dialog[open]").get_by_role("button", name="Revoke").click()
    page.get_by_text("opens nothing any more").wait_for()
    assert Token.objects.get().revoked_at is not None


def test_the_api_reference_draws_itself_under_the_strict_policy(signed_in, shot):
    page = signed_in("viewer")
    page.goto("/api/v1/reference/")

    page.get_by_text("/api/v1/systems/{slug}/check/").first.wait_for()
    shot(page, "api-reference", languages=("en",))
