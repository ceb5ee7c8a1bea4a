"""What a run would do beyond what its sync may without asking waits for a person; the rest goes through, and nothing is emptied by an empty answer."""

import pytest
from django.core.exceptions import ValidationError

from integration_hub.accounts.actor import Actor, Forbidden
from integration_hub.approvals import services as approvals
from integration_hub.approvals.models import Decision
from integration_hub.audit.models import Entry
from integration_hub.core import texts
from integration_hub.mappings.models import MappingVersion
from integration_hub.syncs import carrying, decisions, guards, services
from integration_hub.syncs.models import Link, OpenRow, Run, Sync
from integration_hub.systems.models import System
from tests.syncs.conftest import USERS_TO_USERS, finish
from tests.syncs.equal import assert_equal, users_of_crm
from tests.syncs.killing import SOME_POINTS, carry_until_killed, let_the_lease_run_out
from tests.syncs.linked import accounts_sync, company, contacts_sync

__all__ = ["accounts_sync", "company", "contacts_sync"]
pytestmark = pytest.mark.django_db(transaction=True)


def lose(sandbox, share):
    """Delete this share of the OA's users; returns those that are gone."""
    users = [user["userId"] for user in sandbox.records("oa", "user")]
    gone = set(users[: round(len(users) * share)])
    for key in gone:
        sandbox.oa.delete("user", key)
    return gone


def withheld(run):
    return (run.state, run.balanced, run.counts["withheld"], run.counts["deleted"])


def the_run_of(decision):
    decision.refresh_from_db()
    return finish(Run.objects.get(pk=decision.about["applied_by"]))


def test_a_source_that_loses_most_of_its_records_deletes_nothing_until_somebody_accepts(full, sandbox, run_now, by):
    before = users_of_crm(sandbox)
    gone = lose(sandbox, 0.6)
    sandbox.oa.change("user", sandbox.records("oa", "user")[0]["userId"], name="Renamed Meanwhile")

    run = run_now(full)

    assert withheld(run) == ("awaiting_decision", True, 48, 0)
    assert run.counts["updated"] == 1, "the rest goes through"
    assert users_of_crm(sandbox) == before
    (decision,) = Decision.objects.open()
    assert (decision.part, decision.count) == ("delete", 48)

    approvals.decide(decision, "accept", by=by, reason="The branch office was closed")
    applied = the_run_of(decision)

    assert (applied.state, applied.balanced, applied.counts["deleted"]) == ("succeeded", True, 48)
    assert before - users_of_crm(sandbox) == gone
    assert not Link.objects.filter(a_key__in=gone, ended_at=None).exists()
    assert not OpenRow.objects.open().exists()
    assert not Decision.objects.open().exists()


@pytest.mark.parametrize("limit", [None, 20])
def test_an_empty_answer_empties_no_target_however_high_the_limit(full, sandbox, run_now, by, limit):
    sync = services.change_sync(full, by=by, most_deletes_percent=limit)
    before, linked = users_of_crm(sandbox), set(Link.objects.values_list("a_key", flat=True))
    lose(sandbox, 1.0)

    run = run_now(sync)

    assert withheld(run) == ("awaiting_decision", True, 80, 0)
    assert users_of_crm(sandbox) == before
    (decision,) = Decision.objects.open()
    assert "raise" not in decisions.answers(decision), "no limit is to be raised for it"
    assert {texts.render(row.reason) for row in OpenRow.objects.open()} == {texts.render(guards.because_of(decision)[0])}, "and it says why"

    approvals.decide(decision, "accept", by=by, reason="The old system was emptied")

    assert (the_run_of(decision).state, users_of_crm(sandbox)) == ("succeeded", before - linked), "it is empty, and somebody says so"


