"""The order of syncs, and groups of them: what is due waits for what it runs after; a group is run, paused and made as one."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import timezone

from integration_hub.accounts.actor import Forbidden
from integration_hub.mappings.models import Mapping
from integration_hub.syncs import groups, order, services, together
from integration_hub.syncs.due import start_due_syncs
from integration_hub.syncs.models import OpenRow, Run, Sync
from tests.syncs.conftest import finish
from tests.syncs.linked import accounts_sync, company, contacts_sync

__all__ = ["accounts_sync", "company", "contacts_sync"]
pytestmark = pytest.mark.django_db(transaction=True)


def due(*syncs, seconds=1):
    Sync.objects.filter(pk__in=[sync.pk for sync in syncs]).update(next_due_at=timezone.now() - timedelta(seconds=seconds))


def going():
    return {run.sync.name for run in Run.objects.live()}


def sweep_and_finish():
    """One sweep, and what it started to its end: the names."""
    start_due_syncs()
    started = going()
    for run in Run.objects.live():
        finish(run)
    return started


@pytest.fixture
def ordered(company, accounts_sync, contacts_sync, by):
    """Accounts, then contacts, then people's staff."""
    employees = company.sync("employees", "staff", name="employees")
    services.change_sync(contacts_sync, by=by, after=[accounts_sync])
    services.change_sync(employees, by=by, after=[contacts_sync])
    return accounts_sync, contacts_sync, employees


def test_what_is_due_at_once_runs_one_after_the_other(ordered):
    accounts, contacts, employees = ordered
    due(employees, contacts, accounts)

    assert sweep_and_finish() == {accounts.name}
    assert sweep_and_finish() == {contacts.name}
    assert sweep_and_finish() == {employees.name}


def test_a_sync_waits_for_one_that_is_running_before_it(ordered):
    accounts, contacts, __ = ordered
    due(accounts)
    start_due_syncs()
    due(contacts, seconds=-0.001)

    start_due_syncs()

    assert going() == {accounts.name}
    finish(Run.objects.live().get())
    due(contacts)
    assert sweep_and_finish() == {contacts.name}


def test_a_late_sync_says_what_it_waits_for(ordered, browser, by):
    accounts, contacts, __ = ordered
    services.change_sync(contacts, by=by, objective_seconds=60)
    Sync.objects.update(last_success_at=timezone.now() - timedelta(hours=1))
    due(accounts, contacts, seconds=600)
    start_due_syncs()
    told = "ago and waits for accounts → customers, which it runs after."

    assert told in browser.get(contacts.get_absolute_url()).content.decode()
    assert told in browser.get(reverse("admin:index")).content.decode()

    finish(Run.objects.live().get())
    assert "which it runs after" not in browser.get(contacts.get_absolute_url()).content.decode()


def test_a_sync_waits_for_what_is_before_those_before_it(ordered):
    accounts, __, employees = ordered
    due(accounts, employees)

    assert sweep_and_finish() == {accounts.name}
    assert sweep_and_finish() == {employees.name}


def test_a_sync_that_is_always_due_does_not_keep_the_next_from_its_turn(ordered):
    accounts, contacts, __ = ordered
    due(accounts, contacts)
    assert sweep_and_finish() == {accounts.name}

    due(accounts, seconds=0)

    assert contacts.name in sweep_and_finish()


@pytest.mark.parametrize("state", ["paused", "paused run", "due behind a paused run", "not published"])
def test_what_cannot_run_holds_up_nothing(ordered, company, by, state):
    accounts, contacts, __ = ordered
    if state == "paused":
        services.pause_sync(accounts, by=by)
    elif state.endswith("paused run"):
        services.pause_run(services.start_run(accounts, by=by), by=by)
    else:
        accounts.mapping.versions.all().delete()
    if state != "paused run":
        due(accounts)
    due(contacts)

    start_due_syncs()
    start_due_syncs()

    assert contacts.name in going()


