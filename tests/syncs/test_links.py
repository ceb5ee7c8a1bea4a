"""Records that point to others: the reference becomes the key of what the target has for it, and waits where there is nothing yet."""

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.urls import reverse
from django.utils import timezone

from integration_hub.core import texts
from integration_hub.syncs import mapping, services, waiting
from integration_hub.syncs.models import OpenRow, Run
from tests.syncs.conftest import finish
from tests.syncs.linked import accounts_sync, company, contacts_sync

__all__ = ["accounts_sync", "company", "contacts_sync"]
pytestmark = pytest.mark.django_db(transaction=True)


def finish_replays():
    """What the sweep would start, to its end."""
    services.start_waiting_replays()
    for run in Run.objects.live():
        assert finish(run).balanced


def left():
    return {row.key: (row.state, texts.render(row.reason)) for row in OpenRow.objects.open()}


def test_a_reference_becomes_the_key_of_the_linked_record(company, accounts_sync, contacts_sync, run_now):
    company.accounts(1, 42)
    company.contacts(c1=42, c2=1, c3=42, c4=None)
    run_now(accounts_sync)

    run = run_now(contacts_sync)

    assert company.customers_of_people() == {"1": "42", "2": "1", "3": "42", "4": None}
    assert run.balanced


def test_the_links_of_a_page_are_found_in_one_query(company, accounts_sync, contacts_sync, run_now, django_assert_max_num_queries):
    from integration_hub.syncs.references import References

    company.accounts(*range(1, 400))
    run_now(accounts_sync)
    references = References(company.crm, company.erp)
    references.reference("accounts", "")

    with django_assert_max_num_queries(1):
        assert len(references("accounts", "", [str(n) for n in range(1, 500)])) == 399


def test_a_reference_is_followed_from_either_side_of_its_pair(company, accounts_sync, contacts_sync, run_now, by):
    company.accounts(42)
    company.contacts(c1=42)
    run_now(accounts_sync)
    run_now(contacts_sync)
    back = services.create_sync(
        by=by, source=contacts_sync.target, target=contacts_sync.source, name="back", mode="full", mapping=back_mapping(company)
    )
    company.run("ERP", "UPDATE people SET name = 'Xin' WHERE crm_id = '1'")

    run_now(back)

    assert ("Xin", 42) in company.run("CRM", "SELECT name, account_id FROM contacts")


def back_mapping(company):
    from tests.syncs.conftest import published

    ends = company.erp.entities.get(name="people"), company.crm.entities.get(name="contacts")
    steps = [{"transform": "link", "entity": "customers", "missing": "reject"}]
    fields = [{"target": "name", "source": "name"}, {"target": "account_id", "source": "customer_no", "steps": steps}]
    return published("Back", *ends, {"fields": fields})


@pytest.mark.parametrize(
    ("missing", "arrives", "state", "reason"),
    [
        ("null", {"1": None}, None, None),
        ("reject", {}, "rejected", "accounts 42 has no record in the target yet."),
        ("park", {}, "parked", "Waits for accounts 42 of CRM, which has no record in ERP yet."),
    ],
)
def test_what_becomes_of_a_record_whose_reference_is_not_linked(company, accounts_sync, run_now, missing, arrives, state, reason):
    company.contacts(c1=42)
    sync = company.sync("contacts", "people", "customer_no", "account_id", entity="accounts", missing=missing)

    run = run_now(sync)

    assert company.customers_of_people() == arrives
    assert left() == ({"1": (state, reason)} if state else {})
    assert (run.counts["parked"], run.counts["rejected"]) == (state == "parked", state == "rejected")
    assert run.balanced


@pytest.mark.parametrize("path", ["at once", "compared first"])
def test_a_parked_record_goes_on_by_itself_once_its_link_is_made(company, accounts_sync, contacts_sync, run_now, by, path):
    services.change_sync(contacts_sync, by=by, compare_first=path == "compared first")
    company.accounts(1)
    company.contacts(c1=42, c2=1)
    run_now(accounts_sync)
    run_now(contacts_sync)
    assert company.customers_of_people() == {"2": "1"}

    company.accounts(42)
    run_now(accounts_sync)
    finish_replays()

    assert company.customers_of_people() == {"1": "42", "2": "1"}
    assert left() == {}
    assert OpenRow.objects.get().closed_as == "replayed"