def test_an_empty_source_is_asked_about_also_while_records_of_it_wait(full, sandbox, run_now, by):
    """One of them is looked for by name before anything is read, and is not found."""
    sandbox.oa.change("user", sandbox.records("oa", "user")[3]["userId"], name="Changed")
    sandbox.crm.fault("status", status=409, path="/users/")
    run_now(full)
    assert OpenRow.objects.open().get().again
    sandbox.clear_faults()
    lose(sandbox, 1.0)

    run = run_now(full)

    assert withheld(run) == ("awaiting_decision", True, 80, 0)
    decision = Decision.objects.open().get()
    approvals.decide(decision, "accept", by=by, reason="The old system was emptied")
    assert the_run_of(decision).counts["deleted"] == 80
    assert not OpenRow.objects.open().exists()


def test_a_later_run_brings_the_decision_up_to_date_and_withdraws_it_once_all_is_well(full, sandbox, run_now, by):
    sync = services.change_sync(full, by=by, filter="userId <> 'nobody'", left_filter="delete")
    users = sorted(user["userId"] for user in sandbox.records("oa", "user"))
    narrow = services.change_sync(sync, by=by, filter=f"userId < '{users[20]}'")

    assert withheld(run_now(narrow)) == ("awaiting_decision", True, 60, 0)
    (decision,) = Decision.objects.open()
    wider = services.change_sync(sync, by=by, filter=f"userId < '{users[40]}'")
    assert withheld(run_now(wider)) == ("awaiting_decision", True, 40, 0)
    decision.refresh_from_db()
    assert (decision.state, decision.count) == ("open", 40)

    run = run_now(services.change_sync(sync, by=by, filter=""))

    assert (run.state, run.counts["withheld"]) == ("succeeded", 0)
    decision.refresh_from_db()
    assert decision.state == "lapsed"
    assert not OpenRow.objects.open().exists()


def test_refused_changes_are_dropped_and_not_asked_for_again(full, sandbox, run_now, by):
    before = users_of_crm(sandbox)
    lose(sandbox, 0.6)
    run_now(full)
    decision = Decision.objects.open().get()

    approvals.decide(decision, "refuse", by=by, reason="The source was restored from an old copy")

    assert not OpenRow.objects.open().exists()
    again = run_now(full)
    assert withheld(again) == ("succeeded", True, 48, 0)
    assert not Decision.objects.open().exists()
    assert users_of_crm(sandbox) == before
    entry = Entry.objects.get(event="decision.refused")
    assert (entry.note, entry.changes) == ("The source was restored from an old copy", {"records": [None, 48]})


def test_raising_the_limit_lets_as_many_through_from_now_on(full, sandbox, run_now, by):
    lose(sandbox, 0.5)
    run_now(full)
    decision = Decision.objects.open().get()

    approvals.decide(decision, "raise", by=by, reason="It shrinks by half each year")

    assert the_run_of(decision).counts["deleted"] == 40
    full.refresh_from_db()
    assert full.most_deletes_percent == 50


def test_no_limit_is_raised_beyond_what_one_can_be(company, accounts_sync, run_now, by):
    company.accounts(1)
    run_now(accounts_sync)
    sync = services.change_sync(accounts_sync, by=by, most_creates_percent=50)
    company.accounts(*range(2, 400))
    run = run_now(sync)
    assert (run.state, run.links_at_start, run.counts["withheld"]) == ("awaiting_decision", 1, 398)

    decision = Decision.objects.open().get()

    assert list(decisions.answers(decision)) == ["accept", "refuse"]


def test_what_has_changed_on_either_side_before_the_answer_is_left(full, sandbox, run_now, by):
    sync = services.change_sync(full, by=by, filter="status <> 3", left_filter="delete")
    users = [user["userId"] for user in sandbox.records("oa", "user")]
    for key in users:
        sandbox.oa.change("user", key, status=3 if key in users[:40] else 1)
    run_now(sync)
    decision = Decision.objects.open().get()
    back, changed = users[0], Link.objects.get(a_key=users[1])
    sandbox.oa.change("user", back, status=1)
    sandbox.crm.change("users", changed.b_key, full_name="Somebody Else")

    approvals.decide(decision, "accept", by=by, reason="They have left")
    run = the_run_of(decision)

    assert (run.state, run.balanced, run.counts["deleted"], run.counts["moved"]) == ("with_rejects", True, 38, 2)
    assert {back, changed.a_key} <= users_of_crm(sandbox)
    assert {row.state for row in OpenRow.objects.open()} == {"moved"}


