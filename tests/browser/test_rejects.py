"""Groups of rejects cleared in a real browser, in both languages: a value mended, a value added to the value map, a group assigned."""

import pytest
from django.conf import settings

from integration_hub.syncs import services
from integration_hub.syncs.models import OpenRow
from integration_hub.systems import services as systems
from tests.browser.conftest import aside
from tests.syncs.conftest import finish
from tests.syncs.linked import Company
from tests.syncs.shops import add, opened, replayed, shops_of, stores

pytestmark = [pytest.mark.service("chromium"), pytest.mark.django_db(transaction=True)]
expect = pytest.importorskip("playwright.sync_api").expect
WORDS = {
    "en": {
        "becomes": "What the value becomes", "add": "Add, publish and replay 2", "published": "Shops v2 is published, and 2 records are replayed now.",
        "mend": "Mend values", "wrong": "“many” is not integer.", "replay": "Mend and replay", "done": "The values are mended", "mended": "mended",
        "assign": "Assign…", "to": "Assigned to", "assigned": "assigned to Lin Wei", "say": "Assign", "breaks": "What breaks",
    },
    "zh-hans": {
        "becomes": "该值对应的值", "add": "加入、发布并重放 2 条", "published": "Shops v2 已发布，正在重放 2 条记录。",
        "mend": "修正取值", "wrong": "“many”", "replay": "修正并重放", "done": "取值已修正", "mended": "已修正",
        "assign": "指派…", "to": "负责人", "assigned": "负责人：Lin Wei", "say": "指派", "breaks": "受影响",
    },
}  # fmt: skip


@pytest.fixture(params=WORDS)
def words(request, context, live_server):
    context.add_cookies([{"name": settings.LANGUAGE_COOKIE_NAME, "value": request.param, "url": live_server.url}])
    return WORDS[request.param] | {"language": request.param}


@pytest.fixture
def shop(transactional_db, tmp_path, by, settings):
    settings.ALLOWED_FOLDERS = [tmp_path.resolve()]
    shop = aside(lambda: opened(Company(tmp_path, by)))
    add(shop, (1, "One", "UK", 1), (2, "Two", "UK", 2), (3, "", "Germany", 3))
    return shop


@pytest.fixture
def left(shop, by):
    sync = shops_of(shop)
    aside(finish, services.start_run(sync, by=by))
    return sync


def test_groups_are_assigned_mended_and_cleared_by_the_value_map(signed_in, shop, left, words, clean, shot):
    page = signed_in("integrator")
    look = {"languages": ("",), "sizes": ("wide", "narrow")}

    page.goto("/rejects/", wait_until="networkidle")
    clean(page)
    shot(page, f"rejects-group-{words['language']}", **look)
    page.get_by_role("button", name=words["assign"]).first.click()
    page.get_by_label(words["to"]).select_option(label="Lin Wei")
    clean(page)
    shot(page, f"rejects-assign-{words['language']}", **look)
    page.get_by_role("button", name=words["say"], exact=True).click()
    expect(page.get_by_text(words["assigned"]).first).to_be_visible()
    page.get_by_label(words["becomes"]).fill("GB")
    page.get_by_role("button", name=words["add"]).click()
    expect(page.get_by_role("status").get_by_text(words["published"])).to_be_visible()
    aside(replayed)
    assert {stores(shop)[key][1] for key in ("1", "2")} == {"GB"}

    row = OpenRow.objects.open().get()
    page.goto(f"/rejects/{row.pk}/", wait_until="networkidle")
    clean(page)
    page.get_by_role("link", name=words["mend"]).click()
    page.get_by_label("name").first.fill("Three")
    page.get_by_label("staff").fill("many")
    page.get_by_role("button", name=words["replay"]).click()
    expect(page.get_by_text(words["wrong"]).first).to_be_visible()
    clean(page)
    shot(page, f"rejects-mend-{words['language']}", **look)
    page.get_by_label("staff").fill("3")
    page.get_by_role("button", name=words["replay"]).click()
    expect(page.get_by_role("status").get_by_text(words["done"])).to_be_visible()
    expect(page.locator("dd .hub-state", has_text=words["mended"])).to_be_visible()
    clean(page)
    shot(page, f"rejects-mended-{words['language']}", **look)
    aside(replayed)
    assert stores(shop)["3"] == ["Three", "DE", 3]


def test_a_changed_schema_says_what_it_breaks(signed_in, shop, left, words, clean, shot, by):
    shop.run("ERP", "ALTER TABLE stores DROP COLUMN name")
    aside(systems.discover_entities, shop.erp, by=by)
    page = signed_in("integrator")

    page.goto(f"/systems/{shop.erp.slug}/entities/stores/", wait_until="networkidle")

    expect(page.get_by_role("columnheader", name=words["breaks"], exact=True)).to_be_visible()
    clean(page)
    shot(page, f"drift-{words['language']}", languages=("",))
