"""The parts pages are made of: how they look, and what they do when they are used."""

import re

import pytest

from integration_hub.audit.models import Entry

pytestmark = [pytest.mark.service("chromium"), pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.browser.gallery")]
expect = pytest.importorskip("playwright.sync_api").expect


@pytest.fixture
def gallery(signed_in):
    who = {"actor_kind": "person", "actor_name": "Lin"}
    Entry.objects.bulk_create(Entry(event=f"run.started.{n}", subject_type="x", subject_id=n, **who) for n in range(12))
    page = signed_in()
    page.goto("/gallery/")
    return page


def test_all_parts_are_accessible_and_fit(gallery, assert_accessible, fits, shot):
    assert_accessible(gallery)
    for width in (1100, 900, 600, 400):
        gallery.set_viewport_size({"width": width, "height": 900})
        fits(gallery)
    shot(gallery, "gallery", languages=("en",))
    gallery.emulate_media(color_scheme="dark")
    assert_accessible(gallery)


def test_an_act_that_cannot_be_taken_back_asks_first_and_wants_a_reason(gallery, assert_accessible, shot):
    from tests.browser.gallery import Acted

    Acted.seen.clear()
    gallery.get_by_role("button", name="Delete…").first.click()
    dialog = gallery.get_by_role("dialog", name="Delete contact 17 of CRM?")
    expect(dialog).to_contain_text("It cannot be brought back.")
    assert_accessible(gallery)
    shot(gallery, "confirm", languages=("en",), sizes=("wide",))

    dialog.get_by_role("button", name="Cancel").click()
    assert not Acted.seen

    gallery.get_by_role("button", name="Delete…").first.click()
    dialog.get_by_role("button", name="Delete").click()
    assert not Acted.seen  # no reason yet
    dialog.get_by_label("Reason").fill("left the company")
    dialog.get_by_role("button", name="Delete").click()

    expect(gallery.get_by_text("Done as you said.")).to_be_visible()
    assert [(act.id, act.reason) for act in Acted.seen] == [("17", "left the company")]
    expect(gallery).to_have_url(re.compile("/gallery/$"))


def test_a_live_part_keeps_what_was_opened_and_where_the_focus_is(gallery):
    gallery.get_by_text("More", exact=True).click()
    gallery.get_by_role("link", name="there").focus()
    before = int(gallery.locator("#tick").inner_text())

    gallery.wait_for_function("before => Number(document.getElementById('tick').textContent) > before + 1", arg=before)

    expect(gallery.get_by_text("What was opened stays open.")).to_be_visible()
    assert gallery.evaluate("document.activeElement.id") == "there"


def test_a_list_is_paged_and_filtered_by_its_address(gallery):
    expect(gallery.get_by_text("5 of 12")).to_be_visible()
    gallery.get_by_role("link", name="Next").click()
    expect(gallery.locator("tbody th", has_text="run.started.6")).to_be_visible()
    gallery.get_by_role("link", name="Previous").click()
    expect(gallery.locator("tbody th", has_text="run.started.11")).to_be_visible()

    gallery.get_by_label("State", exact=True).select_option("open")

    expect(gallery).to_have_url(re.compile(r"\?state=open$"))


def test_a_form_says_what_is_wrong_under_its_field(gallery, assert_accessible):
    gallery.get_by_role("button", name="Save").click()

    expect(gallery.locator("#id_name_error")).to_have_text(re.compile("required"))
    expect(gallery.get_by_label("Name", exact=True)).to_have_attribute("aria-invalid", "true")
    assert_accessible(gallery)


def test_pages_that_do_not_exist_or_fail_say_what_to_do(gallery, page, faults, settings, client, assert_accessible, shot):
    with faults.expected("404|500|says sorry"):
        gallery.goto("/no/such/page")
        expect(gallery.get_by_role("heading", level=2)).to_contain_text("nothing at this address")
        assert_accessible(gallery)
        shot(gallery, "404", themes=("light",), sizes=("wide",))
        gallery.goto("/breaks/")
        expect(gallery.get_by_role("heading", level=1)).to_have_text("Something failed inside the hub")
        assert_accessible(gallery)
        shot(gallery, "500", themes=("light",), sizes=("wide",))


def test_the_themes_own_lists_and_forms_work_under_the_strict_policy(signed_in, faults, assert_accessible, fits, shot):
    page = signed_in("administrator", is_superuser=True, is_staff=True)

    page.goto("/accounts/user/", wait_until="networkidle")
    fits(page)
    shot(page, "model-list", languages=("en",), sizes=("wide",))
    page.goto("/accounts/user/")
    page.get_by_role("link", name="administrator").first.click()
    page.wait_for_load_state("networkidle")
    page.get_by_text("Names", exact=True).click()
    expect(page.get_by_label("First name")).to_be_visible()
    shot(page, "model-form", languages=("en",), sizes=("wide",))
    page.get_by_label("First name").fill("Wei")
    page.get_by_role("button", name="Save", exact=True).click()

    expect(page.get_by_role("heading", level=1)).to_contain_text("Users")