def test_creates_and_updates_have_limits_of_their_own(few, users_sync, sandbox, run_now, by):
    assert run_now(users_sync).state == "succeeded"
    sync = services.change_sync(users_sync, by=by, mode="full", most_updates=3, most_creates_percent=10)
    for user in sandbox.records("oa", "user")[:5]:
        sandbox.oa.change("user", user["userId"], name=f"{user['name']} II")
    sandbox.oa.add("user", name="New Person", email="new@example.com")

    run = run_now(sync)

    assert (run.state, run.balanced, run.counts["withheld"], run.counts["updated"], run.counts["created"]) == ("awaiting_decision", True, 5, 0, 1)
    decision = Decision.objects.open().get()
    assert (decision.part, decision.count) == ("update", 5)

    approvals.decide(decision, "accept", by=by, reason="A new way to write names")
    applied = the_run_of(decision)

    assert (applied.state, applied.balanced, applied.counts["updated"]) == ("succeeded", True, 5)
    assert_equal(sandbox)


def test_an_accepted_update_whose_record_has_changed_in_the_source_since_is_left(few, users_sync, sandbox, run_now, by):
    assert run_now(users_sync).state == "succeeded"
    sync = services.change_sync(users_sync, by=by, mode="full", most_updates=0)
    users = sandbox.records("oa", "user")[:3]
    for user in users:
        sandbox.oa.change("user", user["userId"], name=f"{user['name']} II")
    run_now(sync)
    decision = Decision.objects.open().get()
    sandbox.oa.change("user", users[0]["userId"], name="Changed Again")

    approvals.decide(decision, "accept", by=by, reason="They were married")
    run = the_run_of(decision)

    assert (run.state, run.balanced, run.counts["updated"], run.counts["moved"]) == ("with_rejects", True, 2, 1)
    assert [(row.key, row.state) for row in OpenRow.objects.open()] == [(users[0]["userId"], "moved")]


def test_what_an_earlier_version_of_the_mapping_would_write_is_compared_anew(few, users_sync, sandbox, run_now, by):
    run_now(users_sync)
    sync = services.change_sync(users_sync, by=by, most_updates=2)
    keys = [user["userId"] for user in sandbox.records("oa", "user")[:5]]
    for key in keys:
        sandbox.oa.change("user", key, name=f"Renamed {key}")
    assert run_now(sync).state == "awaiting_decision"
    mapping, fields = sync.mapping, [field for field in USERS_TO_USERS["fields"] if field["target"] != "full_name"]
    schemas = {"source_schema": mapping.source.schema, "target_schema": mapping.target.schema}
    MappingVersion.objects.create(mapping=mapping, number=2, definition={**USERS_TO_USERS, "fields": fields}, published_by="test", **schemas)
    sync = Sync.objects.get(pk=sync.pk)

    with pytest.raises(services.NotPossible, match="in full"):
        approvals.decide(Decision.objects.open().get(), "accept", by=by, reason="Seen")
    run_now(sync, full=True)

    assert not Decision.objects.open().exists()
    assert not any(user["full_name"].startswith("Renamed") for user in sandbox.records("crm", "users"))


@pytest.mark.parametrize("settings", [{"deletes": "ignore"}, {"deletes": "mark", "mark_field": "full_name", "mark_value": "(left)"}])
def test_deletes_that_the_sync_treats_otherwise_by_now_are_not_accepted(full, sandbox, run_now, by, settings):
    lose(sandbox, 0.6)
    run_now(full)
    before = users_of_crm(sandbox)
    services.change_sync(full, by=by, **settings)
    decision = Decision.objects.open().get()

    with pytest.raises(services.NotPossible) as refused:
        approvals.decide(decision, "accept", by=by, reason="Seen")

    assert "have changed since. Run it in full" in texts.render(refused.value.text)
    assert (users_of_crm(sandbox), Decision.objects.open().get()) == (before, decision)
    approvals.decide(decision, "refuse", by=by, reason="Not any more")
    assert not OpenRow.objects.open().exists()


