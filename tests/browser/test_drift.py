"""Both sides of a sync compared in a real browser, and what has drifted mended."""

import pytest
from django.conf import settings

from integration_hub.syncs import services
from integration_hub.syncs.models import Run
from tests.browser.conftest import aside
from tests.syncs.conftest import finish

pytestmark = [pytest.mark.service("chromium"), pytest.mark.django_db(transaction=True)]
expect = pytest.importorskip("playwright.sync_api").expect


def test_drift_is_found_shown_and_mended(signed_in, sandbox, users_sync, by, clean, shot):
    sandbox.oa.has(user=80)
    sandbox.crm.has(users=5)
    aside(finish, services.start_run(users_sync, by=by))
    ids = {user["employee_id"]: user["id"] for user in sandbox.records("crm", "users")}
    for user in sandbox.records("oa", "user")[10:14]:
        sandbox.crm.change("users", ids[user["userId"]], full_name="Somebody Else")
    sandbox.crm.add("users", full_name="Only here", email="only@example.com")
    page = signed_in("administrator")

    page.goto(f"/syncs/{users_sync.pk}/drift/", wait_until="networkidle")
    clean(page)
    shot(page, "drift-empty", sizes=("wide",), themes=("light",))
    page.get_by_role("button", name="Reconcile").click()
    page.get_by_role("dialog").get_by_role("button", name="Reconcile").click()
    expect(page.get_by_role("heading", name="Balance")).to_be_visible()
    aside(finish, Run.objects.get(mode="reconcile"))
    page.goto(f"/syncs/{users_sync.pk}/drift/", wait_until="networkidle")

    expect(page.locator(".hub-verdict h2")).to_contain_text("4 records of CRM are not as OA has them.")
    expect(page.get_by_role("region", name="By field").get_by_role("row", name="full_name")).to_contain_text("4")
    expect(page.get_by_role("region", name="Record by record").locator("tbody tr")).to_have_count(4)
    expect(page.get_by_role("region", name="Only in the target")).to_be_visible()
    clean(page)
    shot(page, "drift")
    page.context.add_cookies([{"name": settings.LANGUAGE_COOKIE_NAME, "value": "zh-hans", "url": page.url}])
    page.reload(wait_until="networkidle")
    expect(page.locator(".hub-verdict h2")).to_contain_text("CRM 中有 4 条记录与 OA 不一致。")
    clean(page)
    page.context.clear_cookies(name=settings.LANGUAGE_COOKIE_NAME)
    page.reload(wait_until="networkidle")
    page.get_by_role("link", name="Open the plan").click()
    page.get_by_role("link", name="Approve").click()
    page.locator("#id_reason").fill("Checked with sales")
    page.get_by_role("button", name="Approve", exact=True).click()
    page.get_by_role("button", name="Apply").click()
    page.get_by_role("dialog").get_by_role("button", name="Apply").click()
    expect(page.get_by_role("heading", name="Balance")).to_be_visible()
    aside(finish, Run.objects.get(applies__isnull=False))
    page.goto(f"/syncs/{users_sync.pk}/drift/", wait_until="networkidle")

    expect(page.locator(".hub-verdict-state")).to_contain_text("Mended")
    page.goto(f"/syncs/{users_sync.pk}/edit/", wait_until="networkidle")
    page.get_by_role("radiogroup", name="Reconcile").get_by_label("By crontab").check()
    page.locator("#id_reconcile_crontab").fill("0 3 * * 0")
    clean(page)
    shot(page, "drift-schedule", sizes=("wide",), themes=("light",))
