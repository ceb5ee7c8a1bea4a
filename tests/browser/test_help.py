"""The help and the tour in a real browser."""

import pytest

from integration_hub.core import overview
from integration_hub.core.help import topics
from integration_hub.core.registry import Registry

pytestmark = [pytest.mark.service("chromium"), pytest.mark.django_db(transaction=True)]
expect = pytest.importorskip("playwright.sync_api").expect


def test_every_page_of_the_help_reads_well(signed_in, clean, shot):
    page = signed_in("integrator")
    for name in ("", *topics):
        page.goto(f"/help/{name}/".replace("//", "/"))
        clean(page)
        shot(page, f"help-{name or 'index'}")


def test_the_tour_leads_through_the_console_and_is_put_away(signed_in, make_system, monkeypatch, clean, shot):
    monkeypatch.setattr(overview, "steps", Registry("steps"))  # the first sync has run
    make_system("OA")
    page = signed_in("integrator")
    page.goto("/")
    clean(page)
    shot(page, "tour")

    page.get_by_role("button", name="Put the tour away").click()

    expect(page.get_by_text("The tour is put away.")).to_be_visible()
    expect(page.get_by_role("heading", name="A short tour")).to_have_count(0)
    page.goto("/help/")
    page.get_by_role("button", name="Show the tour").click()
    expect(page.get_by_role("heading", name="A short tour")).to_be_visible()