def test_a_decision_writes_nothing_to_a_system_that_is_read_only(full, sandbox, run_now, by):
    lose(sandbox, 0.5)
    run_now(full)
    decision = Decision.objects.open().get()
    System.objects.filter(pk=full.target.system_id).update(read_only=True)

    with pytest.raises(services.NotPossible, match="read-only"):
        approvals.decide(decision, "accept", by=by, reason="Now")

    decision.refresh_from_db()
    assert decision.is_open


def test_a_first_load_asks_nobody(sandbox, users_sync, run_now, by):
    sandbox.oa.has(user=20)
    sandbox.crm.has(users=0)
    sync = services.change_sync(users_sync, by=by, most_creates=3)

    run = run_now(sync)

    assert (run.first_load, run.state, run.counts["created"]) == (True, "succeeded", 20)
    assert not run.settings["compare_first"], "and waits for nothing"


def test_a_dry_run_says_what_would_be_withheld_against_which_limit(full, sandbox, run_now, by):
    lose(sandbox, 0.6)
    sandbox.oa.add("user", name="New Person", email="new@example.com")
    sync = services.change_sync(full, by=by, most_creates=0, most_updates=0)

    run = run_now(sync, dry=True)

    assert [texts.render(beyond.sentence) for beyond in guards.beyond_of([run])[run.pk]] == [
        "Creates would wait for a decision: there are 1, and at most 0 go without asking.",
        "Deletes would wait for a decision: there are 48, 60 % of 80 linked records, and at most 20 % go without asking.",
    ]
    assert run_now(sync).counts["withheld"] == 49, "and so it is"


def test_a_dry_run_says_that_an_empty_source_would_delete_nothing(full, sandbox, run_now, by):
    lose(sandbox, 1.0)

    run = run_now(services.change_sync(full, by=by, most_deletes_percent=None), dry=True)

    assert [texts.render(beyond.sentence) for beyond in guards.beyond_of([run])[run.pk]] == [
        "Deletes would wait for a decision: there are 80, and OA says that it holds nothing, which is not believed."
    ]


def test_a_decision_needs_a_reason_and_somebody_who_may(full, sandbox, run_now, by, person):
    lose(sandbox, 0.5)
    run_now(full)
    decision = Decision.objects.open().get()

    with pytest.raises(ValidationError, match="Say why"):
        approvals.decide(decision, "accept", by=by, reason=" ")
    with pytest.raises(Forbidden):
        approvals.decide(decision, "accept", by=Actor.of(person("viewer")), reason="I like it")
    approver = Actor.of(person("approver"))
    with pytest.raises(Forbidden):
        approvals.decide(decision, "raise", by=approver, reason="I like it")

    approvals.decide(decision, "accept", by=approver, reason="Agreed with sales")
    with pytest.raises(approvals.NotOpen):
        approvals.decide(decision, "refuse", by=by, reason="Too late")


def test_while_another_run_of_the_pair_is_going_the_decision_stays_open(full, sandbox, run_now, by):
    lose(sandbox, 0.5)
    run_now(full)
    decision = Decision.objects.open().get()
    services.start_run(full, by=by)

    with pytest.raises(services.PairBusy):
        approvals.decide(decision, "accept", by=by, reason="Now")

    decision.refresh_from_db()
    assert decision.is_open


def test_what_an_accepted_run_could_not_write_is_asked_for_again(full, sandbox, run_now, by):
    lose(sandbox, 0.5)
    run_now(full)
    first = Decision.objects.open().get()
    approvals.decide(first, "accept", by=by, reason="Go on")
    run = Run.objects.latest("pk")
    services.cancel_run(run, by=by)

    assert finish(run).state == "cancelled"
    again = Decision.objects.open().get()
    assert (again.pk != first.pk, again.count) == (True, 40)


