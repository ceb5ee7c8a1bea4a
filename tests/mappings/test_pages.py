"""The pages of mappings, asked as a browser asks them; systems are the sandbox's, over HTTP."""

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from integration_hub.accounts.models import User
from integration_hub.mappings import services
from integration_hub.mappings.models import Mapping, MappingVersion
from tests.forms import form_of as read_form
from tests.syncs.conftest import USERS_TO_USERS

pytestmark = pytest.mark.django_db(transaction=True)  # systems are spoken to on another thread


@pytest.fixture
def users(oa, crm, by):
    source, target = oa.entities.get(name="users"), crm.entities.get(name="users")
    return services.create_mapping(name="Users", source=source, target=target, definition=USERS_TO_USERS, by=by)


@pytest.fixture
def client(person):
    """A function that gives a signed-in client: client("viewer")."""

    def sign_in(role="integrator"):
        user = User.objects.filter(username=role).first() or person(role)
        browser = Client()
        browser.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        return browser

    return sign_in


def page(answer):
    assert answer.status_code == 200, answer
    return re.sub(r"\s+", " ", answer.content.decode())


def form_of(answer):
    return read_form(answer, "mapping-form")


def number_of(form, target):
    return next(name.split(".")[0] for name, value in form.items() if name.endswith(".target") and value == [target])


def test_the_list_says_what_is_published_and_finds_by_name_system_and_state(users, client, by):
    other = services.create_mapping(name="Another", source=users.source, target=users.target, definition={}, by=by)
    services.publish_mapping(users, by=by)
    browser = client("viewer")

    shown = page(browser.get("/mappings/"))
    assert "Published v1" in shown
    assert other.name in shown
    assert "Make a mapping" not in shown
    assert other.name not in page(browser.get("/mappings/?q=use"))
    assert users.name in page(browser.get("/mappings/?system=oa&state=published"))
    assert other.name not in page(browser.get("/mappings/?state=published")).split("<table")[1]

    services.change_mapping(users, definition={"fields": [{"target": "email", "source": "email"}]}, by=by)
    assert "v1, changed since" in page(browser.get("/mappings/?state=changed"))


def test_the_list_asks_the_database_as_often_for_many_as_for_one(users_of_a_sync, client, by):
    browser = client("viewer")
    browser.get("/mappings/")
    with CaptureQueriesContext(connection) as one:
        browser.get("/mappings/")
    for number in range(8):
        services.publish_mapping(
            services.create_mapping(
                name=f"More {number}", source=users_of_a_sync.source, target=users_of_a_sync.target, definition=USERS_TO_USERS, by=by
            ),
            by=by,
        )

    with CaptureQueriesContext(connection) as many:
        shown = page(browser.get("/mappings/"))

    assert len(many) == len(one)
    assert "OA → CRM" in shown


def test_a_mapping_is_made_from_the_suggestions_that_were_ticked(oa, crm, client):
    browser = client()
    source, target = oa.entities.get(name="users"), crm.entities.get(name="users")

    shown = page(browser.get(reverse("mappings:add"), {"source": source.pk, "target": target.pk}))
    assert 'value="OA · Users → CRM · Users"' in shown
    assert 'value="email"' in shown
    made = browser.post(reverse("mappings:add"), {"source": source.pk, "target": target.pk, "name": "Staff", "take": ["email", "full_name"]})

    mapping = Mapping.objects.get(name="Staff")
    assert made.url == f"/mappings/{mapping.pk}/"
    assert {(told["target"], told["source"]) for told in mapping.draft["fields"]} == {("email", "email"), ("full_name", "name")}
    assert mapping.draft["match"] == [["email"]]


def test_versions_are_paged_and_each_says_what_it_changed(users, client):
    draft, facts = users.draft, {"mapping": users, "source_schema": {}, "target_schema": {}, "published_by": "Ada"}
    for number in range(1, 23):
        fields = draft["fields"] if number % 2 else draft["fields"][1:]
        MappingVersion.objects.create(number=number, definition=draft | {"fields": fields}, **facts)
    browser, address = client("viewer"), reverse("mappings:versions", args=[users.pk])

    first = browser.get(address)
    second = browser.get(f"{address}?after={first.context['pager'].older}")

    assert [len(answer.context["rows"]) for answer in (first, second)] == [20, 2]
    assert [[change.name for change in row["changes"]] for row in first.context["rows"]] == [[draft["fields"][0]["target"]]] * 20
    assert page(first).count("in use") == 1
    assert "in use" not in page(second)
    assert "the first, " in page(second)


def test_an_entity_is_not_mapped_to_itself(oa, client):
    pk = oa.entities.get(name="users").pk
    assert "An entity cannot be mapped to itself." in page(client().get(reverse("mappings:add"), {"source": pk, "target": pk}))


def test_saving_the_form_as_it_was_drawn_changes_nothing(users, client):
    browser = client()

    answer = browser.post(users.get_absolute_url(), form_of(browser.get(users.get_absolute_url())) | {"do": "save"})

    assert answer.status_code == 302
    users.refresh_from_db()
    assert users.draft["match"] == USERS_TO_USERS["match"]
    assert sorted(users.draft["fields"], key=lambda f: f["target"]) == sorted(USERS_TO_USERS["fields"], key=lambda f: f["target"])


