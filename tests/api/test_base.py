"""What holds for every part of the API: who comes in, how errors read, how lists page, and that launches take effect once."""

import json

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from openapi_spec_validator import validate
from rest_framework.response import Response

from integration_hub.accounts.models import Token, User
from integration_hub.audit.models import Entry
from integration_hub.core.models import IdempotencyKey
from integration_hub.core.rest.idempotency import idempotent
from integration_hub.systems.api import SystemViewSet
from integration_hub.systems.models import System
from tests.threads import at_once

pytestmark = pytest.mark.django_db

SYSTEMS = "/api/v1/systems/"


def problem(answer, status):
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert {"type", "title", "detail"} <= body.keys()
    return body


# --- who comes in -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer hub_wrong"}, {"Authorization": "Bearer "}, {"Authorization": "Basic YTpi"}])
def test_a_stranger_is_asked_for_a_token(header):
    answer = Client(headers=header).get(SYSTEMS)

    assert "token" in problem(answer, 401)["detail"]
    assert answer["WWW-Authenticate"] == 'Bearer realm="integration-hub"'


def test_the_console_session_works_too_and_needs_csrf_to_change(person, make_system):
    make_system()
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(person("integrator"), backend="django.contrib.auth.backends.ModelBackend")

    assert browser.get(SYSTEMS).status_code == 200
    problem(browser.delete(f"{SYSTEMS}crm/"), 403)
    assert System.objects.exists()


def test_a_narrow_token_sees_nothing_beyond_its_scopes(api, administrator, make_system):
    make_system()
    client = api(administrator, scopes=["systems.view"])

    assert client.get(SYSTEMS).status_code == 200
    assert "systems.delete" in problem(client.delete(f"{SYSTEMS}crm/"), 403)["detail"]
    problem(client.get("/api/v1/people/"), 404)


def test_a_token_used_is_noted(api, viewer):
    api(viewer).get(SYSTEMS)

    assert Token.objects.get().last_used_at is not None


# --- errors -----------------------------------------------------------------------------------------------------------


def test_what_is_not_there_or_not_understood_is_a_problem(api, integrator, make_system):
    make_system()
    client = api(integrator)

    problem(client.get(f"{SYSTEMS}gone/"), 404)
    problem(client.get("/api/v1/nowhere/"), 404)
    problem(client.put(SYSTEMS), 405)
    problem(client.post(SYSTEMS, "{", content_type="application/json"), 400)
    problem(client.post(SYSTEMS, "a=b", content_type="text/plain"), 415)


def test_an_invalid_input_points_at_its_fields(api, integrator, make_system):
    make_system()
    body = {"name": "ERP", "connector": "memory", "settings": {"address": "", "auth": {"type": "password", "password": "hunter2"}}}

    answer = api(integrator).post(SYSTEMS, body, content_type="application/json")

    errors = problem(answer, 400)["errors"]
    assert {error["pointer"] for error in errors} == {"#/settings/address", "#/settings/auth/user"}
    assert "hunter2" not in answer.content.decode()


def test_a_name_that_means_nothing_is_refused_and_what_is_only_read_may_come_back(api, integrator, make_system):
    make_system()
    client = api(integrator)

    refused = client.patch(f"{SYSTEMS}crm/", {"readonly": True}, content_type="application/json")
    as_it_was = client.patch(f"{SYSTEMS}crm/", client.get(f"{SYSTEMS}crm/").json() | {"notes": "ours"}, content_type="application/json")

    assert problem(refused, 400)["errors"][0]["pointer"] == "#/readonly"
    assert as_it_was.json()["notes"] == "ours"


def test_a_system_that_does_not_answer_is_a_bad_gateway(api, integrator, make_system, memory):
    from tests.fakes import Store

    make_system()
    memory.stores["crm"] = Store()
    memory.stores["crm"].is_down = True

    assert problem(api(integrator).post(f"{SYSTEMS}crm/discover/"), 502)["detail"] == "CRM does not answer at crm."


def test_a_fault_of_the_hub_says_nothing_of_its_inside(api, integrator, make_system, monkeypatch):
    make_system()
    monkeypatch.setattr(SystemViewSet, "get_queryset", lambda self: 1 / 0)
    client = api(integrator)
    client.raise_request_exception = False

    assert "ZeroDivision" not in json.dumps(problem(client.get(SYSTEMS), 500))


# --- lists ------------------------------------------------------------------------------------------------------------


def test_lists_page_by_key_forth_and_back(api, viewer, make_system):
    for number in range(5):
        make_system(f"S{number}")
    client = api(viewer)

    first = client.get(f"{SYSTEMS}?limit=2").json()
    second = client.get(first["next"]).json()
    last = client.get(second["next"]).json()
    back = client.get(last["previous"]).json()

    assert [[item["name"] for item in page["items"]] for page in (first, second, last, back)] == [["S0", "S1"], ["S2", "S3"], ["S4"], ["S2", "S3"]]
    assert first["previous"] is None
    assert last["next"] is None