@pytest.mark.parametrize(
    ("first", "then", "problem"),
    [
        ("contacts → people", "contacts → people", "A sync cannot run after itself."),
        (
            "accounts → customers",
            "contacts → people",
            "accounts → customers cannot run after contacts → people, which runs after accounts → customers itself.",
        ),
        ("accounts → customers", "employees", "accounts → customers cannot run after employees, which runs after accounts → customers itself."),
    ],
)
def test_a_circle_is_refused(ordered, by, first, then, problem):
    with pytest.raises(ValidationError) as refused:
        services.change_sync(Sync.objects.get(name=first), by=by, after=[Sync.objects.get(name=then)])

    assert refused.value.message_dict == {"after": [problem]}


def test_the_order_is_set_with_everything_else_and_told_in_the_audit_log(ordered, by):
    from integration_hub.audit.models import Entry

    accounts, contacts, __ = ordered

    services.change_sync(contacts, by=by, after=[], notes="free")

    entry = Entry.objects.filter(event="sync.changed").order_by("-pk").first()
    assert entry.changes == {"after": [accounts.name, ""], "notes": ["", "free"]}


# --- groups -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def group(ordered, by):
    for sync in ordered:
        services.change_sync(sync, by=by, group="Customers")
    return groups.group_named("Customers", by)


def test_a_group_runs_in_order(group, ordered, company, by):
    company.accounts(42)
    company.contacts(c1=42)

    assert [run.sync for run in groups.run_group(group, by=by).runs] == [ordered[0]]

    for run in Run.objects.live():
        finish(run)
    assert sweep_and_finish() == {ordered[1].name}
    assert sweep_and_finish() == {ordered[2].name}
    assert sweep_and_finish() == set()
    assert company.customers_of_people() == {"1": "42"}
    assert not OpenRow.objects.open().exists()


def test_a_group_is_paused_and_resumed_as_one(group, by):
    groups.pause_group(group, by=by)
    assert not Sync.objects.filter(paused_at=None).exists()
    assert groups.group_named("Customers", by).is_paused
    with pytest.raises(services.NotPossible, match=r"Every sync of Customers is paused\. Resume it first\."):
        groups.run_group(groups.group_named("Customers", by), by=by)

    groups.resume_group(group, by=by)

    assert not Sync.objects.exclude(paused_at=None).exists()


@pytest.mark.parametrize("act", ["run_group", "pause_group", "resume_group"])
def test_a_viewer_may_do_nothing_to_a_group(group, viewer, act):
    with pytest.raises(Forbidden):
        getattr(groups, act)(group, by=viewer)


def test_groups_over_the_api(group, api, operator):
    client = api(operator)

    (told,) = client.get("/api/v1/sync-groups/").json()
    assert (told["name"], [sync["name"] for sync in told["syncs"]], told["is_paused"]) == ("Customers", [s.name for s in group.syncs], False)
    assert client.post("/api/v1/sync-groups/pause/", {"name": "Customers"}, content_type="application/json").json()["is_paused"] is True
    assert client.post("/api/v1/sync-groups/resume/", {"name": "Customers"}, content_type="application/json").json()["is_paused"] is False
    assert client.post("/api/v1/sync-groups/run/", {"name": "Customers"}, content_type="application/json").status_code == 200
    assert going() == {"accounts → customers"}
    assert client.post("/api/v1/sync-groups/run/", {"name": "Nobody"}, content_type="application/json").status_code == 404


def test_groups_from_the_command_line(group, capsys):
    call_command("sync", "group", "pause", "Customers")
    assert capsys.readouterr().out.splitlines()[0] == "accounts → customers  next when it is resumed"
    with pytest.raises(CommandError, match=r"Every sync of Customers is paused\. Resume it first\."):
        call_command("sync", "group", "run", "Customers")
    call_command("sync", "group", "resume", "Customers", "--json")
    assert '"is_paused": false' in capsys.readouterr().out
    call_command("sync", "group", "run", "Customers")
    assert going() == {"accounts → customers"}
    with pytest.raises(CommandError, match=r"There is no group called Nobody\."):
        call_command("sync", "group", "run", "Nobody")


@pytest.fixture
def browser(client, person):
    client.force_login(person("integrator"), backend="django.contrib.auth.backends.ModelBackend")
    return client


