"""The pages of syncs, runs and rejects in a real browser, over a sync between two systems of the sandbox."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from integration_hub.syncs import services
from integration_hub.syncs.models import COUNTS, ChangeSet, OpenRow, Partition, Run
from tests.browser.conftest import aside
from tests.syncs.conftest import ended, finish

pytestmark = [pytest.mark.service("chromium"), pytest.mark.django_db(transaction=True)]
expect = pytest.importorskip("playwright.sync_api").expect


@pytest.fixture
def run_now(by):
    return lambda sync, **options: aside(finish, services.start_run(sync, by=by, **options))


@pytest.fixture
def ran(users_sync, run_now, by):
    """The sync, scheduled, after a first run and some of its history."""
    sync = services.change_sync(users_sync, by=by, interval_seconds=300, objective_seconds=600, notes="Month end: no full run.")
    run_now(sync)
    states = ["succeeded"] * 20 + ["failed", "with_rejects", "succeeded", "cancelled"]
    for place, state in enumerate(states):
        ended(sync, state, hours=3 - place / 12, seconds=2 + 7 * (place % 5), mode="incremental", counts={"read": place})
    return run_now(sync, full=True)


def test_the_list_and_the_page_of_a_sync(signed_in, ran, clean, shot):
    page = signed_in("administrator")

    page.goto("/syncs/", wait_until="networkidle")
    clean(page)
    shot(page, "syncs")
    page.get_by_role("link", name="Users of OA → Users of CRM").first.click()
    expect(page.locator(".hub-verdict h2")).to_contain_text("have not arrived")
    clean(page)
    shot(page, "sync")


def test_a_run_from_its_bar_to_a_changed_record(signed_in, ran, clean, shot):
    page, first = signed_in("operator"), ChangeSet.objects.earliest("pk").run

    page.goto("/runs/", wait_until="networkidle")
    clean(page)
    shot(page, "runs")
    page.goto(f"/runs/{first.pk}/", wait_until="networkidle")
    expect(page.get_by_text("The books balance")).to_be_visible()
    clean(page)
    shot(page, "run")
    page.get_by_role("region", name="Record changes").get_by_role("row").nth(1).get_by_role("link").first.click()
    expect(page.get_by_role("heading", name="Before and after")).to_be_visible()
    clean(page)
    shot(page, "change")
    page.goto(f"/runs/{first.pk}/changes/", wait_until="networkidle")
    clean(page)
    shot(page, "changes", languages=("en",), themes=("light",))


def test_rejects_are_opened_by_cause_and_dismissed(signed_in, ran, clean, assert_accessible, shot):
    page, before = signed_in("operator"), OpenRow.objects.open().count()

    page.goto("/rejects/", wait_until="networkidle")
    clean(page)
    shot(page, "rejects")
    groups = page.locator("details.hub-cause")
    if groups.count() > 1:
        groups.nth(1).locator("summary").click()
        expect(groups.nth(1).get_by_role("table").first).to_be_visible()
        assert_accessible(page)
    page.get_by_role("link", name="Open").first.click()
    expect(page.get_by_role("heading", name="From source to target")).to_be_visible()
    clean(page)
    shot(page, "reject")
    page.get_by_role("button", name="Dismiss").click()
    page.get_by_label("Reason").fill("Left the company")
    page.get_by_role("dialog").get_by_role("button", name="Dismiss").click()

    expect(page.get_by_role("status").get_by_text("1 record is dismissed.")).to_be_visible()
    assert OpenRow.objects.open().count() == before - 1


def test_a_live_run_shows_its_progress_and_stops_asking_when_it_ends(signed_in, users_sync, by, clean, shot):
    page = signed_in("operator")
    run = services.start_run(users_sync, by=by)
    Run.objects.filter(pk=run.pk).update(state="writing", started_at=timezone.now() - timedelta(seconds=20), expected_count=182_410)
    Partition.objects.filter(run=run).update(
        read_count=114_000, produced_count=113_690, filtered_count=289, rejected_count=21, unchanged_count=113_690
    )

    page.goto(f"/runs/{run.pk}/", wait_until="networkidle")
    expect(page.get_by_role("progressbar").first).to_be_visible()
    expect(page.get_by_text("114,000 of 182,410").first).to_be_visible()
    clean(page)
    shot(page, "run-live")
    Partition.objects.filter(run=run).update(**dict.fromkeys((f"{name}_count" for name in COUNTS), 0))
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").last.click()
    aside(finish, run)

    expect(page.locator(".hub-verdict-state")).to_contain_text("Cancelled")
    expect(page.locator("#h-live[hx-trigger]")).to_have_count(0)


def test_a_sync_is_made_with_the_mappings_that_fit(signed_in, users_sync, clean, shot):
    page = signed_in("integrator")

    page.goto("/syncs/new/", wait_until="networkidle")
    page.get_by_label("Source", exact=True).select_option(label="OA · Users")
    page.get_by_label("Target", exact=True).select_option(label="CRM · Users")
    page.get_by_label("Mapping", exact=True).select_option(label="Users")
    page.get_by_label("Name", exact=True).fill("Nightly users")
    page.get_by_role("radiogroup", name="Schedule", exact=True).get_by_label("By crontab").check()
    page.locator("#id_crontab").fill("0 2 * * 1-5")
    expect(page.locator("#due")).to_contain_text("Next due:")
    clean(page)
    shot(page, "sync-form", languages=("en",))
    page.goto("/syncs/new/", wait_until="networkidle")
    page.get_by_label("Source", exact=True).select_option(label="OA · Users")
    page.get_by_label("Target", exact=True).select_option(label="CRM · Users")
    page.get_by_label("Mapping", exact=True).select_option(label="Users")
    page.get_by_label("Name", exact=True).fill("Nightly users")
    page.get_by_role("button", name="Create sync").click()

    expect(page).to_have_url(re.compile(r"/syncs/\d+/$"))
    expect(page.get_by_role("heading", level=1)).to_have_text("Nightly users")
    shot(page, "sync-new", languages=("en",), themes=("light",), sizes=("wide",))


def test_a_record_is_traced_through_all_steps(signed_in, ran, sandbox, clean, shot):
    page = signed_in("operator")
    key = ran.sync.pair.links.first().a_key

    page.goto(f"/syncs/{ran.sync_id}/trace/", wait_until="networkidle")
    page.get_by_label("Key of the source record").fill(key)
    page.get_by_role("button", name="Trace").click()
    expect(page.get_by_role("heading", name="Its way")).to_be_visible()
    clean(page)
    shot(page, "trace")


def test_the_overview_tells_of_syncs(signed_in, ran, clean, shot):
    page = signed_in("operator")

    page.goto("/", wait_until="networkidle")
    clean(page)
    shot(page, "overview-syncs")