def test_required_fields_come_first_and_those_not_mapped_are_flagged(users, client, by):
    services.change_mapping(users, definition={"fields": [{"target": "phone", "source": "mobile"}]}, by=by)

    shown = page(client().get(users.get_absolute_url()))

    assert "2 required fields of CRM · Users are still empty." in shown
    assert shown.index("full_name</b>") < shown.index("email</b>") < shown.index("employee_id</b>") < shown.index("phone</b>")
    assert shown.count('data-state="warn" hx-target') == 2
    assert "CRM sets these itself: id, created_at, updated_at" in shown


def test_steps_are_added_moved_and_removed_without_being_saved(users, client):
    browser, url = client(), users.get_absolute_url()
    form = form_of(browser.get(url))
    row = number_of(form, "email")

    adding = form | {"do": f"add:{row[1:]}", f"{row}.add": "truncate"}
    part = browser.post(url, adding, headers={"HX-Request": "true"})
    assert part.headers["HX-Trigger-After-Settle"] == "previewAgain"
    assert page(part).count('<li class="hub-row"') == 1
    assert "Cut to length" in page(part)
    assert 'id="h-match"' in page(browser.post(url, form | {"do": "match"}, headers={"HX-Request": "true"}))
    form = form_of(browser.post(url, adding))
    assert form[f"{row}.s2.transform"] == ["truncate"]
    assert form[f"{row}.s2.p.length"] == [""]

    form = form_of(browser.post(url, form | {"do": f"up:{row[1:]}:2"}))
    assert [form[f"{row}.s{n}.transform"] for n in range(3)] == [["trim"], ["truncate"], ["lower"]]
    form = form_of(browser.post(url, form | {"do": f"remove:{row[1:]}:0"}))
    assert [form[f"{row}.s{n}.transform"] for n in range(2)] == [["truncate"], ["lower"]]
    users.refresh_from_db()
    assert users.draft == USERS_TO_USERS


def test_a_problem_stands_at_its_field_and_step_and_a_formula_tells_the_place(users, client):
    browser, url = client(), users.get_absolute_url()
    form = form_of(browser.get(url))
    row, other = number_of(form, "email"), number_of(form, "employee_id")

    form |= {f"{row}.s0.transform": "pad", f"{row}.s0.p.width": "wide", f"{other}.kind": "expression", f"{other}.value": "uppr(userId)"}
    shown = page(browser.post(url, form | {"do": "redraw"}))

    assert "2 problems keep this mapping from being published." in shown
    problem = shown.split(f'id="e-{row[1:]}"')[1].split("</div>")[0]
    assert "Step 1:" in problem
    assert "must be a whole number" in problem
    problem = shown.split(f'id="e-{other[1:]}"')[1].split("</div>")[0]
    assert "upper" in problem
    assert "line 1, place 1" in problem


def test_the_preview_shows_a_real_record_step_by_step_and_all_samples_by_cause(users, client):
    browser, url = client(), users.get_absolute_url()
    form = form_of(browser.get(url))
    row = number_of(form, "employee_id")
    form |= {f"{row}.max_length": "2"}

    shown = page(browser.post(reverse("mappings:preview", args=[users.pk]), form))

    assert "Would be rejected" in shown
    assert re.search(r"record 1 of \d+", shown)
    assert "is longer than the 2 characters that are allowed" in shown
    assert re.search(r"0 of \d+ sample records pass", shown)
    email = shown.split(f'id="p-{number_of(form, "email")[1:]}"')[1].split('<div id="e-')[0]
    assert re.search(r"<small>Lower case</small> <span>[^<@]+@", email)
    assert "record 2 of" in page(browser.post(reverse("mappings:preview", args=[users.pk]), form | {"record": "0", "show": "next"}))


def test_a_source_that_does_not_answer_leaves_the_editor_usable(users, client, sandbox):
    users.source.system.settings["base_url"] = "http://127.0.0.1:9/oa"
    users.source.system.save()
    browser = client()

    assert "No sample records" in page(browser.post(reverse("mappings:preview", args=[users.pk]), form_of(browser.get(users.get_absolute_url()))))


def test_whoever_saves_second_is_told_of_the_first(users, client, by):
    browser, url = client(), users.get_absolute_url()
    form = form_of(browser.get(url))
    theirs = {"fields": [{"target": "email", "source": "email"}]}
    services.change_mapping(users, definition=theirs, by=by)
    row = number_of(form, "full_name")
    form |= {f"{row}.pattern": ".+"}

    told = browser.post(url, form | {"do": "save"})

    assert "saved another draft at" in page(told)
    users.refresh_from_db()
    assert users.draft == theirs
    assert browser.post(url, form_of(told) | {"do": "overwrite"}).status_code == 302
    users.refresh_from_db()
    assert len(users.draft["fields"]) == 3


