"""A real Chromium against a live server. Whatever it writes to its console, blocks by policy or throws fails the test."""

import os
import re
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import sync_playwright

from tests import services
from tests.syncs.conftest import by, registered, sandbox, sandbox_server, users_settings, users_sync
from tests.threads import at_once

__all__ = ["by", "sandbox", "sandbox_server", "users_sync"]

SWITCHES = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
SWITCHES += ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"]
AXE = Path(__file__).with_name("axe.min.js")
SHOTS = os.environ.get("SHOTS")  # a folder: keep pictures of the pages there, to be looked at
TELL_VIOLATIONS = """document.addEventListener("securitypolicyviolation", e =>
    console.error(`CSP: ${e.violatedDirective} blocked ${e.blockedURI} at ${e.sourceFile}:${e.lineNumber} ${e.sample}`))"""
WIDEST = """[...document.querySelectorAll("main *")].filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth)
    .slice(-3).map(e => e.outerHTML.slice(0, 200)).join("\\n")"""
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 820, "height": 1100}


@pytest.fixture(scope="module")  # and no longer: its event loop runs in the main thread, where other tests want one of their own
def chromium():
    program = services.require("chromium")
    with sync_playwright() as p:
        os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"  # Playwright's own loop runs in this thread; the tests use the database beside it
        browser = p.chromium.launch(executable_path=program, args=SWITCHES)
        yield browser
        browser.close()
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


class Faults(list):
    """What the browser complained of. `expected` takes out a complaint that the test means to cause."""

    def watch(self, page):
        page.on("console", lambda message: self.append(f"console: {message.text}") if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.append(f"page error: {error}"))
        page.on("requestfailed", lambda request: self._failed(request))
        page.add_init_script(TELL_VIOLATIONS)

    def _failed(self, request):
        if request.failure != "net::ERR_ABORTED":  # left by going to another page
            self.append(f"request failed: {request.url} {request.failure}")

    @contextmanager
    def expected(self, pattern):
        before = len(self)
        yield
        self[before:] = [fault for fault in self[before:] if not re.search(pattern, fault)]


@pytest.fixture
def faults():
    found = Faults()
    yield found
    assert not found, "the browser complained:\n" + "\n".join(found)


@pytest.fixture
def context(chromium, live_server, faults):
    context = chromium.new_context(viewport=WIDE, base_url=live_server.url, locale="en-GB", color_scheme="light", reduced_motion="reduce")
    context.set_default_timeout(10_000)
    context.on("page", faults.watch)
    yield context
    context.close()


@pytest.fixture
def page(context):
    """A page of someone who is not signed in."""
    return context.new_page()


@pytest.fixture
def signed_in(context, live_server, django_user_model):
    """A function that signs the browser in as a person of this role: signed_in("operator") → page."""

    def sign_in(role="administrator", **more):
        names = {"first_name": "Lin", "last_name": "Wei", "email": "lin.wei@hailan.example"} | more
        user = django_user_model.objects.create_user(names.pop("username", role), password="correct horse battery", role=role, **names)
        client = Client()
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        cookie = client.cookies[settings.SESSION_COOKIE_NAME]
        context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": cookie.value, "url": live_server.url}])
        page = context.new_page()
        page.user = user
        return page

    return sign_in


@pytest.fixture
def assert_accessible():
    """A function that fails on a serious or critical finding of axe-core."""

    def check(page, *, but=()):
        page.evaluate(AXE.read_text())  # evaluated by the debugger, so the page's own policy stays as it is
        found = page.evaluate("""async () => (await axe.run(document, {resultTypes: ["violations"]})).violations""")
        grave = [f for f in found if f["impact"] in ("serious", "critical") and f["id"] not in but]
        said = [f"{f['impact']} {f['id']}: {f['help']}\n    " + "\n    ".join(node["html"][:200] for node in f["nodes"][:5]) for f in grave]
        assert not grave, f"{page.url}\n" + "\n".join(said)

    return check


@pytest.fixture
def shot(context):
    """A function that keeps pictures of a page in the folder SHOTS: each theme, width and language ("": as the page is). Without that folder it does
    nothing."""

    def take(page, name, *, languages=("en", "zh-hans"), themes=("light", "dark"), sizes=("wide", "narrow")):
        if not SHOTS:
            return
        Path(SHOTS).mkdir(parents=True, exist_ok=True)
        for language in languages:
            if language:
                context.add_cookies([{"name": settings.LANGUAGE_COOKIE_NAME, "value": language, "url": page.url}])
            if language not in ("", "en") or len(languages) > 1:
                page.reload(wait_until="networkidle")
            for theme in themes:
                page.emulate_media(color_scheme=theme, reduced_motion="reduce")
                for size in sizes:
                    page.set_viewport_size(WIDE if size == "wide" else NARROW)
                    page.wait_for_timeout(120)
                    page.screenshot(path=f"{SHOTS}/{name}.{language or 'now'}.{theme}.{size}.png", full_page=True)
        page.set_viewport_size(WIDE)
        page.emulate_media(color_scheme="light", reduced_motion="reduce")
        if any(languages):
            context.clear_cookies(name=settings.LANGUAGE_COOKIE_NAME)
        if len(languages) > 1:
            page.reload(wait_until="networkidle")

    return take


@pytest.fixture
def fits():
    """A function that fails where a page scrolls sideways."""

    def check(page):
        over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        wide = page.evaluate(WIDEST) if over > 0 else ""
        assert over <= 0, f"{page.url} is {over} px too wide at {page.viewport_size['width']} px: {wide}"

    return check


@pytest.fixture
def clean(assert_accessible, fits):
    """A function that looks at a page for both, at three widths."""

    def check(page):
        assert_accessible(page)
        for width in (900, 400):
            page.set_viewport_size({"width": width, "height": 900})
            fits(page)
        page.set_viewport_size(WIDE)

    return check


def aside(call, *args, **kwargs):
    """What speaks to a system has an event loop of its own, so it cannot run in this thread, where the browser's is going."""
    return at_once(partial(call, *args, **kwargs))[0]


@pytest.fixture
def oa(transactional_db, sandbox, by):
    return aside(registered, "OA", users_settings("OA", sandbox.url), by)


@pytest.fixture
def crm(transactional_db, sandbox, by):
    return aside(registered, "CRM", users_settings("CRM", sandbox.url), by)


@pytest.fixture(autouse=True)
def _what_failed_on_the_server(faults):
    """A page that breaks says why in the test's report."""
    from django.core.signals import got_request_exception

    def tell(sender, request=None, **kwargs):
        import traceback

        faults.append("server: " + traceback.format_exc(limit=-3))

    got_request_exception.connect(tell)
    yield
    got_request_exception.disconnect(tell)
