"""The overview, filled as the apps fill it."""

from datetime import timedelta

import pytest
from django.utils import timezone

from integration_hub.core import overview, pages
from integration_hub.core.overview import Change, Day, Late, Problem, Running, Step, StripItem
from integration_hub.core.pages import Badge, NavEntry
from integration_hub.core.parts import Act, Slot, UpDown
from integration_hub.core.registry import Registry

pytestmark = [pytest.mark.service("chromium"), pytest.mark.django_db(transaction=True)]
expect = pytest.importorskip("playwright.sync_api").expect
FLOW = "Contacts of CRM → Customers of ERP"


@pytest.fixture
def company(monkeypatch):
    """Replaces what the apps registered by the moment of a company that has everything."""
    now = timezone.now()
    said = {
        "problems": [
            Problem(
                "bad",
                "MRP cannot be reached",
                "Connection timed out after 10 s, tried 88 times",
                now - timedelta(minutes=44),
                Act("Open MRP", href="/", primary=True),
                "3 syncs, 1 workflow, 1 rule",
                "1,204 records wait",
                "Maria Okafor",
            ),
            Problem(
                "warn",
                "42 contacts rejected by Customers of ERP",
                "4 causes; “UK” is missing in country_codes for 23",
                now - timedelta(minutes=17),
                Act("Clear rejects", href="/"),
                FLOW,
                "181,902 others are right",
                take=Act("Take it", post="/", quiet=True),
            ),
            Problem(
                "warn",
                "Token of Marketing expires in 3 days",
                "it cannot be renewed by the hub",
                now - timedelta(days=4),
                Act("Renew token", href="/"),
            ),
        ],
        "strip": [
            StripItem("CRM", "/", "ok", "Reachable", "118 ms · 61 % quota left"),
            StripItem("OA", "/", "idle", "Maintenance", "until 12:00, Lin Wei", "build_circle"),
            StripItem("ERP", "/", "ok", "Reachable", "204 ms · no quota"),
            StripItem("MRP", "/", "bad", "Unreachable", "since 09:58, 44 min"),
            StripItem("Help desk", "/", "ok", "Reachable", "96 ms · 88 % quota left"),
            StripItem("Marketing", "/", "warn", "Token expires", "in 3 days · 141 ms"),
        ],
        "late": [
            Late("Work orders of MRP → Orders of CRM", "/", 3240, 600, "MRP unreachable", "bad"),
            Late("Staff of OA → Users of CRM", "/", 7800, 7200, "OA in maintenance"),
        ],
        "running": [
            Running("Tickets of Help desk → Cases of CRM", "/", "Comparing · 48,200 of 61,930", 77.8, "910/s", 15),
            Running("Consents of Marketing → Contacts of CRM", "/", "Reading", None),
        ],
        "day": [
            Day(
                UpDown(
                    "Written and rejected",
                    [Slot(f"{n}", n * 7919 % 38200, 42 if n == 46 else 0, f"{n // 2:02}:00" if n % 8 == 0 else "") for n in range(48)],
                ),
                "412,806 written · 96 rejected · 1,318 runs",
            )
        ],
        "changes": [
            Change(now - timedelta(minutes=20), "Lin Wei", f"published mapping v7 of {FLOW}", "/"),
            Change(now - timedelta(days=1), "Chen Jing 陈静", "renewed the credential of Help desk"),
        ],
        "notes": ["38 of 41 syncs are on time.", "1,204 records wait for MRP; nothing is lost."],
    }
    for name in ("problems", "strip", "late", "running", "day", "changes", "notes", "steps", "offers"):
        registry = Registry(name)
        if name in said:
            registry.register(name, lambda by, name=name: said[name])
        monkeypatch.setattr(overview, name, registry)
    entries = Registry("navigation entries")
    for name, section, title, icon, badge in (
        ("overview", "overview", "Overview", "dashboard", None),
        ("systems", "connections", "Systems", "dns", Badge("1", "bad")),
        ("mappings", "connections", "Mappings", "conversion_path", None),
        ("syncs", "syncs", "All syncs", "sync", None),
        ("runs", "syncs", "Runs", "play_circle", Badge("2", "run")),
        ("rejects", "syncs", "Rejects", "error", Badge("10,000+", "warn")),
        ("settings", "control", "Settings", "settings", None),
    ):
        entries.register(
            name,
            NavEntry(section, title, icon, "admin:index" if name == "overview" else "admin:password_change", badge=badge and (lambda by, b=badge: b)),
        )
    monkeypatch.setattr(pages, "navigation", entries)
    return said


def test_what_needs_me_stands_first(signed_in, company, assert_accessible, fits, shot):
    page = signed_in()

    page.goto("/", wait_until="networkidle")

    expect(page.get_by_role("heading", level=2).first).to_have_text("MRP cannot be reached, and 2 more problems are open.")
    assert_accessible(page)
    for width in (1280, 1100, 900, 600, 400):
        page.set_viewport_size({"width": width, "height": 900})
        fits(page)
    shot(page, "overview-full", languages=("en",))
    page.emulate_media(color_scheme="dark")
    assert_accessible(page)


def test_an_empty_hub_shows_three_steps(signed_in, company, assert_accessible, fits, shot):
    steps = [
        Step(
            1,
            "Connect two systems",
            "Choose a connector, enter address and credential, test the connection.",
            Act("Connect a system", href="/", primary=True),
            False,
        ),
        Step(2, "Map what belongs together", "Say which entity is which, for example Contacts of CRM and Customers of ERP.", None, False),
        Step(3, "Dry run, then run", "See record by record what would be created, updated or left alone.", None, False),
    ]
    overview.steps.register("all", lambda by: steps)
    overview.offers.register(
        "demo", lambda by: [Act("Load the demo", post="/", note="The demo brings six small systems. It can be removed at any time.")]
    )
    page = signed_in()

    page.goto("/", wait_until="networkidle")

    expect(page.get_by_role("heading", level=2).filter(has_text="Nothing is connected")).to_be_visible()
    assert_accessible(page)
    page.set_viewport_size({"width": 400, "height": 900})
    fits(page)
    shot(page, "overview-empty", languages=("en",), themes=("light",))
