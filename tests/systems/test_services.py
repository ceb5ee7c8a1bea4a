import pytest
from django.core.exceptions import ValidationError
from django.urls import reverse

from connectors.base import Field, FieldType, SettingsError, SystemDown
from integration_hub.accounts.actor import Forbidden
from integration_hub.audit import texts as audit_texts
from integration_hub.audit.models import Entry
from integration_hub.core.registry import Use, uses
from integration_hub.systems import services
from integration_hub.systems.models import Credential, Entity, System
from tests.fakes import CONTACTS, MemoryConnector

pytestmark = pytest.mark.django_db

PASSWORD = {"address": "crm", "auth": {"type": "password", "user": "ada", "password": "open sesame"}}


@pytest.fixture
def crm(integrator):
    return services.register_system(name="CRM", connector="memory", settings=PASSWORD, by=integrator)


@pytest.fixture
def in_use(monkeypatch):
    """A function that makes something a use of a system or entity: in_use(entity, "Contacts → Customers")."""

    def make(subject, name):
        monkeypatch.setitem(uses._things, "tests", lambda asked: [Use(name)] if asked == subject else [])

    return make


# --- registering and changing -----------------------------------------------------------------------------------------


def test_a_registered_system_is_checked_at_once_and_its_secrets_are_sealed(crm):
    crm.refresh_from_db()

    assert crm.slug == "crm"
    assert crm.settings == {"address": "crm", "auth": {"type": "password", "user": "ada"}}
    assert crm.secrets.reveal() == {"auth/password": "open sesame"}
    assert System.objects.due().get() == crm


def test_settings_that_are_not_valid_register_nothing(integrator):
    with pytest.raises(ValidationError) as raised:
        services.register_system(name="CRM", connector="memory", settings={"address": "", "page_size": 0}, by=integrator)

    assert set(raised.value.message_dict) == {"settings.address", "settings.page_size"}
    assert not System.objects.exists()
    assert not Entry.objects.exists()


def test_two_systems_cannot_have_one_name(crm, integrator):
    with pytest.raises(ValidationError, match="already exists"):
        services.register_system(name=" CRM ", connector="memory", settings={"address": "x"}, by=integrator)


def test_a_connector_that_is_not_installed_is_named(integrator):
    with pytest.raises(ValidationError, match="There is no connector “gopher”"):
        services.register_system(name="CRM", connector="gopher", settings={}, by=integrator)


def test_names_in_any_script_have_addresses_of_their_own(integrator):
    names = ["客户系统", "A b", "a-b", "A  B!", "???"]

    slugs = [services.register_system(name=name, connector="memory", settings={"address": "x"}, by=integrator).slug for name in names]

    assert slugs == ["客户系统", "a-b", "a-b-2", "a-b-3", "system"]


@pytest.mark.parametrize("given", [{}, {"password": ""}])
def test_a_secret_left_out_or_empty_keeps_its_stored_value(crm, integrator, given):
    services.change_system(crm, settings={"address": "crm", "auth": {"type": "password", "user": "bob", **given}}, by=integrator)

    crm.refresh_from_db()
    assert crm.settings["auth"]["user"] == "bob"
    assert crm.secrets.reveal() == {"auth/password": "open sesame"}


def test_another_way_to_sign_in_forgets_the_old_secret(crm, integrator):
    services.change_system(crm, settings={"address": "crm", "auth": {"type": "none"}}, by=integrator)

    crm.refresh_from_db()
    assert crm.secrets.reveal() == {}


def test_a_stored_secret_is_not_sent_to_another_host(integrator):
    settings = {**PASSWORD, "address": "https://crm.example.com/api"}
    crm = services.register_system(name="CRM", connector="memory", settings=settings, by=integrator)
    elsewhere = {"address": "https://evil.example.net/api", "auth": {"type": "password", "user": "ada"}}

    with pytest.raises(ValidationError, match=r"The address changed to evil\.example\.net: enter the secrets again"):
        services.change_system(crm, settings=elsewhere, by=integrator)
    with pytest.raises(ValidationError, match="enter the secrets again"):
        services.try_settings(connector="memory", settings=elsewhere, system=crm, by=integrator)

    services.change_system(crm, settings={**elsewhere, "address": "https://crm.example.com/api/v2"}, by=integrator)