@pytest.mark.parametrize("point", SOME_POINTS)
def test_a_worker_killed_beside_withheld_changes_sends_none_of_them(few, users_sync, sandbox, run_now, by, point):
    assert run_now(users_sync).state == "succeeded"
    sync = services.change_sync(users_sync, by=by, mode="full", most_updates=3)
    users = sandbox.records("oa", "user")
    for user in users[:5]:
        sandbox.oa.change("user", user["userId"], name=f"{user['name']} II")
    for number in range(30):
        sandbox.oa.add("user", name=f"New Person {number}", email=f"new{number}@example.com")
    run = services.start_run(sync, by=by)
    partition = run.partitions.get()
    while run.state != "writing":
        carrying.carry_partition(partition.pk)
        run.refresh_from_db()

    assert carry_until_killed(partition, point, at=1)
    let_the_lease_run_out(partition)
    run = finish(run)

    assert (run.state, run.balanced, run.counts["withheld"], run.counts["updated"], run.counts["created"]) == ("awaiting_decision", True, 5, 0, 30)
    names = {user["employee_id"]: user["full_name"] for user in sandbox.records("crm", "users")}
    assert [names[user["userId"]] for user in users[:5]] == [user["name"] for user in users[:5]]


@pytest.fixture
def staff_sync(company, run_now, by):
    """Employees with their managers: one is there already, and six more go without asking."""
    sync = company.sync("employees", "staff", "boss_no", "manager_id", entity="employees")
    company.employees((1, None))
    assert run_now(sync).balanced
    return services.change_sync(sync, by=by, most_creates=6)


def test_what_goes_on_once_its_reference_is_written_counts_for_the_guard_too(company, staff_sync, run_now, by):
    company.employees((50, None), *((pk, 50) for pk in range(2, 12)))

    run = run_now(staff_sync)

    assert (run.state, run.balanced, run.counts["created"], run.counts["withheld"]) == ("awaiting_decision", True, 1, 10)
    assert company.bosses() == {"1": None, "50": None}
    decision = Decision.objects.open().get()
    assert (decision.part, decision.count) == ("create", 10)

    approvals.decide(decision, "accept", by=by, reason="The team has grown")
    applied = the_run_of(decision)

    assert (applied.state, applied.balanced, applied.counts["created"]) == ("succeeded", True, 10)
    assert company.bosses() == {"1": None, "50": None} | {str(pk): "50" for pk in range(2, 12)}


@pytest.mark.parametrize("at", [1, 2, 3])
@pytest.mark.parametrize("point", SOME_POINTS)
def test_a_worker_killed_between_what_goes_through_and_what_is_then_too_much_is_taken_over(company, staff_sync, by, point, at):
    company.employees((50, None), *((pk, 50) for pk in range(2, 7)), *((pk, 2) for pk in range(10, 30)))
    run = services.start_run(staff_sync, by=by)
    partition = run.partitions.get()
    while run.state != "writing":
        carrying.carry_partition(partition.pk)
        run.refresh_from_db()

    carry_until_killed(partition, point, at=at)
    let_the_lease_run_out(partition)
    run = finish(run)

    assert (run.state, run.balanced, run.counts["created"], run.counts["withheld"]) == ("awaiting_decision", True, 6, 20)
    assert company.bosses() == {"1": None, "50": None} | {str(pk): "50" for pk in range(2, 7)}
    assert Decision.objects.open().get().count == 20


