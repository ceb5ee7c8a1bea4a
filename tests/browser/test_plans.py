"""A plan, an undo and the story of a record in a real browser, over a sync between two systems of the sandbox."""

import pytest

from integration_hub.syncs import services, undo
from integration_hub.syncs.models import ChangeSet, Link, Run
from tests.browser.conftest import aside
from tests.syncs.conftest import finish

pytestmark = [pytest.mark.service("chromium"), pytest.mark.django_db(transaction=True)]
expect = pytest.importorskip("playwright.sync_api").expect


@pytest.fixture
def run_now(by):
    return lambda sync, **options: aside(finish, services.start_run(sync, by=by, **options))


@pytest.fixture
def few(sandbox, users_sync):
    """Eighty good users in the OA, five of them in the CRM already."""
    sandbox.oa.has(user=80)
    sandbox.crm.has(users=5)
    return sandbox


def test_a_dry_run_is_approved_and_applied(signed_in, few, users_sync, run_now, clean, shot):
    plan, page = run_now(users_sync, dry=True), signed_in("administrator")

    page.goto(plan.get_absolute_url(), wait_until="networkidle")
    page.get_by_role("link", name="Open the plan").click()
    expect(page.locator(".hub-verdict h2")).to_contain_text("76 records would be written to CRM. Of 4 records only the link would change.")
    clean(page)
    shot(page, "plan")
    page.get_by_label("Change", exact=True).select_option(label="Update")
    expect(page.get_by_role("region", name="Record by record").locator("tbody tr")).to_have_count(1)
    page.get_by_role("link", name="Approve").click()
    page.get_by_label("Creates").check()
    page.get_by_label("Only where").fill("after.email like '%1%'")
    page.get_by_role("button", name="Count what fits").click()
    expect(page.get_by_role("status").get_by_text("of 80 fit.")).to_be_visible()
    clean(page)
    shot(page, "plan-approve")
    page.get_by_label("Only where").fill("")
    page.locator("#id_reason").fill("Checked with sales")
    page.get_by_role("button", name="Approve", exact=True).click()
    expect(page.locator(".hub-verdict h2")).to_contain_text("75 of 80 changes are approved and can be applied.")
    shot(page, "plan-approved", sizes=("wide",), themes=("light",))
    page.get_by_role("button", name="Apply").click()
    page.get_by_role("dialog").get_by_role("button", name="Apply").click()
    expect(page.get_by_role("heading", name="Balance")).to_be_visible()
    run = aside(finish, Run.objects.get(applies__plan=plan))

    assert run.counts["created"] == 75
    page.goto(f"/runs/{plan.pk}/plan/", wait_until="networkidle")
    expect(page.locator(".hub-verdict-state")).to_contain_text("Applied")
    clean(page)


def test_a_run_is_undone_and_what_cannot_be_is_told_first(signed_in, few, users_sync, run_now, by, clean, shot):
    run, page = run_now(users_sync), signed_in("administrator")
    target = users_sync.target
    target.schema["capabilities"]["delete"] = False
    target.save()

    page.goto(run.get_absolute_url(), wait_until="networkidle")
    page.get_by_role("link", name="Undo…").click()
    clean(page)
    shot(page, "undo")
    page.get_by_role("button", name="Plan the undo").click()
    expect(page.locator(".hub-verdict")).to_be_visible()
    plan = aside(finish, Run.objects.get(undoes__isnull=False))
    page.goto(f"/runs/{plan.pk}/plan/", wait_until="networkidle")

    expect(page.get_by_role("region", name="Cannot be undone").get_by_text("CRM cannot delete Users").first).to_be_visible()
    clean(page)
    shot(page, "undo-plan")
    page.goto(f"/runs/{plan.pk}/", wait_until="networkidle")
    expect(page.get_by_text("cannot be undone").first).to_be_visible()
    shot(page, "undo-run", languages=("en",), themes=("light",))
    page.goto(f"/syncs/{users_sync.pk}/undo/", wait_until="networkidle")
    clean(page)
    shot(page, "undo-version", sizes=("wide",), themes=("light",))


def test_the_story_of_a_record_is_told_with_both_sides_as_they_are_now(signed_in, few, users_sync, run_now, by, clean, shot):
    key = few.records("oa", "user")[20]["userId"]
    run_now(users_sync)
    few.oa.change("user", key, name="林伟 Lin Wei")
    renamed = run_now(users_sync, full=True)
    plan = aside(finish, undo.plan_undo(renamed, by=by))
    page = signed_in("viewer")

    page.goto("/", wait_until="networkidle")
    change_set = ChangeSet.objects.get(run=renamed)
    page.goto(f"/runs/{renamed.pk}/changes/{change_set.pk}/0/", wait_until="networkidle")
    expect(page.locator("#story li")).to_have_count(2)
    clean(page)
    shot(page, "change-story", languages=("en",), themes=("light",))
    page.get_by_role("link", name="All of it, and both sides as they are now").click()
    expect(page.get_by_role("region", name="As it is now").get_by_text("林伟 Lin Wei").first).to_be_visible()
    expect(page.locator("#story li")).to_have_count(2)
    clean(page)
    shot(page, "story")
    assert plan.counts["not_sent"] == 1
    page.keyboard.press("Control+k")
    page.keyboard.type(Link.objects.get(a_key=key).b_key)
    expect(page.get_by_role("option", name=Link.objects.get(a_key=key).b_key)).to_be_visible()
