"""The pages of mappings in a real browser, from the OA's users to the CRM's."""

import re

import pytest

from integration_hub.mappings import services
from integration_hub.mappings.models import Mapping
from tests.syncs.conftest import USERS_TO_USERS

pytestmark = [pytest.mark.service("chromium"), pytest.mark.django_db(transaction=True)]
expect = pytest.importorskip("playwright.sync_api").expect


@pytest.fixture
def users(oa, crm, by):
    source, target = oa.entities.get(name="users"), crm.entities.get(name="users")
    return services.create_mapping(name="OA users → CRM users", source=source, target=target, definition=USERS_TO_USERS, by=by)


def row_of(page, target):
    return page.locator("li.hub-row").filter(has=page.locator(f"b:text-is('{target}')"))


def test_a_mapping_is_made_from_scratch_tried_on_a_record_and_published(oa, crm, signed_in, clean, shot):
    page = signed_in("integrator")
    page.goto("/mappings/")
    page.get_by_role("link", name="Make a mapping").first.click()
    page.get_by_label("Source").select_option(label="OA · Users")
    page.get_by_label("Target").select_option(label="CRM · Users")
    page.get_by_role("button", name="Suggest fields").click()
    expect(page.get_by_role("textbox", name="Name", exact=True)).to_have_value("OA · Users → CRM · Users")
    clean(page)
    shot(page, "mapping-add")
    page.get_by_role("checkbox", name="email required").uncheck()
    page.get_by_role("button", name="Make the mapping").click()

    expect(page.get_by_role("heading", level=2)).to_contain_text("1 required field of CRM · Users is still empty.")
    email = row_of(page, "email")
    email.get_by_label("Where email comes from").select_option("Field")
    email.get_by_label("Source field of email").fill("email")
    expect(email.locator(".hub-row-becomes")).to_contain_text("@")
    email.get_by_text("Steps and rules").click()
    email.get_by_label("Step to add to email").select_option("truncate")
    email.get_by_role("button", name="Add", exact=True).click()
    expect(email.get_by_text("Cut to length").first).to_be_visible()
    expect(email.locator(".hub-row-problems")).to_contain_text("Step 1:")
    email.get_by_label("Characters", exact=True).fill("5")
    expect(email.locator(".hub-row-becomes")).to_contain_text("Cut to length")
    expect(email.locator(".hub-row-problems")).not_to_contain_text("Step 1:")

    email.get_by_label("Step to add to email").select_option("upper")
    email.get_by_label("Step to add to email").press("Enter")
    expect(email.locator(".hub-step").nth(1)).to_be_focused()
    up = email.get_by_role("button", name="Move step 2 of email up")
    up.focus()
    page.keyboard.press("Enter")
    expect(email.locator("summary")).to_contain_text("Upper case → Cut to length")
    expect(email.get_by_role("button", name="Move step 1 of email down")).to_be_visible()
    expect(email.locator(".hub-flow")).to_contain_text(re.compile(r"Upper case.*Cut to length", re.S))
    email.get_by_label("Pattern").fill("nothing like it")
    expect(page.locator("#h-samples")).to_contain_text("does not fit the pattern")
    page.get_by_role("button", name=re.compile("Next rejected")).click()
    expect(page.locator("#h-preview")).to_contain_text("Would be rejected")
    expect(email.locator(".why")).to_contain_text("does not fit the pattern")
    clean(page)
    email.get_by_label("Pattern").fill("")
    expect(page.locator("#h-preview")).to_contain_text("Would pass")
    expect(page.get_by_text("Not saved yet")).to_be_visible()

    page.get_by_role("button", name="Save and publish").click()
    expect(page.get_by_role("heading", level=2)).to_contain_text("The first version of this mapping.")
    clean(page)
    page.get_by_role("button", name="Publish v1").click()
    expect(page.get_by_text("v1 is published")).to_be_visible()
    expect(page.get_by_text("Published v1")).to_be_visible()
    assert Mapping.objects.get().latest.number == 1


def test_the_editor_looks_as_it_should(users, by, signed_in, clean, shot):
    services.publish_mapping(users, by=by)
    steps = [{"transform": "trim"}, {"transform": "pad", "width": 8}, {"transform": "value_map", "table": {"a": "b"}}]
    fields = [*USERS_TO_USERS["fields"][:2], {"target": "email", "source": "email", "steps": steps}]
    fields.append({"target": "phone", "expression": "uppr(mobile)"})
    services.change_mapping(users, definition={"fields": fields, "match": [["employee_id"], ["email"]]}, by=by)
    page = signed_in("integrator")
    page.goto("/mappings/")
    clean(page)
    shot(page, "mappings")
    page.goto(users.get_absolute_url())
    expect(page.locator("#h-preview")).to_contain_text("record 1 of")
    shot(page, "mapping-closed")
    row_of(page, "email").locator("summary").click()
    expect(row_of(page, "email").get_by_text("Table", exact=True)).to_be_visible()
    clean(page)
    shot(page, "mapping-open", languages=("en",))
    for address in ("publish/", "versions/", "versions/1/"):
        page.goto(f"{users.get_absolute_url()}{address}")
        clean(page)
        shot(page, f"mapping-{address.strip('/').replace('/', '-')}")


def test_a_viewer_reads_the_editor(users, signed_in, clean):
    page = signed_in("viewer")
    page.goto(users.get_absolute_url())

    expect(page.locator("#h-preview")).to_contain_text("record 1 of")
    expect(row_of(page, "email").locator(".hub-row-becomes")).to_contain_text("@")
    expect(page.get_by_role("button", name="Save draft")).to_have_count(0)
    clean(page)