def test_what_waited_for_another_sync_s_records_is_guarded_when_it_goes_on(company, accounts_sync, contacts_sync, run_now, by):
    company.contacts(c1=None)
    run_now(contacts_sync)
    sync = services.change_sync(contacts_sync, by=by, most_creates=3)
    company.contacts(**{f"c{number}": 42 for number in range(2, 12)})
    assert run_now(sync).counts["parked"] == 10
    company.accounts(42)
    run_now(accounts_sync)

    services.start_waiting_replays()  # by the sweep
    replay = finish(Run.objects.get(trigger="replay"))

    assert (replay.state, replay.balanced, replay.counts["created"], replay.counts["withheld"]) == ("awaiting_decision", True, 0, 10)
    approvals.decide(Decision.objects.open().get(), "accept", by=by, reason="These belong to the new branch")
    finish(Run.objects.latest("pk"))
    assert len(company.customers_of_people()) == 11


@pytest.fixture
def customers_sync(spoilt, run_now, by):
    """The demo's sync of the CRM's accounts to the ERP's customers, which has run and deletes what is deleted."""
    sync, __, ___ = spoilt("CRM accounts → ERP customers")
    assert run_now(sync).balanced
    return services.change_sync(sync, by=by, deletes="delete")


def customers_of_erp(sandbox):
    return {customer["EXT_REF"] for customer in sandbox.records("erp", "customers") if customer["EXT_REF"]}


def test_the_demo_s_crm_answers_with_nothing_and_the_erp_keeps_its_customers(customers_sync, sandbox, run_now, by):
    before = customers_of_erp(sandbox)
    sandbox.crm.fault("empty", method="GET", path="/v1/accounts?")

    run = run_now(customers_sync, full=True)

    linked = Link.objects.filter(ended_at=None).count()
    assert withheld(run) == ("awaiting_decision", True, linked, 0)
    assert customers_of_erp(sandbox) == before
    decision = Decision.objects.open().get()
    sandbox.clear_faults()
    approvals.decide(decision, "accept", by=by, reason="By mistake")
    applied = the_run_of(decision)
    assert (applied.balanced, applied.counts["deleted"], applied.counts["moved"]) == (True, 0, linked), "they were there all the time"
    assert customers_of_erp(sandbox) == before
    assert run_now(customers_sync, full=True).state in ("succeeded", "with_rejects")
    assert not OpenRow.objects.open().filter(state="moved").exists()


def test_the_demo_s_crm_loses_most_of_its_accounts_and_the_rest_goes_through(customers_sync, sandbox, run_now):
    before, accounts = customers_of_erp(sandbox), sandbox.records("crm", "accounts")
    for account in accounts[:36]:
        sandbox.crm.delete("accounts", account["id"])
    sandbox.crm.change("accounts", accounts[50]["id"], name="Renamed Ltd")
    added = sandbox.crm.add("accounts", name="Newcomer", tax_id="NEW-1", address={"country": "DE"})

    run = run_now(customers_sync, full=True)

    assert (run.state, run.balanced, run.counts["deleted"], run.counts["created"], run.counts["updated"]) == ("awaiting_decision", True, 0, 1, 1)
    assert run.counts["withheld"] == Decision.objects.open().get().count > 30
    assert customers_of_erp(sandbox) - before == {added["id"]}
    assert before <= customers_of_erp(sandbox)


def test_a_worker_that_dies_does_not_link_what_somebody_else_has_created_since(few, users_sync, sandbox, run_now, by):
    run_now(users_sync)
    sync = services.change_sync(users_sync, by=by, mode="full", compare_first=True)
    new = [sandbox.oa.add("user", name=f"New {n}", email=f"new{n}@example.com") for n in range(2)]
    run = services.start_run(sync, by=by)
    partition = run.partitions.get()
    carrying.carry_partition(partition.pk)
    sandbox.crm.add("users", employee_id=new[0]["userId"], full_name="Somebody Else's", email="else@example.com")

    assert carry_until_killed(partition, "after the answer", at=1)
    let_the_lease_run_out(partition)
    finish(run)

    assert (run.state, run.balanced, run.counts["moved"], run.counts["created"]) == ("with_rejects", True, 1, 1)
    after = run_now(sync)  # which meets the record by name and in the list
    assert (after.state, after.balanced, after.counts["duplicate"]) == ("succeeded", True, 1)
    assert_equal(sandbox)