def test_the_audit_log_holds_what_changed_and_never_a_secret(crm, integrator):
    changed = {"address": "crm", "auth": {"type": "password", "user": "bob", "password": "hunter2"}, "page_size": 10}

    services.change_system(crm, settings=changed, requests_per_second=5, read_only=True, by=integrator)

    entry = Entry.objects.get(event="system.changed")
    assert entry.changes == {
        "settings.auth.user": ["ada", "bob"],
        "settings.page_size": [None, 10],
        "requests_per_second": [None, 5],
        "read_only": [False, True],
        "secrets": ["", "changed"],
    }
    assert "hunter2" not in str(list(Entry.objects.values()))
    assert "open sesame" not in str(list(Entry.objects.values()))


def test_a_change_that_changes_nothing_leaves_no_trace(crm, integrator):
    services.change_system(crm, name="CRM", settings={"address": "crm", "auth": {"type": "password", "user": "ada"}}, by=integrator)

    assert not Entry.objects.filter(event="system.changed").exists()


def test_a_token_is_forgotten_with_the_user_it_belongs_to_and_only_then(crm, integrator):
    Credential.objects.create(system=crm, sealed={"value": "t"})

    services.change_system(crm, notes="seen", by=integrator)
    assert Credential.objects.exists()

    services.change_system(crm, settings={"address": "crm", "auth": {"type": "password", "user": "bob"}}, by=integrator)
    assert not Credential.objects.exists()


def test_limits_that_make_no_sense_are_refused(crm, integrator):
    with pytest.raises(ValidationError):
        services.change_system(crm, requests_per_second=0, by=integrator)


# --- trying -----------------------------------------------------------------------------------------------------------


def test_trying_settings_says_who_we_are_and_saves_nothing(integrator):
    said = services.try_settings(connector="memory", settings=PASSWORD, by=integrator)

    assert str(said) == "Signed in to crm."
    assert not System.objects.exists()


def test_trying_uses_the_stored_secret_where_none_is_given(crm, integrator):
    MemoryConnector.stores.clear()

    services.try_settings(connector="memory", settings={"address": "crm", "auth": {"type": "password", "user": "x"}}, system=crm, by=integrator)


def test_trying_wrong_settings_says_what_is_wrong(integrator):
    wrong = {"address": "crm", "auth": {"type": "password", "user": "ada", "password": "no"}}

    with pytest.raises(SettingsError, match="answered 401 to user ada"):
        services.try_settings(connector="memory", settings=wrong, name="CRM", by=integrator)


# --- entities ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def contacts(crm, integrator):
    services.discover_entities(crm, by=integrator)
    services.select_entities(crm, ["contacts"], by=integrator)
    return crm.entities.get()


def shows(**changes):
    MemoryConnector.stores["crm"].entities = [CONTACTS.model_copy(update=changes)]


def test_discovery_finds_entities_which_are_then_picked(crm, integrator):
    services.discover_entities(crm, by=integrator)
    assert [(entity.name, entity.selected) for entity in crm.entities.all()] == [("contacts", False)]

    services.select_entities(crm, ["contacts"], by=integrator)

    entity = crm.entities.selected().get()
    assert entity.as_schema() == CONTACTS
    assert entity.label == "Contacts"


def test_discovering_again_shows_what_changed_before_it_is_accepted(crm, contacts, integrator):
    name, vip = CONTACTS.fields[1:]
    shows(fields=(vip.model_copy(update={"type": FieldType.TEXT}), name.model_copy(update={"max_length": 50}), Field(name="city")))

    services.discover_entities(crm, by=integrator)
    contacts.refresh_from_db()

    assert contacts.as_schema() == CONTACTS
    assert contacts.has_drift
    assert [str(change.text) for change in services.changes_found(contacts)] == [
        "id is gone",
        "vip was boolean and is now text",
        "name may now be 50 characters long",
        "city is new, text",
    ]

    accepted = services.accept_schema(contacts, by=integrator)

    assert [f.name for f in accepted.as_schema().fields] == ["vip", "name", "city"]
    assert not Entity.objects.get().has_drift
    assert audit_texts.details(Entry.objects.get(event="entity.schema_accepted")) == (
        "schema: id is gone, vip was boolean and is now text, name may now be 50 characters long, city is new, text"
    )


