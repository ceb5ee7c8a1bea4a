"""A new administrator's first hour, by mouse and keyboard alone: two systems, a mapping, a sync, its dry run and its run, a changed record, a reject."""

import re
import threading

import pytest
from django.db import connections
from django.utils.translation import gettext, ngettext, override

from integration_hub.core import services as core
from integration_hub.syncs import carrying, stages
from integration_hub.syncs.models import Link, OpenRow, Partition, Run

pytestmark = [pytest.mark.service("chromium"), pytest.mark.django_db(transaction=True)]
expect = pytest.importorskip("playwright.sync_api").expect
PASSWORD = "correct horse battery"

# What a person types who has the two systems' documents at hand; the rest of the forms stays as it is offered, and the fields are learnt.
OA = {
    "auth": {
        "type": "token_call",
        "path": "/gettoken",
        "body": '{"appkey": "{appkey}", "appsecret": "{appsecret}"}',
        "values": "appkey: hub\nappsecret: oa-demo-secret",
        "expires_path": "expires_in",
        "send_in": "query",
        "name": "access_token",
    },
    "check_path": "/api/department/list?pageSize=1",
    "answers": {"success_path": "errcode", "success_values": "0", "error_path": "errmsg"},
    "formats": {"datetime": "%Y-%m-%d %H:%M:%S", "zone": "Asia/Shanghai"},
    "entities": [
        {
            "name": "users",
            "label": "Users",
            "key": "userId",
            "cursor_field": "modifiedTime",
            "list": {
                "path": "/api/user/list",
                "record_path": "result.list",
                "pagination": {"type": "page", "parameter": "pageNo", "size_parameter": "pageSize", "size": "50", "more_path": "result.hasMore"},
                "changed_since": {"parameter": "modifiedSince"},
                "count": {"path": "/api/user/list", "total_path": "result.totalCount"},
            },
            "lookups": [{"by": "#key", "path": "/api/user/get", "query": "userId: {value}", "record_path": "result"}],
        }
    ],
}
CRM = {
    "auth": {"type": "oauth2_client_credentials", "token_url": "{url}/crm/oauth/token", "client_id": "hub", "client_secret": "crm-demo-secret"},
    "check_path": "/v1/me",
    "entities": [
        {
            "name": "users",
            "label": "Users",
            "key": "id",
            "cursor_field": "updated_at",
            "fields": [{"name": "id", "read_only": True}, {"name": "full_name", "required": True, "max_length": "80"}],
            "learn_fields": True,
            "list": {
                "path": "/v1/users",
                "record_path": "data",
                "pagination": {"type": "cursor"},
                "changed_since": {"parameter": "updated_since", "until_parameter": "updated_before"},
            },
            "lookups": [
                {"by": "#key", "path": "/v1/users", "query": "id: {values}", "values_per_request": "50"},
                {"by": "employee_id", "path": "/v1/users", "query": "employee_id: {values}", "values_per_request": "50"},
                {"by": "email", "path": "/v1/users", "query": "email: {values}", "values_per_request": "50"},
            ],
            "create": {"path": "/v1/users", "key_path": "id"},
            "update": {"method": "PATCH", "path": "/v1/users/{key}"},
        }
    ],
}
MAPPED = {"full_name": "name", "employee_id": "userId", "email": "email", "phone": "mobile"}
WOULD_BE_REJECTED = "{rejected} of {n} sample record would be rejected.", "{rejected} of {n} sample records would be rejected."


@pytest.fixture(params=["en", "zh-hans"])
def language(request):
    with override(request.param):
        yield request.param


def said(text, many="", **values):
    """A text of the console (and of several) as a pattern in the language of the test; what its values are does not matter where none is given."""
    parts = re.split(r"(%\(\w+\)s|\{\w+\})", ngettext(text, many, 2) if many else gettext(text))
    return re.compile("".join(str(values.get(part.strip("%()s{}"), ".*")) if n % 2 else re.escape(part) for n, part in enumerate(parts)))


@pytest.fixture
def worker(transactional_db):
    """The hub's workers and its sweep, in a thread of their own."""
    ends = threading.Event()

    def work():
        try:
            while not ends.wait(0.3):
                core.sweep()
                for run in Run.objects.filter(ended_at=None):
                    for pk in Partition.objects.filter(run=run).values_list("pk", flat=True):
                        carrying.carry_partition(pk)
                    stages.advance(run.pk)
        finally:
            connections.close_all()

    thread = threading.Thread(target=work, name="worker")
    thread.start()
    yield
    ends.set()
    thread.join(30)
    assert not thread.is_alive()


