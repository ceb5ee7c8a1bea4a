"""What somebody has refused of withheld changes stays as it is, until something else is to be written of the record."""

import pytest

from integration_hub.approvals import services as approvals
from integration_hub.approvals.models import Decision
from integration_hub.core import texts
from integration_hub.mappings.models import MappingVersion
from integration_hub.syncs import carrying, guards, plans, services
from integration_hub.syncs.models import OpenRow, Sync
from tests.syncs.conftest import USERS_TO_USERS, finish
from tests.syncs.equal import users_of_crm
from tests.syncs.killing import carry_until_killed, let_the_lease_run_out
from tests.syncs.test_guards import lose, withheld

pytestmark = pytest.mark.django_db(transaction=True)


def refuse(by):
    decision = Decision.objects.open().get()
    approvals.decide(decision, "refuse", by=by, reason="Not these")
    return decision


def users_of(sandbox, keys):
    return {user["userId"]: user for user in sandbox.records("oa", "user") if user["userId"] in keys}


def publish(sync, number, *steps):
    """A version of the mapping with these steps at the name; the sync with it."""
    mapping, fields = sync.mapping, [dict(field) for field in USERS_TO_USERS["fields"]]
    fields[1]["steps"] = [{"transform": name} for name in steps]
    schemas = {"source_schema": mapping.source.schema, "target_schema": mapping.target.schema}
    MappingVersion.objects.create(mapping=mapping, number=number, definition={**USERS_TO_USERS, "fields": fields}, published_by="test", **schemas)
    return Sync.objects.get(pk=sync.pk)


@pytest.mark.parametrize("limit", [90, None])
def test_refused_deletes_are_not_done_by_a_run_that_may_do_as_many(full, sandbox, run_now, by, limit):
    before = users_of_crm(sandbox)
    lose(sandbox, 0.6)
    run_now(full)
    refuse(by)

    run = run_now(services.change_sync(full, by=by, most_deletes_percent=limit))

    assert withheld(run) == ("succeeded", True, 48, 0)
    assert users_of_crm(sandbox) == before


def test_what_is_left_of_refused_deletes_once_most_of_the_records_are_back_is_not_done_either(full, sandbox, run_now, by):
    before, keys = users_of_crm(sandbox), [user["userId"] for user in sandbox.records("oa", "user")][:48]
    lost = users_of(sandbox, keys)
    lose(sandbox, 0.6)
    run_now(full)
    refuse(by)
    for key in keys[:46]:
        sandbox.oa.add("user", bare=True, **lost[key])
    sandbox.oa.delete("user", "U000079")

    run = run_now(full)

    assert withheld(run) == ("succeeded", True, 2, 1), "the two that are gone still; a third is gone since, of which nobody has said anything"
    assert before - users_of_crm(sandbox) == {"U000079"}


def test_a_record_that_was_there_again_is_asked_for_when_it_is_gone_once_more(full, sandbox, run_now, by):
    keys = [user["userId"] for user in sandbox.records("oa", "user")][:48]
    lost = users_of(sandbox, keys)
    lose(sandbox, 0.6)
    run_now(full)
    refuse(by)
    for user in lost.values():
        sandbox.oa.add("user", bare=True, **user)
    assert withheld(run_now(full)) == ("succeeded", True, 0, 0)
    lose(sandbox, 0.6)

    run = run_now(full)

    assert withheld(run) == ("awaiting_decision", True, 48, 0)
    assert Decision.objects.open().get().count == 48


def test_the_keys_alone_tell_that_a_record_is_there_again(full, sandbox, run_now, by):
    keys = [user["userId"] for user in sandbox.records("oa", "user")][:48]
    lost = users_of(sandbox, keys)
    sync = services.change_sync(full, by=by, mode="incremental")
    lose(sandbox, 0.6)
    assert withheld(run_now(sync, keys_only=True)) == ("awaiting_decision", True, 48, 0)
    refuse(by)
    assert withheld(run_now(sync, keys_only=True)) == ("succeeded", True, 48, 0)
    for user in lost.values():
        sandbox.oa.add("user", bare=True, **user)
    assert withheld(run_now(sync, keys_only=True)) == ("succeeded", True, 0, 0)
    lose(sandbox, 0.6)

    assert withheld(run_now(sync, keys_only=True)) == ("awaiting_decision", True, 48, 0)


def test_refused_updates_are_asked_for_again_when_the_mapping_makes_others_of_them(full, sandbox, run_now, by):
    sync = services.change_sync(full, by=by, most_updates=10)
    names = {user["full_name"] for user in sandbox.records("crm", "users")}
    wrong = publish(sync, 2, "lower")
    many = run_now(wrong).counts["withheld"]
    refuse(by)
    assert withheld(run_now(wrong)) == ("succeeded", True, many, 0), "the same is not asked for again"
    wide = services.change_sync(wrong, by=by, most_updates=None)
    assert withheld(run_now(wide)) == ("succeeded", True, many, 0), "nor done"
    assert {user["full_name"] for user in sandbox.records("crm", "users")} == names

    run = run_now(publish(services.change_sync(wide, by=by, most_updates=10), 3, "upper"))

    assert (run.state, run.counts["updated"]) == ("awaiting_decision", 0)
    assert Decision.objects.open().get().count == run.counts["withheld"] > 10


