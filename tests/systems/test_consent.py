import time
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from connectors.base import SettingsError, Token
from integration_hub.accounts.actor import Forbidden
from integration_hub.accounts.models import Mail
from integration_hub.audit.models import Entry
from integration_hub.core import texts
from integration_hub.systems import consent, health, services
from integration_hub.systems.connection import connect
from integration_hub.systems.models import Credential

pytestmark = pytest.mark.django_db


@pytest.fixture
def asking(memory, monkeypatch):
    """Systems of kind memory ask a person first; they answer the code "good" with tokens, once."""
    used = []

    def authorization_url(self, *, redirect_uri, state, code_challenge):
        return f"https://crm.example.com/authorize?redirect_uri={redirect_uri}&state={state}&code_challenge={code_challenge}"

    def exchange_code(self, *, code, redirect_uri, code_verifier):
        if code != "good" or code in used:
            raise SettingsError("{system} refused the code.", system=self.host.system)
        used.append(code)
        used.append(code_verifier)
        return Token("access", time.time() + 3600, "refresh")

    def check(self):
        self.host.token(lambda refresh: (_ for _ in ()).throw(SettingsError("{system} is not connected.", system=self.host.system)))
        return memory.original_check(self)

    memory.original_check = memory.check
    monkeypatch.setattr(memory, "is_connected_by_person", True, raising=False)
    monkeypatch.setattr(memory, "authorization_url", authorization_url, raising=False)
    monkeypatch.setattr(memory, "exchange_code", exchange_code, raising=False)
    monkeypatch.setattr(memory, "check", check)
    return used


def answer_to(address, **more):
    return {"state": parse_qs(urlsplit(address).query)["state"][0], **more}


def test_a_person_agrees_and_the_tokens_are_kept(make_system, asking, integrator):
    crm = make_system()
    services.check_system(crm, by=integrator)
    assert (crm.state, crm.error_text) == ("reconnect", "CRM is not connected.")

    address, kept = consent.start_consent(crm, by=integrator)
    consent.finish_consent(kept, answer_to(address, code="good"), by=integrator)

    assert "redirect_uri=http://localhost:8000/systems/connected/" in address
    assert Credential.objects.get().sealed.reveal() == {"value": "access", "refresh": "refresh"}
    services.check_system(crm, by=integrator)
    assert crm.state == "reachable"
    assert Entry.objects.filter(event="system.connected").exists()
    assert "access" not in str(list(Entry.objects.values("changes", "note")))


def test_the_verifier_that_was_kept_is_the_one_that_was_asked_with(make_system, asking, integrator):
    import base64
    import hashlib

    address, kept = consent.start_consent(make_system(), by=integrator)
    consent.finish_consent(kept, answer_to(address, code="good"), by=integrator)

    challenge = parse_qs(urlsplit(address).query)["code_challenge"][0]
    assert base64.urlsafe_b64encode(hashlib.sha256(asking[1].encode()).digest()).decode().rstrip("=") == challenge


@pytest.mark.parametrize(
    ("change", "answer", "sentence"),
    [
        ({"state": "other"}, {"code": "good"}, "belongs to no question of this session"),
        ({"asked_at": 0.0}, {"code": "good"}, "came too late"),
        ({}, {"error": "access_denied", "error_description": "No."}, "CRM was not connected, because access was denied there. Nothing was changed"),
        (
            {},
            {"error": "invalid_scope", "error_description": "No such scope."},
            r"It said: No such scope\. Nothing was changed; correct its settings",
        ),
        ({}, {"error": "server_error"}, r"It said: server_error\. "),
        ({}, {}, r"It said: —\. "),
    ],
)
def test_an_answer_that_is_none_keeps_nothing(make_system, asking, integrator, change, answer, sentence):
    address, kept = consent.start_consent(make_system(), by=integrator)

    with pytest.raises(ValidationError, match=sentence):
        consent.finish_consent({**kept, **change}, answer_to(address, **answer), by=integrator)

    assert not Credential.objects.filter(sealed__isnull=False).exists()