def test_publishing_shows_what_changes_and_makes_a_version(users, client, by):
    browser = client()
    url = reverse("mappings:publish", args=[users.pk])
    seen = re.search(r'name="seen" value="(\w+)"', page(browser.get(url)))[1]
    assert browser.post(url, {"seen": seen}).url == users.get_absolute_url()

    fields = [{**told, "max_length": 50} if told["target"] == "email" else told for told in USERS_TO_USERS["fields"]]
    services.change_mapping(users, definition={**USERS_TO_USERS, "fields": fields}, by=by)
    shown = page(browser.get(url))

    assert "1 thing changes from v1 to v2." in shown
    assert "at most 50 characters" in shown
    assert "sample records pass" in shown
    browser.post(url, {"seen": seen})
    assert users.latest.number == 1  # of a draft that was not seen
    browser.post(url, {"seen": re.search(r'name="seen" value="(\w+)"', shown)[1]})
    assert users.latest.number == 2


def test_publishing_tells_which_syncs_it_touches(users_of_a_sync, client, by):
    from django.utils import timezone

    from integration_hub.syncs.models import Link

    pair = users_of_a_sync.syncs.get().pair
    Link.objects.create(pair=pair, a_key="1", b_key="2", print_version=1, made_at=timezone.now())
    services.change_mapping(users_of_a_sync, definition={**USERS_TO_USERS, "match": [["email"]]}, by=by)

    shown = page(client().get(reverse("mappings:publish", args=[users_of_a_sync.pk])))

    assert "1 sync uses it from its next run on." in shown
    touched = shown.split('id="h-touched"')[1].split("</section>")[0]
    assert "OA → CRM" in touched
    assert '<td class="num">1</td>' in touched


def test_a_mapping_with_doubts_is_published_only_knowingly(users, client, by):
    services.change_mapping(users, definition={"fields": [{"target": "full_name", "source": "name"}]}, by=by)
    browser, url = client(), reverse("mappings:publish", args=[users.pk])
    shown = page(browser.get(url))
    seen = re.search(r'name="seen" value="(\w+)"', shown)[1]

    assert "CRM refuses new records without email, which is not mapped." in shown
    browser.post(url, {"seen": seen})
    assert users.latest is None
    browser.post(url, {"seen": seen, "although": "on"})
    assert users.latest.number == 1


def test_an_old_version_is_taken_over_into_the_draft(users, client, by):
    version = services.publish_mapping(users, by=by)
    services.change_mapping(users, definition={"fields": [{"target": "email", "source": "email"}]}, by=by)
    browser = client()

    assert "v1" in page(browser.get(reverse("mappings:versions", args=[users.pk])))
    assert "The draft differs from it in" in page(browser.get(reverse("mappings:version", args=[users.pk, 1])))
    browser.post(reverse("mappings:take_over", args=[users.pk, 1]))

    users.refresh_from_db()
    assert users.draft == version.definition


def test_a_mapping_in_use_is_not_deleted_another_is(users_of_a_sync, users, client):
    browser = client()

    refused = browser.post(reverse("mappings:delete", args=[users_of_a_sync.pk]), follow=True)
    browser.post(reverse("mappings:delete", args=[users.pk]))

    assert "stays" in page(refused) or "is used by" in page(refused)
    assert list(Mapping.objects.all()) == [users_of_a_sync]


@pytest.fixture
def users_of_a_sync(oa, crm, by):
    from integration_hub.syncs import services as syncs
    from tests.syncs.conftest import published

    source, target = oa.entities.get(name="users"), crm.entities.get(name="users")
    mapping = published("In use", source, target, USERS_TO_USERS)
    syncs.create_sync(by=by, source=source, target=target, name="OA → CRM", mapping=mapping, mode="incremental")
    return mapping


@pytest.mark.parametrize("role", ["viewer", "operator", "auditor", "approver"])
def test_others_see_the_editor_and_the_preview_but_change_nothing(users, client, role):
    browser, url = client(role), users.get_absolute_url()

    shown = page(browser.get(url))

    assert "Save draft" not in shown
    assert "readonly" in shown
    assert browser.post(reverse("mappings:preview", args=[users.pk]), {}).status_code == 200
    for address in (url, reverse("mappings:publish", args=[users.pk]), reverse("mappings:delete", args=[users.pk]), reverse("mappings:add")):
        assert browser.post(address, {}).status_code == 403


def test_a_field_that_the_target_lost_is_shown_and_can_be_taken_out(users, client):
    users.target.schema["fields"] = [f for f in users.target.schema["fields"] if f["name"] != "employee_id"]
    users.target.save()
    browser, url = client(), users.get_absolute_url()

    shown = browser.get(url)
    assert "the target has it no more" in page(shown)
    form = form_of(shown)
    form |= {f"{number_of(form, 'employee_id')}.kind": "", "match0": ["email"], "match1": []}
    browser.post(url, form | {"do": "save"})

    users.refresh_from_db()
    assert {told["target"] for told in users.draft["fields"]} == {"full_name", "email"}