def test_the_list_shows_a_group_with_what_can_be_done_to_all_of_it(group, browser):
    shown = browser.get(reverse("syncs:list"), {"group": "Customers"}).content.decode()
    assert "Run all" in shown
    assert "Pause all" in shown

    answer = browser.post(reverse("syncs:group_pause"), {"name": "Customers"}, follow=True)

    assert answer.status_code == 200
    assert not Sync.objects.filter(paused_at=None).exists()
    assert "Resume all" in browser.get(reverse("syncs:list"), {"group": "Customers"}).content.decode()


def test_of_a_group_what_cannot_start_is_told_at_every_door(group, ordered, browser, by, capsys, api, operator):
    """Such as one whose suggested mapping nobody has looked through yet."""
    employees = ordered[2]
    services.change_sync(employees, by=by, after=[])
    employees.mapping.versions.all().delete()
    why = f"The mapping {employees.mapping.name} has no published version yet. Publish it first."

    answer = browser.post(reverse("syncs:group_run"), {"name": "Customers"}, follow=True)

    said = [str(message) for message in answer.context["messages"]]
    assert said == [f"employees: {why}", "1 run is started; what runs after others follows by itself."]
    assert going() == {"accounts → customers"}

    for run in Run.objects.live():
        finish(run)
    answer = api(operator).post("/api/v1/sync-groups/run/", {"name": "Customers"}, content_type="application/json").json()
    assert {sync["name"]: sync["refusal"] for sync in answer["syncs"]} == {"accounts → customers": None, "contacts → people": None, "employees": why}
    for run in Run.objects.live():
        finish(run)
    with pytest.raises(SystemExit) as ended:
        call_command("sync", "group", "run", "Customers")
    assert (ended.value.code, capsys.readouterr().err.strip()) == (1, f"employees: {why}")


def test_the_form_of_a_sync_has_its_group_and_what_it_runs_after(ordered, browser):
    accounts, contacts, employees = ordered
    form = browser.get(reverse("syncs:edit", args=[employees.pk])).context["form"]
    assert [sync.pk for sync in form.initial["after"]] == [contacts.pk]
    told = {"name": "employees", "mapping": employees.mapping_id, "mode": "full", "schedule": "hand", "time_zone": "UTC", "group": "Staff"}

    browser.post(reverse("syncs:edit", args=[employees.pk]), {**told, "after": [accounts.pk]})

    employees.refresh_from_db()
    assert (employees.group, list(employees.after.all())) == ("Staff", [accounts])
    answer = browser.post(reverse("syncs:edit", args=[accounts.pk]), {**told, "name": "a", "mapping": accounts.mapping_id, "after": [employees.pk]})
    assert "which runs after accounts → customers itself" in answer.content.decode()


# --- several at once --------------------------------------------------------------------------------------------------


@pytest.fixture
def ends(company):
    return {name: company.crm.entities.get(name=name) for name in ("accounts", "contacts", "employees", "leads")} | {
        name: company.erp.entities.get(name=name) for name in ("customers", "people", "staff")
    }


def test_entities_that_belong_together_are_offered_with_what_they_refer_to(company, ends, by):
    offered = {offer.source.name: offer for offer in together.offers(company.crm, company.erp, by=by)}

    assert offered["accounts"].target == ends["customers"]
    assert offered["employees"].target == ends["staff"]
    assert offered["contacts"].references == ["accounts"]
    assert offered["employees"].references == []  # but to others of its own, which needs no order


def test_syncs_made_together_follow_each_others_references_in_order(company, ends, by, run_now):
    company.accounts(42)
    company.contacts(c1=42)
    chosen = [(ends["contacts"], ends["people"]), (ends["accounts"], ends["customers"])]

    made = together.create_together(chosen, by=by, group="Customers", publish=True)

    accounts, contacts = made
    assert (accounts.source, contacts.source) == (ends["accounts"], ends["contacts"])
    assert list(contacts.after.all()) == [accounts]
    assert {sync.group for sync in made} == {"Customers"}
    (owner,) = (told for told in contacts.mapping.latest.definition["fields"] if told["target"] == "customer_no")
    assert owner["steps"] == [{"transform": "link", "entity": "accounts"}]
    for sync in made:
        assert run_now(sync).state == "succeeded"
    assert company.run("ERP", "SELECT p.name, c.name FROM people p JOIN customers c ON c.no = p.customer_no") == [("Contact 1", "Account 42")]


