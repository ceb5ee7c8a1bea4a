"""The frame around every page, in a real browser."""

import re

import pytest

pytestmark = [pytest.mark.service("chromium"), pytest.mark.django_db(transaction=True)]
expect = pytest.importorskip("playwright.sync_api").expect


def test_signing_in_leads_to_the_overview(page, person, assert_accessible, shot):
    person("operator")

    page.goto("/")
    expect(page).to_have_url(re.compile(r"/login/\?next=/$"))
    assert_accessible(page)
    shot(page, "login")
    page.get_by_label("User name").fill("operator")
    page.get_by_label("Password").fill("correct horse battery")
    page.get_by_role("button", name="Sign in").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")


def test_a_wrong_password_is_said_in_one_sentence(page, person, assert_accessible, shot):
    person("operator")

    page.goto("/login/")
    page.get_by_label("User name").fill("operator")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()

    expect(page.get_by_role("alert")).to_be_visible()
    assert_accessible(page)
    shot(page, "login-wrong", languages=("en",), themes=("light",))


def test_the_overview_is_clean_and_fits(signed_in, assert_accessible, fits, shot):
    page = signed_in()

    page.goto("/", wait_until="networkidle")

    assert_accessible(page)
    page.set_viewport_size({"width": 900, "height": 900})
    fits(page)
    page.set_viewport_size({"width": 400, "height": 900})
    fits(page)
    shot(page, "overview")


def test_the_dark_theme_is_kept(signed_in, assert_accessible):
    page = signed_in()
    page.goto("/")

    page.get_by_role("button", name=re.compile("menu")).click()
    page.get_by_role("button", name="Dark").click()
    page.reload()

    assert page.evaluate("document.documentElement.classList.contains('dark')")
    assert_accessible(page)


def test_the_language_is_switched_in_the_persons_menu(signed_in, shot):
    page = signed_in()
    page.goto("/")

    page.get_by_role("button", name=re.compile("menu")).click()
    shot(page, "menu", languages=("en",), sizes=("wide",))
    page.goto("/")
    page.get_by_role("button", name=re.compile("menu")).click()
    page.get_by_role("button", name="简体中文").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("总览")
    assert page.evaluate("document.documentElement.lang") == "zh-hans"


def test_the_palette_is_used_by_keyboard_alone(signed_in, assert_accessible, shot):
    page = signed_in()
    page.goto("/")

    page.keyboard.press("Control+k")
    page.keyboard.type("overv")
    expect(page.get_by_role("option", name=re.compile("Overview"))).to_have_attribute("aria-selected", "true")
    assert_accessible(page)
    shot(page, "palette", languages=("en",))
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")


def test_too_many_wrong_passwords_are_said_in_one_sentence(page, person, faults, settings, assert_accessible, shot):
    settings.AXES_FAILURE_LIMIT = 2
    person("operator")

    with faults.expected("429"):
        for _try in range(2):
            page.goto("/login/")
            page.get_by_label("User name").fill("operator")
            page.get_by_label("Password").fill("wrong")
            page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Too many tries")

    expect(page.get_by_text("15 minutes")).to_be_visible()
    assert_accessible(page)


def test_the_sidebar_is_folded_away_and_slides_over_narrow_pages(signed_in, assert_accessible, shot):
    page = signed_in()
    page.goto("/")
    button = page.get_by_role("button", name="Sidebar")
    entry = page.get_by_role("link", name="Overview", exact=True)

    button.click()
    expect(entry).to_be_hidden()
    page.reload()
    expect(entry).to_be_hidden()
    button.click()
    expect(entry).to_be_visible()

    page.set_viewport_size({"width": 820, "height": 700})
    expect(entry).to_be_hidden()
    button.click()
    expect(entry).to_be_visible()
    assert_accessible(page)
    page.keyboard.press("Escape")
    expect(entry).to_be_hidden()
    expect(button).to_be_focused()
    button.click()
    shot(page, "drawer", languages=("en",), themes=("light",), sizes=("narrow",))


def test_the_chosen_language_goes_with_the_person(signed_in, context):
    page = signed_in()
    page.goto("/")
    page.get_by_role("button", name=re.compile("menu")).click()
    page.get_by_role("button", name="简体中文").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("总览")

    context.clear_cookies(name="django_language")
    page.reload()

    expect(page.get_by_role("heading", level=1)).to_have_text("总览")


def test_signing_out_leads_to_the_sign_in(signed_in):
    page = signed_in()
    page.goto("/")

    page.get_by_role("button", name=re.compile("menu")).click()
    page.get_by_role("button", name="Log out").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


def test_the_password_is_changed_in_the_shell(signed_in, assert_accessible, shot):
    page = signed_in()

    page.goto("/password_change/", wait_until="networkidle")

    assert_accessible(page)
    shot(page, "password", languages=("en",), sizes=("wide",))
