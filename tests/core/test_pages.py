"""Who is let in, what the sidebar and the palette offer, and what is said where something went wrong."""

import pytest
from django.core.exceptions import ValidationError
from django.http import Http404
from django.test import RequestFactory
from django.utils import translation

from integration_hub.accounts.actor import NOBODY, Forbidden
from integration_hub.core import overview, pages, palette
from integration_hub.core.pages import Badge, HubAction, HubPage, NavEntry
from integration_hub.core.parts import Act
from integration_hub.core.registry import Registry
from integration_hub.systems.models import System

pytestmark = pytest.mark.django_db


@pytest.fixture
def asks(person):
    """A function that asks a view as a person of this role, or as nobody."""

    def ask(view, role=None, method="get", **headers):
        request = getattr(RequestFactory(headers=headers), method)("/x/")
        from django.contrib.auth.models import AnonymousUser
        from django.contrib.messages.storage.cookie import CookieStorage

        from integration_hub.accounts.actor import Actor

        request.user = person(role) if role else AnonymousUser()
        request.actor = Actor.of(request.user) if role else NOBODY
        request._messages = CookieStorage(request)
        return view.as_view()(request), request

    return ask


class PeoplePage(HubPage):
    permission = "accounts.view"
    template_name = "hub/bare.html"


class ApplyPage(HubPage):
    permission = "config.apply"
    template_name = "hub/bare.html"


def test_a_stranger_is_led_to_the_sign_in_and_back(asks):
    answer, _request = asks(PeoplePage)

    assert answer.url == "/login/?next=/x/"


def test_a_live_part_whose_session_has_ended_leads_the_whole_page_to_the_sign_in(asks):
    answer, _request = asks(PeoplePage, hx_request="true", hx_current_url="http://testserver/runs/7/?a=b")

    assert answer.status_code == 401
    assert answer.headers["HX-Redirect"] == "/login/?next=/runs/7/"


def test_a_button_pressed_after_the_session_ended_leads_back_to_its_page(client):
    """Not to the address of the button, which is no page."""
    for referer, back in (("http://testserver/systems/crm/?q=1", "/systems/crm/%3Fq%3D1"), ("https://elsewhere.example/x/", "/"), ("", "/")):
        answer = client.post("/systems/crm/check/", headers={"referer": referer})

        assert answer.url == f"/login/?next={back}"


def test_what_may_not_be_seen_does_not_exist_and_what_may_not_be_done_is_refused(asks):
    with pytest.raises(Http404):
        asks(PeoplePage, "operator")
    with pytest.raises(Forbidden):
        asks(ApplyPage, "viewer")


def test_a_refusal_of_a_service_becomes_a_message_where_the_button_was(asks):
    class Refusing(HubAction):
        def act(self, request, **kwargs):
            raise ValidationError("CRM is in use by 2 syncs.")

    answer, request = asks(Refusing, "integrator", "post", referer="http://testserver/systems/crm/?tab=1")

    assert answer.url == "/systems/crm/?tab=1"
    assert [str(message) for message in request._messages] == ["CRM is in use by 2 syncs."]


def test_an_act_never_leads_to_another_site(asks):
    class Fine(HubAction):
        def act(self, request, **kwargs):
            return "Done."

    answer, _request = asks(Fine, "operator", "post", referer="http://evil.example/")

    assert answer.url == "/"


def test_the_sidebar_shows_what_exists_and_may_be_seen(client, person, monkeypatch):
    entries = Registry("navigation entries")
    monkeypatch.setattr(pages, "navigation", entries)
    entries.register("overview", NavEntry("overview", "Overview", "dashboard", "admin:index"))
    many = Badge("10,000+", "bad")
    entries.register("audit", NavEntry("control", "Audit log", "history", "admin:password_change", "accounts.view", badge=lambda by: many))
    entries.register("later", NavEntry("events", "Inbox", "bolt", "events:inbox"))

    client.force_login(person("auditor"))
    seen = client.get("/").content.decode()
    client.force_login(person("viewer"))
    unseen = client.get("/").content.decode()

    assert "Audit log" in seen
    assert "10,000+" in seen
    assert "Inbox" not in seen
    assert "Audit log" not in unseen