@pytest.mark.parametrize(
    ("group", "taken", "problem"),
    [("G", 0, "Choose which entities belong together."), (" ", 1, "Give the group a name.")],
)
def test_what_makes_no_group_is_refused(ends, by, group, taken, problem):
    with pytest.raises(ValidationError, match=problem):
        together.create_together([(ends["accounts"], ends["customers"])][:taken], by=by, group=group)


def test_no_entity_is_offered_or_synced_onto_itself(company, ends, by, browser):
    accounts = ends["accounts"]
    told = {"source": company.crm.pk, "target": company.crm.pk, "group": "G", "take": accounts.pk, f"target-{accounts.pk}": accounts.pk}

    refused = browser.post(reverse("syncs:together"), told).content.decode()

    assert not any(offer.target == offer.source for offer in together.offers(company.crm, company.crm, by=by))
    assert "CRM · accounts is source and target here, but a sync goes between two. Choose a mapping from one entity to another." in refused
    assert not Sync.objects.exists()


def test_making_together_is_all_or_nothing(ends, by):
    with pytest.raises(ValidationError, match=r"The shortest interval is 5 seconds\."):
        together.create_together([(ends["accounts"], ends["customers"])], by=by, group="G", interval_seconds=1)

    assert not Sync.objects.exists()
    assert not Mapping.objects.exists()


def test_a_viewer_makes_none_together(ends, viewer):
    with pytest.raises(Forbidden):
        together.create_together([(ends["accounts"], ends["customers"])], by=viewer, group="G")


def test_the_page_makes_a_group_of_two_systems(company, ends, browser):
    first = browser.get(reverse("syncs:together")).content.decode()
    assert "Choose a system" in first
    systems = {"source": company.crm.pk, "target": company.erp.pk}
    shown = browser.get(reverse("syncs:together"), systems)
    assert shown.context["group"]["group"].value() == "CRM → ERP"
    taken = {row["offer"].source.name for row in shown.context["rows"] if row["taken"]}
    assert {"accounts", "employees"} <= taken
    told = {**systems, "group": "R&D #1", "take": [ends["accounts"].pk, ends["contacts"].pk], f"target-{ends['accounts'].pk}": ends["customers"].pk}

    refused = browser.post(reverse("syncs:together"), told).content.decode()
    made = browser.post(reverse("syncs:together"), {**told, f"target-{ends['contacts'].pk}": ends["people"].pk})

    assert "Choose what contacts goes into." in refused
    assert made.status_code == 302
    names = ["CRM · accounts → ERP · customers", "CRM · contacts → ERP · people"]
    assert list(Sync.objects.filter(group="R&D #1").order_by("pk").values_list("name", flat=True)) == names
    assert "Run all" in browser.get(made.url).content.decode()  # that of the group


def test_the_page_says_where_no_entity_is_picked_yet(company, browser):
    company.crm.entities.update(selected=False)
    shown = browser.get(reverse("syncs:together"), {"source": company.crm.pk, "target": company.erp.pk}).content.decode()
    assert "No entity of CRM is picked yet." in shown


def test_groups_and_order_survive_export_and_import(group, ordered, by):
    from integration_hub.blueprints.services import apply_config, export_config

    told = export_config(by=by)["syncs"]["employees"]
    assert (told["group"], told["after"]) == ("Customers", ["contacts → people"])
    import yaml

    text = yaml.safe_dump({"version": 1, "syncs": {"employees": {**told, "after": ["accounts → customers"]}}}, allow_unicode=True)
    apply_config([("hub.yaml", text)], by=by)

    assert [sync.name for sync in Sync.objects.get(name="employees").after.all()] == ["accounts → customers"]
    chosen = export_config(by=by, names=["contacts → people"])
    assert list(chosen["syncs"]) == ["accounts → customers", "contacts → people"]


def test_who_runs_before_whom_is_found_in_one_query(ordered, django_assert_num_queries):
    with django_assert_num_queries(1):
        found = order.order_now()
    assert order.all_before(ordered[2].pk, found) == {ordered[0].pk, ordered[1].pk}
