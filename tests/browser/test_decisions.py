"""What a guard withholds, from the overview to the answer."""

import pytest

from integration_hub.approvals.models import Decision
from integration_hub.syncs import services
from tests.browser.conftest import aside
from tests.syncs.conftest import finish

pytestmark = [pytest.mark.service("chromium"), pytest.mark.django_db(transaction=True)]
expect = pytest.importorskip("playwright.sync_api").expect


@pytest.fixture
def waiting(sandbox, users_sync, by):
    sandbox.oa.has(user=80)
    sandbox.crm.has(users=5)
    sync = services.change_sync(users_sync, by=by, mode="full", deletes="delete", most_updates=3)
    aside(lambda: finish(services.start_run(sync, by=by)))
    users = [user["userId"] for user in sandbox.records("oa", "user")]
    for key in users[:40]:
        sandbox.oa.delete("user", key)
    for key in users[50:55]:
        sandbox.oa.change("user", key, name="Renamed Person")
    return aside(lambda: finish(services.start_run(sync, by=by)))


def test_a_decision_is_found_looked_at_and_answered(signed_in, waiting, clean, shot):
    page = signed_in("administrator")

    page.goto("/", wait_until="networkidle")
    expect(page.get_by_text("Delete 40 records in CRM?").first).to_be_visible()
    shot(page, "overview-decisions", languages=("en",), sizes=("wide",))
    page.goto("/decisions/", wait_until="networkidle")
    clean(page)
    shot(page, "decisions")
    page.get_by_role("link", name="Update 5 records in CRM?").click()
    expect(page.get_by_role("heading", name="What would change")).to_be_visible()
    shot(page, "decision-updates", languages=("en",), themes=("light",))
    page.goto(f"/decisions/{Decision.objects.get(part='delete').pk}/", wait_until="networkidle")
    clean(page)
    shot(page, "decision")
    page.goto(f"/runs/{waiting.pk}/", wait_until="networkidle")
    clean(page)
    shot(page, "run-awaiting")
    page.goto(f"/syncs/{waiting.sync_id}/", wait_until="networkidle")
    clean(page)
    shot(page, "sync-decisions", themes=("light",))
    page.goto(f"/syncs/{waiting.sync_id}/edit/", wait_until="networkidle")
    expect(page.get_by_label("Field of the mark")).to_be_hidden()
    page.get_by_label("When a record is deleted in the source").select_option(label="Mark it")
    expect(page.get_by_label("Field of the mark")).to_be_visible()
    clean(page)
    shot(page, "sync-form-deletes", themes=("light",))
    page.goto(f"/decisions/{Decision.objects.get(part='delete').pk}/", wait_until="networkidle")
    page.get_by_role("button", name="Refuse").click()
    page.get_by_label("Reason").fill("The OA was restored from an old copy")
    shot(page, "decision-refuse", languages=("",), themes=("light",), sizes=("wide",))
    page.get_by_role("dialog").get_by_role("button", name="Refuse").click()

    expect(page.locator(".hub-verdict")).to_contain_text("The OA was restored from an old copy")
    assert not Decision.objects.open().filter(part="delete").exists()