def test_the_palette_finds_pages_by_either_language_and_what_apps_register(client, person, monkeypatch):
    searches = Registry("searches")
    monkeypatch.setattr(palette, "searches", searches)
    searches.register("systems", lambda by, text: [palette.Hit("CRM", "Systems", "/systems/crm/", "dns")] if text == "crm" else [])
    client.force_login(person("viewer"))

    assert "Overview" in client.get("/search/", {"s": "home"}).content.decode()
    assert "/systems/crm/" in client.get("/search/", {"s": "crm"}).content.decode()
    assert "总览" in client.get("/search/", {"s": "overv"}, headers={"accept-language": "zh-CN"}).content.decode()
    assert "Nothing is called “&lt;x&gt;”" in client.get("/search/", {"s": "<x>"}).content.decode()


def test_the_palette_puts_what_is_called_so_before_what_only_has_the_letters(viewer, monkeypatch):
    searches = Registry("searches")
    monkeypatch.setattr(palette, "searches", searches)
    titles = ["OA", "OAuth gateway", "Road works", "Syncs", "Sy"]
    searches.register("systems", lambda by, text: [palette.Hit(t, "Systems of others", "/s/") for t in titles[::-1] if text in t.casefold()])

    def found(text):
        return [hit.title for hit in palette.find(viewer, text)]

    assert found("oa") == ["OA", "OAuth gateway", "Road works", "Overview"]  # found by its word "dashboard"
    assert found("sy")[:3] == ["Sy", "Syncs", "Systems"]
    assert found("home") == ["Overview"]
    assert found("") == [str(entry.title) for _name, entry in pages.entries_for(viewer)]
    with translation.override("zh-hans"):
        assert found("sys") == ["系统"]


def test_an_empty_hub_shows_three_steps_and_a_started_one_the_next(client, person, monkeypatch):
    steps = Registry("step providers")
    monkeypatch.setattr(overview, "steps", steps)
    done = []
    for n in (1, 2, 3):
        steps.register(f"{n}", lambda by, n=n: [overview.Step(n, f"Step {n}", "Do it.", Act(f"Go {n}", href="/go/"), n in done)])
    client.force_login(person("integrator"))

    empty = client.get("/").content.decode()
    done.append(1)
    started = client.get("/").content.decode()
    done += [2, 3]
    over = client.get("/").content.decode()

    assert "Nothing is connected yet" in empty
    assert "Go 1" in empty
    assert "Go 2" not in empty
    assert "Nothing is connected yet" not in started
    assert "Go 2" in started
    assert "Step 1" not in over


def test_the_live_part_comes_without_the_shell(client, person):
    for name in ("CRM", "ERP"):
        System.objects.create(name=name, slug=name.lower(), connector="rest")
    client.force_login(person("viewer"))

    whole, part = client.get("/").content, client.get("/", headers={"hx-request": "true"}).content

    assert b"hub-side" in whole
    assert b"hub-side" not in part
    assert b'id="h-live"' in part


def test_what_does_not_exist_is_said_in_the_form_of_the_asker(client, person):
    assert client.get("/no/such/").status_code == 404
    assert client.get("/api/v1/none").json()["status"] == 404
    client.force_login(person("viewer"))
    answer = client.get("/no/such/")
    assert answer.status_code == 404
    assert "hub-side" in answer.content.decode()


def test_a_form_that_is_too_old_says_so(person):
    from django.test import Client

    strict = Client(enforce_csrf_checks=True)
    strict.force_login(person("viewer"))

    answer = strict.post("/language/", {"language": "zh-hans"})

    assert answer.status_code == 403
    assert "load the page again" in answer.content.decode()


def test_the_policy_allows_no_inline_script_or_style(client):
    policy = client.get("/login/").headers["Content-Security-Policy"]
    directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))

    assert "unsafe" not in directives["script-src"] + directives["style-src"] + directives["default-src"]
    assert directives["style-src-attr"] == "'unsafe-inline'"