def test_a_link_made_while_the_record_was_being_parked_releases_it(company, accounts_sync, contacts_sync, run_now, monkeypatch):
    company.accounts(42)
    company.contacts(c1=42)
    mapped = mapping.unmapped

    def linked_meanwhile(*args):
        monkeypatch.setattr(mapping, "unmapped", mapped)
        run_now(accounts_sync)
        return mapped(*args)

    monkeypatch.setattr(mapping, "unmapped", linked_meanwhile)
    assert run_now(contacts_sync).counts["parked"] == 1

    finish_replays()

    assert company.customers_of_people() == {"1": "42"}


def test_a_link_whose_maker_died_before_it_released_anything_releases_at_the_end_of_its_run(
    company, accounts_sync, contacts_sync, run_now, monkeypatch
):
    company.contacts(c1=42)
    run_now(contacts_sync)
    company.accounts(42)
    monkeypatch.setattr(waiting, "release", lambda *args, **more: None)  # the row was locked just then

    run_now(accounts_sync)
    finish_replays()

    assert company.customers_of_people() == {"1": "42"}


def test_previews_follow_the_links_that_syncs_keep(company, accounts_sync, contacts_sync, run_now, by):
    from integration_hub.mappings.services import preview_mapping

    company.accounts(42)
    run_now(accounts_sync)

    told = preview_mapping(contacts_sync.mapping, [{"id": 1, "name": "Xin", "account_id": 42}], by=by)

    assert told["records"][0]["record"]["customer_no"] == 701


def test_a_trace_says_what_a_record_would_wait_for(company, accounts_sync, contacts_sync, by):
    from integration_hub.syncs.trace import trace_record

    company.contacts(c1=42)

    told = trace_record(contacts_sync, "1", by=by)

    assert (told.ending, told.reason) == ("left", "Waits for accounts 42 of CRM, which has no record in ERP yet.")


def test_only_what_waits_for_the_link_is_released(company, accounts_sync, contacts_sync, run_now):
    company.contacts(c1=42, c2=43)
    run_now(contacts_sync)
    company.accounts(42)

    run_now(accounts_sync)

    assert list(OpenRow.objects.open().filter(replay_at__isnull=False).values_list("key", flat=True)) == ["1"]


def test_the_links_of_another_pair_release_nothing(company, contacts_sync, accounts_sync, run_now):
    company.contacts(c1=42)
    run_now(contacts_sync)
    company.employees((42, None))

    run_now(company.sync("employees", "staff"))

    assert not OpenRow.objects.filter(replay_at__isnull=False).exists()


def test_a_paused_sync_is_not_started_by_a_link(company, accounts_sync, contacts_sync, run_now, by):
    company.contacts(c1=42)
    run_now(contacts_sync)
    company.accounts(42)
    services.pause_sync(contacts_sync, by=by)

    run_now(accounts_sync)
    services.start_waiting_replays()

    assert not Run.objects.live().exists()
    services.resume_sync(contacts_sync, by=by)
    finish_replays()
    assert company.customers_of_people() == {"1": "42"}


def test_more_than_a_replay_takes_goes_on_in_the_next_one(company, accounts_sync, contacts_sync, run_now, monkeypatch):
    monkeypatch.setattr(services, "REPLAYED_AT_ONCE", 2)
    company.contacts(c1=42, c2=42, c3=42, c4=42, c5=42)
    run_now(contacts_sync)
    company.accounts(42)
    run_now(accounts_sync)

    for __ in range(3):
        finish_replays()

    assert len(company.customers_of_people()) == 5


def test_a_dry_run_parks_nothing(company, accounts_sync, contacts_sync, run_now):
    company.contacts(c1=42)

    run = run_now(contacts_sync, dry=True)

    assert run.counts["parked"] == 1
    assert run.balanced
    assert left() == {}


def test_what_another_mapping_no_longer_parks_is_taken_up_by_the_next_run(company, accounts_sync, contacts_sync, run_now, by):
    from integration_hub.mappings.models import MappingVersion

    company.contacts(c1=42)
    run_now(contacts_sync)
    version = contacts_sync.mapping.latest
    version.definition["fields"][2]["steps"][0]["missing"] = "null"
    version.pk, version.number = None, 2
    MappingVersion.objects.bulk_create([version])
    company.run("CRM", "DELETE FROM contacts")
    company.run("CRM", "INSERT INTO contacts VALUES (?, ?, ?)", (1, "Contact 1", 42))

    run_now(contacts_sync)

    assert company.customers_of_people() == {"1": None}
    assert left() == {}