def test_lists_filter(api, viewer, make_system):
    make_system("A", state="reachable")
    make_system("B")

    items = api(viewer).get(f"{SYSTEMS}?state=reachable").json()["items"]

    assert [item["name"] for item in items] == ["A"]


def test_a_filter_that_is_none_is_refused_and_not_passed_over(api, viewer, make_system):
    make_system("A")

    errors = problem(api(viewer).get(f"{SYSTEMS}?stat=down&limit=1"), 400)["errors"]

    assert errors == [
        {"detail": "stat is not known here. Known are: name, name__startswith, state, connector, after, before, limit.", "pointer": "#/stat"}
    ]


@pytest.mark.parametrize("mark", ["rubbish", "W10", "e30", "WyJhIl0"])
def test_a_mark_that_cannot_be_read_gives_the_first_page(api, viewer, make_system, mark):
    make_system("A")

    assert len(api(viewer).get(f"{SYSTEMS}?after={mark}").json()["items"]) == 1


# --- launches ---------------------------------------------------------------------------------------------------------


class Launch:
    """Something that starts when it is called, in place of the check of a system."""

    def __init__(self, monkeypatch):
        self.count = 0

        def check(view, request, slug):
            if request.data.get("fails"):
                raise ValidationError("No.")
            self.count += 1
            Entry.objects.create(event="launched", subject_id=str(self.count))
            return Response({"launch": self.count}, status=201)

        monkeypatch.setattr(SystemViewSet, "check", idempotent(check))


@pytest.fixture
def launch(monkeypatch, make_system):
    make_system()
    kept = {name: getattr(SystemViewSet.check, name) for name in ("mapping", "detail", "url_path", "url_name", "kwargs")}
    launch = Launch(monkeypatch)
    vars(SystemViewSet.check).update(kept)
    return launch


def start(client, key, body=None):
    return client.post(f"{SYSTEMS}crm/check/", body or {}, content_type="application/json", headers={"Idempotency-Key": key})


def test_a_launch_sent_again_gets_the_same_answer_and_has_no_second_effect(api, operator, launch):
    client = api(operator)

    first, again, other = start(client, "a"), start(client, "a"), start(client, "b")

    assert (first.status_code, first.json()) == (again.status_code, again.json()) == (201, {"launch": 1})
    assert again["Idempotent-Replayed"] == "true"
    assert other.json() == {"launch": 2}


def test_a_key_is_refused_for_another_request(api, operator, launch):
    client = api(operator)
    start(client, "a")

    assert "used for another request" in problem(start(client, "a", {"more": 1}), 422)["detail"]
    problem(start(client, "x" * 201), 400)


def test_a_launch_that_failed_may_be_sent_again_under_its_key(api, operator, launch):
    client = api(operator)

    problem(start(client, "a", {"fails": True}), 400)

    assert not IdempotencyKey.objects.exists()
    assert start(client, "a").json() == {"launch": 1}


def test_keys_of_one_person_are_not_those_of_another(api, operator, integrator, launch):
    assert [start(api(actor), "a").json() for actor in (operator, integrator)] == [{"launch": 1}, {"launch": 2}]


@pytest.mark.django_db(transaction=True)
def test_the_same_launch_at_once_takes_effect_once(api, operator, launch):
    key = api(operator).defaults["HTTP_AUTHORIZATION"]

    answers = at_once(*[lambda: start(Client(headers={"Authorization": key}), "a").json()] * 4)

    assert answers == [{"launch": answers[0]["launch"]}] * 4
    assert Entry.objects.filter(event="launched").count() == 1


# --- schema -----------------------------------------------------------------------------------------------------------


def test_the_schema_is_valid_openapi_3_1(api, viewer):
    schema = api(viewer).get("/api/v1/schema/?format=json").json()

    validate(schema)
    assert schema["openapi"].startswith("3.1")
    assert schema["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert "default" in schema["paths"]["/api/v1/systems/"]["get"]["responses"]


def test_tokens_are_made_in_a_session_only(api, administrator, person):
    body = {"name": "CI", "scopes": ["systems.view"]}
    browser = Client()
    browser.force_login(User.objects.get(), backend="django.contrib.auth.backends.ModelBackend")

    problem(api(administrator).post("/api/v1/tokens/", body, content_type="application/json"), 400)
    made = browser.post("/api/v1/tokens/", body, content_type="application/json")

    assert made.status_code == 201
    assert made.json()["key"].startswith("hub_")
    assert "key" not in browser.get(f"/api/v1/tokens/{made.json()['id']}/").json()
