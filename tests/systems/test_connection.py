import pytest
from django.core.exceptions import ValidationError

from connectors.base import SettingsError
from integration_hub.systems.connection import connect, join_secrets, settings_of, validate_settings
from tests.fakes import MemoryConnector

SETTINGS = {"address": "crm", "auth": {"type": "password", "user": "ada", "password": "pw"}, "headers": [{"name": "A"}, {"name": "B", "value": "b"}]}


def test_secrets_go_apart_by_their_path_and_come_together_again():
    model, plain, sealed = validate_settings(MemoryConnector, SETTINGS, {})

    assert plain == {"address": "crm", "auth": {"type": "password", "user": "ada"}, "headers": [{"name": "A"}, {"name": "B"}]}
    assert sealed == {"auth/password": "pw", "headers/1/value": "b"}
    assert MemoryConnector.Settings.model_validate(join_secrets(plain, sealed)) == model


def test_what_is_merely_the_default_is_not_stored():
    _model, plain, sealed = validate_settings(MemoryConnector, {"address": "crm", "auth": {"type": "none"}, "page_size": 100, "strict": False}, {})

    assert plain == {"address": "crm"}
    assert sealed == {}


def test_invalid_settings_are_told_by_their_place_without_their_value():
    with pytest.raises(ValidationError) as raised:
        validate_settings(MemoryConnector, {"address": "", "auth": {"type": "password", "password": "hunter2"}, "page_size": 0}, {})

    assert set(raised.value.message_dict) == {"settings.address", "settings.auth.user", "settings.page_size"}
    assert "hunter2" not in str(raised.value.message_dict)


def test_a_secret_whose_place_is_gone_is_left_out():
    assert join_secrets({"address": "crm", "headers": []}, {"headers/1/value": "b", "auth/password": "pw"}) == {"address": "crm", "headers": []}


@pytest.mark.django_db
def test_a_connector_gets_settings_with_their_secrets(make_system):
    system = make_system(settings={"address": "crm", "auth": {"type": "password", "user": "ada"}}, secrets={"auth/password": "open sesame"})

    with connect(system) as connector:
        said = connector.check()

    assert str(said) == "Signed in to crm."
    assert connector.host.system == "CRM"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"connector": "gone"}, "CRM needs the connector gone, which is not installed."),
        ({"settings": {"address": ""}}, "The settings of CRM are not valid at address"),
        ({"settings": {"address": "a", "auth": {"type": "password", "user": "u"}}}, "not valid at auth.password:"),
    ],
)
def test_settings_that_are_not_usable_are_one_sentence(make_system, change, sentence):
    system = make_system()
    for name, value in change.items():
        setattr(system, name, value)

    with pytest.raises(SettingsError, match=sentence), connect(system):
        pass


@pytest.mark.django_db
def test_a_lost_key_asks_for_the_credentials_again(make_system, settings):
    system = make_system(secrets={"auth/password": "x"})
    settings.CREDENTIAL_KEYS = "k2:" + "z" * 40

    with pytest.raises(SettingsError, match=r"encrypted with the key k1, .* Enter them again under Systems, CRM\."):
        settings_of(system)