def test_refused_creates_stay_away_until_the_record_changes(few, users_sync, sandbox, run_now, by):
    sync = services.change_sync(users_sync, by=by, mode="full")
    run_now(sync)
    before = users_of_crm(sandbox)
    new = [sandbox.oa.add("user", name=f"New Person {number}", email=f"new{number}@example.com")["userId"] for number in range(4)]
    limited = services.change_sync(sync, by=by, most_creates=3)
    run_now(limited)
    refuse(by)
    sync = services.change_sync(limited, by=by, most_creates=None)
    sandbox.oa.change("user", new[0], name="Wanted After All")

    run = run_now(sync)

    assert (run.state, run.counts["created"], run.counts["withheld"], run.balanced) == ("succeeded", 1, 3, True)
    assert users_of_crm(sandbox) - before == {new[0]}


def test_a_plan_that_is_approved_later_writes_what_was_refused(full, sandbox, run_now, by):
    gone = lose(sandbox, 0.6)
    before = users_of_crm(sandbox)
    run_now(full)
    refuse(by)

    plan = run_now(full, dry=True)
    run = finish(plans.apply_plan(plans.approve_plan(plan, by=by, reason="They are gone for good"), by=by))

    assert (run.state, run.counts["deleted"], run.balanced) == ("succeeded", 48, True)
    assert before - users_of_crm(sandbox) == gone


def test_what_was_on_its_way_when_somebody_refused_it_is_found_out(full, sandbox, run_now, by):
    """A run that the guard lets through deletes, its worker dies, and then somebody refuses what an earlier run had withheld."""
    gone = lose(sandbox, 0.6)
    before = users_of_crm(sandbox)
    run_now(full)
    decision = Decision.objects.open().get()
    sync = services.change_sync(full, by=by, most_deletes_percent=None)
    run = services.start_run(sync, by=by)
    partition = run.partitions.get()
    while run.state != "closing":
        carrying.carry_partition(partition.pk)
        run.refresh_from_db()
    assert carry_until_killed(partition, "after the answer", at=1)
    approvals.decide(decision, "refuse", by=by, reason="Too late")
    let_the_lease_run_out(partition)

    run = finish(run)

    assert (run.state, run.balanced) == ("succeeded", True)
    assert run.counts["deleted"] == len(before - users_of_crm(sandbox)) > 0, "each that was sent is told as what it is"
    assert before - users_of_crm(sandbox) <= gone
    assert not OpenRow.objects.open().exists()


def test_who_refused_to_delete_is_asked_again_where_records_are_to_be_marked_instead(full, sandbox, run_now, by):
    lose(sandbox, 0.6)
    run_now(full)
    refuse(by)

    run = run_now(services.change_sync(full, by=by, deletes="mark", mark_field="full_name", mark_value="gone"))

    assert withheld(run) == ("awaiting_decision", True, 48, 0)
    assert "Mark 48 records in CRM as deleted?" in str(Decision.objects.open().get())


def test_the_page_of_a_run_says_how_many_it_has_left_out(full, sandbox, run_now, by, client, person):
    lose(sandbox, 0.6)
    run_now(full)
    refuse(by)

    run = run_now(full)

    client.force_login(person("viewer"))
    assert "48 changes were left out, for somebody has refused them." in client.get(run.get_absolute_url()).content.decode()


def test_what_was_refused_does_not_count_for_the_guard(full, sandbox, run_now, by):
    """Else each delete after many that were refused would be asked for, until their records are back."""
    lose(sandbox, 0.6)
    run_now(full)
    refuse(by)
    before = users_of_crm(sandbox)
    gone = sandbox.records("oa", "user")[-1]["userId"]
    sandbox.oa.delete("user", gone)

    assert guards.beyond_of([run_now(full, dry=True)]) == {}, "and a dry run says so"
    run = run_now(full)

    assert withheld(run) == ("succeeded", True, 48, 1)
    assert before - users_of_crm(sandbox) == {gone}
    assert not Decision.objects.open().exists()


def test_a_guard_asks_for_the_changes_that_nobody_has_refused_yet(full, sandbox, run_now, by):
    lose(sandbox, 0.6)
    run_now(full)
    refuse(by)
    lose(sandbox, 0.6)

    plan = run_now(full, dry=True)
    (beyond,) = guards.beyond_of([plan])[plan.pk]
    run = run_now(full)

    assert plan.counts["not_sent"] == 67, "the plan has them all: who approves it says so later"
    assert texts.render(beyond.sentence).startswith("Deletes would wait for a decision: there are 19, ")
    assert withheld(run) == ("awaiting_decision", True, 67, 0)
    assert Decision.objects.open().get().count == 19