class Person:
    """Somebody at the console who only clicks and types."""

    def __init__(self, page, sandbox, look):
        self.page, self.sandbox, self.look = page, sandbox, look

    def goes_to(self, entry):
        """By the navigation at the side."""
        name = re.compile(rf"^{re.escape(gettext(entry))}( \d+)?$")  # with how many there are
        self.page.get_by_role("navigation").get_by_role("link", name=name).first.click()

    def presses(self, text, **values):
        self.page.get_by_role("button", name=said(text, **values)).first.click()

    def follows(self, text, **values):
        self.page.get_by_role("link", name=said(text, **values)).first.click()

    def reads(self, text, **values):
        expect(self.page.get_by_text(said(text, **values)).first).to_be_visible()

    # --- the form of a system's settings

    def redraws(self, act):
        with self.page.expect_response(lambda answer: answer.request.method == "POST"):
            act()
        expect(self.page.locator("#settings-form[aria-busy]")).to_have_count(0)

    def fills(self, path, value):
        place = self.page.locator(f"#s-{path.replace('/', '-')}")
        if isinstance(value, dict):
            self.opens(place)
            self.fills_part(path, value)
        elif isinstance(value, list):
            self.opens(place)
            for number, one in enumerate(value):
                self.redraws(self.page.locator(f'button[value="add:{path}"]').click)
                self.fills_part(f"{path}/{number}", one)
        elif isinstance(value, bool):
            place.set_checked(value)
        elif place.evaluate("e => e.tagName") == "SELECT":
            place.select_option(value)
        else:
            place.fill(value.replace("{url}", self.sandbox.url))

    def fills_part(self, path, values):
        there = self.page.locator(f"#s-{path.replace('/', '-')}-there")
        if there.count() and not there.is_checked():
            self.redraws(there.check)
        if "type" in values and (tag := self.page.locator(f"#s-{path.replace('/', '-')}-tag")).input_value() != values["type"]:
            self.redraws(lambda: tag.select_option(values["type"]))
        for name, value in values.items():
            if name != "type":
                self.fills(f"{path}/{name}", value)

    def opens(self, place):
        if place.evaluate("e => e.tagName === 'DETAILS' && !e.open"):
            place.locator("> summary").click()

    # --- the chapters

    def signs_in(self, name, language):
        self.page.goto("/")
        self.page.locator(f'button[name=language][value="{language}"]').click()
        expect(self.page.locator("html")).to_have_attribute("lang", language)
        self.look("sign-in")
        self.page.get_by_label(gettext("User name")).fill(name)
        self.page.get_by_label(gettext("Password")).fill(PASSWORD)
        self.presses("Sign in")
        self.reads("Nothing is connected yet. Three steps lead to the first sync.")
        self.look("nothing-yet")

    def registers(self, name, address, settings):
        self.goes_to("Systems")
        self.follows("Register a system")
        self.look("kinds")
        self.page.locator('a[href$="/add/rest/"]').click()
        self.page.locator("#id_name").fill(name)
        self.fills("base_url", f"{self.sandbox.url}/{address}")
        for part, value in settings.items():
            self.fills(part, value)
        self.redraws(self.page.get_by_role("button", name=gettext("Test connection")).click)
        self.reads("It works")
        self.look(f"settings-{name}")
        self.presses("Save and pick entities")
        self.page.get_by_label("Users").check()
        self.look(f"entities-{name}")
        self.presses("Use what is ticked")
        expect(self.page.get_by_role("heading", level=1)).to_have_text(name)
        expect(self.page.get_by_role("region", name=gettext("Sample records")).last).to_be_visible()
        self.presses("Test connection")
        self.reads("{system} answers.", system=name)
        self.look(f"system-{name}")

    def maps(self, name):
        page = self.page
        self.goes_to("Mappings")
        self.follows("Make a mapping")
        page.locator("#id_source").select_option(label="OA · Users")
        page.locator("#id_target").select_option(label="CRM · Users")
        self.look("mapping-ends")
        self.presses("Suggest fields")
        self.reads("Suggested fields")
        taken = page.locator("input[name=take]")
        for box in taken.all():
            box.set_checked(box.get_attribute("value") in MAPPED)
        self.look("suggestions")
        page.locator("#name").fill(name)
        self.presses("Make the mapping")

        expect(page.locator("#h-preview b")).to_be_visible()  # a sample record stands beside the rows
        for target, source in MAPPED.items():
            self.takes(target, source)
        self.requires("email")
        self.redraws_match(lambda: page.get_by_role("button", name=said("Remove match key %(n)s", n=1)).click())
        expect(page.locator("#h-verdict")).to_contain_text(said(*WOULD_BE_REJECTED, rejected=1))
        self.look("editor")
        self.presses("Next rejected of %(n)s")
        self.reads("Would be rejected")
        self.look("editor-rejected")
        self.presses("Save and publish")
        self.reads("What it says")
        self.look("publish")
        page.locator("#although").check()
        self.presses("Publish v%(number)s")
        self.reads("Published v{n}", n=1)

    def takes(self, target, source):
        """Row by row: this field of the target comes from that one of the source; the sample says at once what it becomes."""
        row = self.row(target)
        field = row.locator("input[list=source-fields]").first
        if not field.count():
            with self.page.expect_response(lambda answer: answer.request.method == "POST"):
                row.locator("select").first.select_option("source")
        if field.input_value() != source:
            field.fill(source)
        expect(row.locator(".hub-row-becomes")).not_to_be_empty()

    def requires(self, target):
        row = self.row(target)
        row.locator("details > summary").first.click()
        row.get_by_label(gettext("Required")).select_option("yes")

    def redraws_match(self, act):
        keys = self.page.locator("#h-match select")
        before = keys.count()
        act()
        expect(keys).not_to_have_count(before)

    def row(self, target):
        return self.page.locator(".hub-row", has=self.page.get_by_text(target, exact=True))

    def makes_a_sync(self, mapping, name):
        page = self.page
        self.goes_to("All syncs")
        self.follows("New sync")
        page.locator("#id_source").select_option(label="OA · Users")
        page.locator("#id_target").select_option(label="CRM · Users")
        page.locator("#id_mapping").select_option(label=mapping)
        page.locator("#id_name").fill(name)
        page.locator("#id_schedule input[value=hand], input[name=schedule][value=hand]").first.check()
        self.look("sync-form")
        self.presses("Create sync")
        expect(page.get_by_role("heading", level=1)).to_have_text(name)
        self.look("sync")

    def watches(self, word, picture):
        """A run until it has ended. The page tells by itself: what is written into it here would not survive its being loaded anew."""
        page = self.page
        expect(page).to_have_url(re.compile(r"/runs/\d+/$"))
        page.evaluate("window.isStillTheSamePage = true")
        expect(page.locator("#h-live[hx-trigger]")).to_have_count(1)
        expect(page.locator(".hub-verdict-state")).to_contain_text(gettext(word), timeout=30_000)
        expect(page.locator("#h-live[hx-trigger]")).to_have_count(0)
        assert page.evaluate("window.isStillTheSamePage")
        self.look(picture)


