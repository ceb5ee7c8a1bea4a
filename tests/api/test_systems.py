import pytest

from integration_hub.systems.models import System

pytestmark = pytest.mark.django_db
SYSTEMS = "/api/v1/systems/"


def test_a_system_is_registered_discovered_picked_and_sampled(api, integrator, memory):
    client = api(integrator)
    settings = {"address": "crm", "auth": {"type": "password", "user": "ada", "password": "open sesame"}}

    made = client.post(SYSTEMS, {"name": "CRM", "connector": "memory", "settings": settings}, content_type="application/json")
    checked = client.post(f"{SYSTEMS}crm/check/")
    found = client.post(f"{SYSTEMS}crm/discover/")
    picked = client.post(f"{SYSTEMS}crm/select/", {"entities": ["contacts"]}, content_type="application/json")
    sample = client.get(f"{SYSTEMS}crm/entities/contacts/sample/")

    assert made.status_code == 201, made.content
    assert "open sesame" not in made.content.decode()
    assert made.json()["settings"] == {"address": "crm", "auth": {"type": "password", "user": "ada"}}
    assert checked.json()["ok"] is True
    assert [entity["name"] for entity in found.json()] == ["contacts"]
    assert picked.json()[0]["selected"] is True
    assert sample.json()["fields"] == ["id", "name", "vip"]
    assert sample.json()["rows"][1] == {"id": 2, "name": "李雷", "vip": None}
    assert client.get(f"{SYSTEMS}crm/").json()["state"] == "reachable"


def test_a_change_keeps_secrets_that_are_left_out(api, integrator, make_system):
    make_system(settings={"address": "crm", "auth": {"type": "password", "user": "ada"}}, secrets={"auth/password": "pw"})
    body = {"settings": {"address": "crm", "auth": {"type": "password", "user": "bob"}}, "requests_per_second": 5}

    answer = api(integrator).patch(f"{SYSTEMS}crm/", body, content_type="application/json")

    assert answer.status_code == 200, answer.content
    system = System.objects.get()
    assert (system.settings["auth"]["user"], system.secrets.reveal(), system.requests_per_second) == ("bob", {"auth/password": "pw"}, 5)


@pytest.mark.parametrize("limit", ["requests_per_second", "requests_per_minute", "requests_per_day"])
def test_a_limit_allows_at_least_something(api, integrator, make_system, limit):
    make_system()

    answer = api(integrator).patch(f"{SYSTEMS}crm/", {limit: 0}, content_type="application/json")

    assert answer.status_code == 400, answer.content
    assert answer.json()["errors"] == [{"detail": "It is more than 0; leave it empty for no limit.", "pointer": f"#/{limit}"}]
    assert getattr(System.objects.get(), limit) is None


def test_a_connector_cannot_be_exchanged(api, integrator, make_system):
    make_system()

    assert api(integrator).patch(f"{SYSTEMS}crm/", {"connector": "rest"}, content_type="application/json").status_code == 400


def test_deleting_what_is_in_use_is_a_conflict(api, integrator, make_system, monkeypatch):
    from integration_hub.core.registry import Use, uses

    make_system()
    monkeypatch.setitem(uses._things, "tests", lambda asked: [Use("Contacts → Customers")])

    answer = api(integrator).delete(f"{SYSTEMS}crm/")

    assert answer.status_code == 409
    assert answer.json()["detail"] == "CRM is used by Contacts → Customers. Change or delete these first."


def test_connectors_tell_the_schema_of_their_settings(api, viewer, memory):
    found = {c["kind"]: c for c in api(viewer).get("/api/v1/connectors/").json()}

    assert found["memory"]["settings_schema"]["properties"]["address"]["title"] == "Address"
