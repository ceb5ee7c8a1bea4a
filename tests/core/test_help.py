"""The help explains everything that can be looked up, and the tour is put away for good by whoever does so."""

import re

import pytest
from django.test import Client

from integration_hub.accounts.roles import PERMISSIONS
from integration_hub.core import overview
from integration_hub.core.expressions import FUNCTIONS, OPERATORS
from integration_hub.core.help import in_order
from integration_hub.core.registry import Registry
from integration_hub.mappings.transforms import TRANSFORMS
from integration_hub.systems.connection import installed

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(person):
    browser = Client()
    browser.force_login(person("viewer"), backend="django.contrib.auth.backends.ModelBackend")
    return browser


def page(client, address):
    answer = client.get(address)
    assert answer.status_code == 200, address
    return re.sub(r"\s+", " ", answer.content.decode())


def test_every_topic_is_listed_and_opens(client):
    listed = page(client, "/help/")
    for name, topic in in_order():
        assert f'href="/help/{name}/"' in listed
        assert str(topic.summary) in page(client, f"/help/{name}/")
    assert client.get("/help/nothing/").status_code == 404


def test_every_transform_function_and_operator_is_explained(client):
    transforms, expressions = page(client, "/help/transforms/"), page(client, "/help/expressions/")
    assert [name for name in TRANSFORMS if f'id="{name}"' not in transforms] == []
    assert [name for name in FUNCTIONS if f">{name}(" not in expressions] == []
    assert [name for name in OPERATORS if f">{name}<" not in expressions] == []


def test_every_setting_of_every_connector_is_explained(client):
    shown = page(client, "/help/connectors/")
    for kind in installed():
        assert [name for name in kind.Settings.model_fields if f">{name}<" not in shown] == []
    for name in ("pagination", "success_path", "client_secret", "verify_tls"):
        assert f">{name}<" in shown, name


def test_every_permission_has_its_meaning_and_its_row(client):
    assert "Pause, resume and cancel" in page(client, "/help/roles/")
    assert [name for name in PERMISSIONS if f">{name}<" not in page(client, "/help/roles/")] == []


def test_the_commands_are_told_as_their_parsers_declare_them(client):
    shown = page(client, "/help/api/")
    assert "manage.py sync run" in shown
    assert "--dry-run" in shown
    assert "manage.py config apply" in shown
    assert 'href="/api/v1/reference/"' in shown


def test_the_palette_finds_a_topic_by_its_words(client):
    assert "/help/expressions/" in page(client, "/search/?s=formul")


def test_the_tour_stays_away_once_it_is_put_away(client, monkeypatch):
    monkeypatch.setattr(overview, "steps", Registry("steps"))  # the first sync has run

    assert "A short tour" in page(client, "/")
    client.post("/help/tour/")
    assert "A short tour" not in page(client, "/")
    client.post("/help/tour/", {"again": "1"})
    assert "A short tour" in page(client, "/")