@pytest.fixture
def person(page, sandbox, faults, assert_accessible, fits, shot, language, django_user_model):
    """A new administrator before the sign-in page. Each page on the way is looked at: accessible, no wider than the window, no complaint."""
    django_user_model.objects.create_user("lin", password=PASSWORD, role="administrator", first_name="Lin", last_name="Wei")

    def look(name):
        page.wait_for_load_state("networkidle")
        assert not faults, faults
        assert_accessible(page)
        fits(page)
        shot(page, f"story-{name}.{language}", languages=("",), themes=("light",), sizes=("wide",))

    return Person(page, sandbox, look)


def test_from_an_empty_hub_to_a_replayed_reject(person, sandbox, worker, language):
    page = person.page
    sandbox.oa.has(user=60)
    by_mail = {user["email"] for user in sandbox.records("crm", "users") if user["employee_id"] is None}  # entered there by hand
    changed = next(user for user in sandbox.records("oa", "user") if user["email"] in by_mail)
    wrong = sandbox.records("oa", "user")[20]
    sandbox.oa.change("user", wrong["userId"], email="")
    person.signs_in("lin", language)
    person.registers("OA", "oa", OA)
    person.registers("CRM", "crm", CRM)
    person.maps("Employees to users")
    person.makes_a_sync("Employees to users", "OA users → CRM users")

    sandbox.latency(300)  # long enough to be watched
    person.presses("Dry run")
    person.watches("With rejects", "dry-run")
    assert len(sandbox.records("crm", "users")) == 12

    sync = page.get_by_role("link", name="OA users → CRM users").first
    sync.click()
    person.presses("Run now")
    person.watches("With rejects", "run")
    assert len(sandbox.records("crm", "users")) == 59
    assert Link.objects.count() == 59
    sandbox.latency(0)

    page.get_by_role("region", name=gettext("Record changes")).get_by_role("row", name=changed["name"]).get_by_role("link").first.click()
    expect(page.get_by_role("row", name="employee_id")).to_contain_text(re.compile(rf"null\s+{changed['userId']}"))  # before → after
    person.look("change")

    person.goes_to("Rejects")
    person.look("rejects")
    page.get_by_role("link", name=wrong["name"]).first.click()
    person.reads("The source record")
    person.look("reject")
    sandbox.oa.change("user", wrong["userId"], email="mended@hailan.example")
    person.presses("Replay")
    expect(page.locator(".hub-verdict-state")).to_contain_text(gettext("Replayed"), timeout=30_000)  # by itself, too
    person.look("reject-closed")
    row = OpenRow.objects.get()
    assert (row.key, row.closed_as) == (wrong["userId"], "replayed")
    assert "mended@hailan.example" in {user["email"] for user in sandbox.records("crm", "users")}