def test_an_answer_without_a_question_is_refused(asking, integrator):
    with pytest.raises(ValidationError, match="belongs to no question"):
        consent.finish_consent(None, {"state": "x", "code": "good"}, by=integrator)


def test_who_may_not_change_systems_may_not_connect_them(make_system, asking, operator):
    system = make_system()

    with pytest.raises(Forbidden):
        consent.start_consent(system, by=operator)
    kept = {"system": system.pk, "state": "s", "verifier": "v", "asked_at": time.time()}
    with pytest.raises(Forbidden):
        consent.finish_consent(kept, {"state": "s", "code": "c"}, by=operator)


def test_a_system_that_asks_nobody_has_nothing_to_connect(make_system, integrator):
    crm = make_system()

    assert not consent.asks_a_person(crm)
    with pytest.raises(ValidationError, match="is not connected by a person's consent"):
        consent.start_consent(crm, by=integrator)


def test_a_system_that_waits_for_a_person_says_so_before_it_was_ever_asked(client, person, make_system, asking):
    make_system()
    client.force_login(person("integrator"), backend="django.contrib.auth.backends.ModelBackend")

    verdict = client.get("/systems/crm/").context["verdict"]

    assert verdict.sentence == "CRM waits for a person to connect it."
    assert [(act.label, act.primary) for act in verdict.acts][:2] == [("Connect", True), ("Test connection", False)]


def test_a_first_consent_is_no_alarm_and_a_later_one_is(make_system, asking, integrator, person):
    person("operator", mail_system_down=True)
    crm = make_system()

    def subjects():
        services.check_system(crm, by=integrator)
        health.tell_state(crm.pk)
        return [texts.render(mail.subject) for mail in Mail.objects.order_by("pk")]

    def agree():
        asking.clear()
        address, kept = consent.start_consent(crm, by=integrator)
        consent.finish_consent(kept, answer_to(address, code="good"), by=integrator)

    assert subjects() == []
    agree()
    assert subjects() == []
    health.mark_revoked(crm, SettingsError("{system} took the access back.", system="CRM"))
    health.tell_state(crm.pk)
    agree()
    assert subjects() == ["CRM must be connected again", "CRM answers again"]


def test_settings_that_need_a_person_are_not_tried_before(asking, integrator):
    with pytest.raises(SettingsError, match=r"CRM asks a person first: save, then press Connect\."):
        services.try_settings(connector="memory", settings={"address": "crm"}, name="CRM", by=integrator)


def test_a_token_that_was_taken_back_is_not_shown_as_good(client, person, make_system, asking):
    crm = make_system(state="reconnect")
    Credential.objects.create(system=crm, sealed={"value": "access", "refresh": "refresh"}, expires_at=timezone.now())
    client.force_login(person("integrator"), backend="django.contrib.auth.backends.ModelBackend")

    facts = {fact.label: fact for fact in client.get("/systems/crm/").context["facts"]}

    assert (facts["Credential"].value, facts["Credential"].note) == ("Token", "not accepted any more")


def test_the_browser_goes_there_and_comes_back(client, person, make_system, asking):
    make_system()
    client.force_login(person("integrator"), backend="django.contrib.auth.backends.ModelBackend")

    leaving = client.post("/systems/crm/connect/")
    address = leaving.context["address"]
    back = client.get("/systems/connected/", answer_to(address, code="good"), follow=True)

    assert "https://crm.example.com/authorize?" in leaving.content.decode()
    assert "CRM is connected." in back.content.decode()
    again = client.get("/systems/connected/", answer_to(address, code="good"), follow=True)
    assert "belongs to no question" in again.content.decode()
    with connect(Credential.objects.get().system) as connector:
        assert connector.host.token(lambda refresh: Token("new")) == "access"