def test_an_accepted_schema_is_among_the_changes_on_the_page_of_the_system(crm, contacts, integrator, person, client):
    shows(fields=(*CONTACTS.fields, Field(name="city")))
    services.discover_entities(crm, by=integrator)
    services.accept_schema(Entity.objects.get(), by=integrator)
    client.force_login(person("viewer"))

    told = client.get(reverse("systems:detail", args=[crm.slug])).context["changes"]

    assert [each["entry"].event for each in told][:2] == ["entity.schema_accepted", "system.discovered"]
    assert told[0]["how"] == "schema: city is new, text"


def test_drift_that_goes_away_needs_no_acceptance(crm, contacts, integrator):
    shows(key=("name",))
    services.discover_entities(crm, by=integrator)
    shows()

    services.discover_entities(crm, by=integrator)

    assert not Entity.objects.get().has_drift


def test_a_new_label_is_no_drift(crm, contacts, integrator):
    shows(label="People")

    services.discover_entities(crm, by=integrator)

    entity = Entity.objects.get()
    assert (entity.has_drift, entity.label) == (False, "People")


def test_a_selected_entity_that_is_gone_is_kept_and_marked(crm, contacts, integrator):
    MemoryConnector.stores["crm"].entities = []

    services.discover_entities(crm, by=integrator)

    entity = Entity.objects.get()
    assert (entity.is_missing, entity.has_drift) == (True, True)


def test_an_entity_that_nobody_picked_goes_when_it_is_gone(crm, integrator):
    services.discover_entities(crm, by=integrator)
    MemoryConnector.stores["crm"].entities = []

    services.discover_entities(crm, by=integrator)

    assert not Entity.objects.exists()


def test_an_entity_in_use_cannot_be_left_out(crm, contacts, integrator, in_use):
    in_use(contacts, "Contacts → Customers")

    with pytest.raises(services.InUse, match="is used by Contacts → Customers"):
        services.select_entities(crm, [], by=integrator)

    assert crm.entities.selected().exists()


def test_only_entities_of_the_system_can_be_picked(crm, contacts, integrator):
    with pytest.raises(ValidationError, match="CRM has no entity orders"):
        services.select_entities(crm, ["orders"], by=integrator)


def test_a_system_in_use_cannot_be_deleted(crm, contacts, integrator, in_use):
    in_use(crm, "Contacts → Customers")

    with pytest.raises(services.InUse, match=r"CRM is used by Contacts → Customers\. Change or delete these first\."):
        services.delete_system(crm, by=integrator)

    in_use(None, "")
    services.delete_system(crm, by=integrator)
    assert not System.objects.exists()


def test_a_sample_is_read_live_and_counts_the_records(contacts, viewer):
    sample = services.read_sample(contacts, count=1, by=viewer)

    assert sample.fields == ["id", "name", "vip"]
    assert sample.rows == [{"id": 1, "name": "Ada", "vip": True}]
    contacts.refresh_from_db()
    assert (contacts.record_count, contacts.read_last_at is not None) == (2, True)


def test_nothing_is_changed_when_the_system_does_not_answer(crm, contacts, integrator):
    MemoryConnector.stores["crm"].is_down = True

    with pytest.raises(SystemDown):
        services.discover_entities(crm, by=integrator)

    assert not Entity.objects.get().has_drift


@pytest.mark.parametrize("role", ["viewer", "operator", "approver", "auditor"])
def test_who_may_not_change_systems_is_refused_before_anything_happens(crm, contacts, person, role):
    from integration_hub.accounts.actor import Actor

    by, before = Actor.of(person(role)), Entry.objects.count()

    for call in (
        lambda: services.register_system(name="X", connector="memory", settings={"address": "x"}, by=by),
        lambda: services.change_system(crm, name="X", by=by),
        lambda: services.delete_system(crm, by=by),
        lambda: services.try_settings(connector="memory", settings=PASSWORD, by=by),
        lambda: services.discover_entities(crm, by=by),
        lambda: services.select_entities(crm, [], by=by),
        lambda: services.accept_schema(contacts, by=by),
    ):
        with pytest.raises(Forbidden):
            call()

    assert Entry.objects.count() == before