def test_what_a_record_waits_for_is_told_on_its_page_and_over_the_api(company, accounts_sync, contacts_sync, run_now, api, operator, client):
    company.contacts(c1=42)
    run = run_now(contacts_sync)
    row = OpenRow.objects.get()

    told = api(operator).get(f"/api/v1/rejects/{row.pk}/").json()
    client.force_login(get_user_model().objects.get(pk=operator.user_id), backend="django.contrib.auth.backends.ModelBackend")
    page = client.get(reverse("rejects:detail", args=[row.pk])).content.decode()

    assert {name: told["waits_for"][name] for name in ("system", "entity", "key")} == {"system": "CRM", "entity": "accounts", "key": "42"}
    assert "Waits for accounts 42 of CRM, which has no record in ERP yet." in page
    assert "goes on by itself once" in page
    assert "1 record waits for another one’s link" in client.get(run.get_absolute_url()).content.decode()


# --- how long it waits ------------------------------------------------------------------------------------------------


def age(days):
    OpenRow.objects.open().update(waits_since=timezone.now() - timedelta(days=days))


@pytest.mark.parametrize(("allowed", "waited", "state"), [(7, 6, "parked"), (7, 8, "rejected"), (30, 8, "parked"), (1, 2, "rejected")])
def test_what_waits_too_long_becomes_a_reject(company, accounts_sync, contacts_sync, run_now, by, allowed, waited, state):
    services.change_sync(contacts_sync, by=by, parked_days=allowed)
    company.contacts(c1=42)
    run_now(contacts_sync)
    age(waited)

    waiting.reject_overdue()

    assert left()["1"][0] == state


def test_a_reject_that_waited_too_long_says_so_stays_one_and_still_goes_on_with_its_link(company, accounts_sync, contacts_sync, run_now):
    company.contacts(c1=42)
    run_now(contacts_sync)
    age(8)
    waiting.reject_overdue()

    run_now(contacts_sync)  # meets it again

    reason = "Waited 7 days for accounts 42 of CRM, which has no record in ERP. It goes on by itself once it has one."
    assert left() == {"1": ("rejected", reason)}
    company.accounts(42)
    run_now(accounts_sync)
    finish_replays()
    assert company.customers_of_people() == {"1": "42"}


def test_a_record_that_waits_for_another_one_now_waits_anew(company, accounts_sync, contacts_sync, run_now):
    company.contacts(c1=42)
    run_now(contacts_sync)
    age(8)
    waiting.reject_overdue()
    company.run("CRM", "UPDATE contacts SET account_id = 43")

    run_now(contacts_sync)

    assert left() == {"1": ("parked", "Waits for accounts 43 of CRM, which has no record in ERP yet.")}


# --- what the administrator must say ----------------------------------------------------------------------------------


def told(run):
    return texts.render(run.error)


def test_a_reference_without_a_pair_is_told(company, contacts_sync, run_now):
    company.contacts(c1=42)

    run = run_now(contacts_sync)

    assert run.state == "failed"
    assert told(run) == "A reference points to accounts of CRM, of which nothing is linked with ERP. Make a sync of it first."


def test_an_entity_linked_with_several_must_be_told_apart(company, accounts_sync, contacts_sync, run_now):
    company.accounts(42)
    company.contacts(c1=42)
    run_now(accounts_sync)
    company.sync("accounts", "partners")
    run = run_now(contacts_sync)
    assert told(run) == (
        "A reference points to accounts of CRM, which is linked with customers, partners of ERP. Say in the mapping which one is meant."
    )
    mapping = contacts_sync.mapping.latest
    mapping.definition["fields"][2]["steps"][0]["target"] = "customers"
    type(mapping).objects.bulk_update([mapping], ["definition"])

    run_now(contacts_sync)

    assert company.customers_of_people() == {"1": "42"}


@pytest.mark.parametrize("key", ["x" * 501, "a\0b", ""], ids=["too long", "NUL", "empty"])
def test_what_can_never_be_linked_is_a_reject(company, accounts_sync, run_now, key):
    company.run("CRM", "INSERT INTO leads VALUES (?, ?, ?)", (1, "Lead", key))

    run = run_now(company.sync("leads", "people", "customer_no", "account", entity="accounts"))

    assert [state for state, __ in left().values()] == ["rejected"]
    assert run.balanced
