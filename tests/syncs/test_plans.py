"""Plans: what a dry run would write, approved and then written by a run of its own, and nothing else."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from integration_hub.accounts.actor import Actor, Forbidden
from integration_hub.core import texts
from integration_hub.syncs import changesets, plans, restored, services
from integration_hub.syncs.journal import changes_of
from integration_hub.syncs.models import Link, OpenRow, Run, SyncCursor
from integration_hub.syncs.services import NotPossible
from tests.syncs.conftest import finish
from tests.syncs.equal import assert_equal, mapped, told
from tests.syncs.killing import SOME_POINTS, carry_until_killed, let_the_lease_run_out
from tests.syncs.linked import accounts_sync, company

__all__ = ["accounts_sync", "company"]
pytestmark = pytest.mark.django_db(transaction=True)
WHY = "Checked with sales"


@pytest.fixture
def apply(by):
    """Approve a plan and carry the run that applies it."""

    def apply_(plan, **chosen):
        approval = plans.approve_plan(plan, by=by, reason=WHY, **chosen)
        return finish(plans.apply_plan(approval, by=by))

    return apply_


def test_an_approved_plan_is_written_whole_and_moves_no_cursor(few, users_sync, run_now, apply):
    plan = run_now(users_sync, dry=True)

    run = apply(plan)

    assert run.state == "succeeded"
    assert run.balanced
    assert run.counts["created"] + run.counts["updated"] + run.counts["unchanged"] == plan.counts["not_sent"]
    assert not SyncCursor.objects.exists()
    assert_equal(few)


@pytest.mark.parametrize(
    ("chosen", "created", "updated"),
    [
        ({"operations": ["create"]}, 75, 0),
        ({"operations": ["update"]}, 0, 1),
        ({"rule": "operation = 'create' and after.email like '%1%'"}, None, 0),
    ],
)
def test_only_what_was_approved_is_written(few, users_sync, run_now, apply, chosen, created, updated):
    before = few.records("crm", "users")
    known = {user["email"].lower() for user in before}
    emails = [email for __, email in mapped(few.records("oa", "user")).values() if email not in known]
    created = sum("1" in email for email in emails) if created is None else created
    plan = run_now(users_sync, dry=True)

    run = apply(plan, **chosen)

    assert (run.counts["created"], run.counts["updated"], run.counts["unchanged"]) == (created, updated, 0)
    assert run.balanced
    assert len(few.records("crm", "users")) == len(before) + created


def test_a_rule_has_exceptions(few, users_sync, run_now, apply):
    first, second, *rest = (user["userId"] for user in few.records("oa", "user")[-10:])
    plan = run_now(users_sync, dry=True)

    apply(plan, operations=["create"], except_keys=[first, second])

    there = {user["employee_id"] for user in few.records("crm", "users")}
    assert there.isdisjoint({first, second})
    assert set(rest) <= there


def test_what_has_moved_on_either_side_is_left_and_named(few, users_sync, run_now, apply):
    run_now(users_sync)
    ours, theirs, linked, free = (user["userId"] for user in few.records("oa", "user")[10:14])
    for user in (ours, theirs, linked, free):
        few.oa.change("user", user, name=f"Renamed {user}")
    plan = run_now(users_sync, dry=True, full=True)
    crm_id = {user["employee_id"]: user["id"] for user in few.records("crm", "users")}
    few.oa.change("user", ours, name="Renamed again")
    few.crm.change("users", crm_id[theirs], full_name="Their own name")
    few.oa.change("user", linked, name=f"Renamed {linked}")  # touched, but the same
    run_now(users_sync, keys=[linked])

    run = apply(plan)

    assert run.state == "with_rejects"
    assert run.balanced
    assert (run.counts["updated"], run.counts["moved"]) == (1, 3)
    assert {row.key: row.state for row in OpenRow.objects.open().filter(run=run)} == dict.fromkeys((ours, theirs, linked), "moved")
    names = {user["employee_id"]: user["full_name"] for user in few.records("crm", "users")}
    assert names[theirs] == "Their own name"
    assert names[ours] != "Renamed again"
    assert names[free] == f"Renamed {free}"


def test_what_a_plan_would_only_link_is_left_and_named_where_the_target_has_moved(few, users_sync, run_now, apply):
    plan = run_now(users_sync, dry=True)
    changed, gone, *others = changes_of(plan, operation="adopt").changes
    few.crm.change("users", changed.target_key, full_name="Their own name")
    few.crm.delete("users", gone.target_key)

    run = apply(plan)

    assert (run.state, run.balanced, run.counts["moved"]) == ("with_rejects", True, 2)
    assert {row.key: row.state for row in OpenRow.objects.open()} == dict.fromkeys((changed.source_key, gone.source_key), "moved")
    linked = Link.objects.filter(ended_at=None).values_list("a_key", flat=True)
    assert {change.source_key for change in others} <= set(linked)
    assert not {changed.source_key, gone.source_key} & set(linked)

    run_now(users_sync)

    assert_equal(few)


def test_a_link_that_a_plan_would_only_end_stays_where_somebody_has_taken_the_mark_off(few, users_sync, run_now, apply, by):
    sync = services.change_sync(users_sync, by=by, mode="full", deletes="mark", mark_field="full_name", mark_value="(left)")
    run_now(sync)
    link = Link.objects.filter(ended_at=None).first()
    few.oa.delete("user", link.a_key)
    few.crm.change("users", link.b_key, full_name="(left)")
    plan = run_now(sync, dry=True)
    assert [change.operation for change in changes_of(plan).changes] == ["unlink"]
    few.crm.change("users", link.b_key, full_name="Their own name")

    run = apply(plan)

    assert (run.state, run.balanced, run.counts["moved"]) == ("with_rejects", True, 1)
    link.refresh_from_db()
    assert link.ended_at is None


def refusal_of(act, *args, **options):
    with pytest.raises(NotPossible) as refused:
        act(*args, **options)
    return texts.render(refused.value.text)


def test_a_plan_is_good_for_a_day(few, users_sync, run_now, by):
    plan = run_now(users_sync, dry=True)
    approval = plans.approve_plan(plan, by=by, reason=WHY)
    Run.objects.filter(pk=plan.pk).update(ended_at=timezone.now() - timedelta(hours=25))
    approval.refresh_from_db()

    assert "older than 24 hours" in refusal_of(plans.apply_plan, approval, by=by)


def test_a_plan_goes_with_the_settings_and_the_mapping_it_was_made_with(few, users_sync, run_now, by):
    plan = run_now(users_sync, dry=True)
    approval = plans.approve_plan(plan, by=by, reason=WHY)
    services.change_sync(users_sync, by=by, filter="userId <> ''")
    approval.refresh_from_db()

    assert "settings of" in refusal_of(plans.apply_plan, approval, by=by)


def test_the_plan_of_a_first_load_is_good_although_its_sync_has_limits(company, accounts_sync, run_now, apply, by):
    company.run("ERP", "DELETE FROM customers")
    company.accounts(*range(1, 21))
    sync = services.change_sync(accounts_sync, by=by, most_creates=5)
    plan = run_now(sync, dry=True)
    assert plan.first_load

    run = apply(plan)

    assert (run.state, run.balanced, run.counts["created"]) == ("succeeded", True, 20)


def test_what_is_applied_is_what_was_approved(few, users_sync, run_now, by):
    plan, before = run_now(users_sync, dry=True), few.records("crm", "users")
    approval = plans.approve_plan(plan, by=by, reason=WHY)
    change_set = plan.change_sets.last()
    change_set.content = bytes(change_set.content)[:-1] + b"!"
    change_set.save()

    run = finish(plans.apply_plan(approval, by=by))

    assert (run.state, few.records("crm", "users")) == ("failed", before), "not even what comes before it was written"
    assert told(run) == f"The changes of run {plan.pk} are not what was approved: some were altered in the hub since. Make a new plan."
    change_set.digest = changesets.digest_of(change_set.content)
    change_set.save()
    assert "not what was approved" in refusal_of(plans.apply_plan, approval, by=by)


def test_nobody_waits_for_a_rule_to_be_counted_to_the_end(few, users_sync, run_now, by, monkeypatch):
    plan = run_now(users_sync, dry=True)
    monkeypatch.setattr(plans, "COUNT_SECONDS", 0)

    approval = plans.approve_plan(plan, by=by, reason=WHY, rule="operation = 'create'")
    assert (approval.approved_count, approval.is_counted) == (0, False)
    assert plans.approve_plan(plan, by=by, reason=WHY, operations=["create"]).approved_count == 75, "without a rule nothing has to be read"
    approval = plans.approve_plan(plan, by=by, reason=WHY, rule="operation = 'create'")

    run = finish(plans.apply_plan(approval, by=by))

    assert (run.expected_count, run.counts["created"], run.balanced) == (None, 75, True)


def test_a_plan_is_applied_once(few, users_sync, run_now, apply, by):
    plan = run_now(users_sync, dry=True)
    run = apply(plan)

    assert f"by run {run.pk}" in refusal_of(plans.apply_plan, plan.approval, by=by)
    assert f"by run {run.pk}" in refusal_of(plans.approve_plan, plan, by=by, reason=WHY)


def test_a_run_that_wrote_is_no_plan(few, users_sync, run_now, by):
    assert "is no plan" in refusal_of(plans.approve_plan, run_now(users_sync), by=by, reason=WHY)


def test_approving_wants_a_reason_and_something_that_fits(few, users_sync, run_now, by):
    plan = run_now(users_sync, dry=True)

    for chosen, field in (
        ({"reason": " "}, "reason"),
        ({"reason": WHY, "rule": "after.nothing = 1"}, "rule"),
        ({"reason": WHY, "rule": "after.full_name"}, "rule"),
        ({"reason": WHY, "rule": "after.full_name = 'Nobody'"}, "rule"),
        ({"reason": WHY, "operations": ["remove"]}, "operations"),
    ):
        with pytest.raises(ValidationError) as refused:
            plans.approve_plan(plan, by=by, **chosen)
        assert list(refused.value.message_dict) == [field]


def test_who_runs_does_not_approve(few, users_sync, run_now, person):
    plan, approver = run_now(users_sync, dry=True), Actor.of(person("approver"))

    with pytest.raises(Forbidden):
        plans.approve_plan(plan, by=Actor.of(person("operator")), reason=WHY)
    approval = plans.approve_plan(plan, by=approver, reason=WHY)

    assert approval.actor_name == approver.name


def test_the_fields_most_changed_come_first(few, users_sync, run_now):
    run_now(users_sync)
    for user in few.records("oa", "user")[:3]:
        few.oa.change("user", user["userId"], name=f"{user['name']} II")
    few.oa.change("user", few.records("oa", "user")[0]["userId"], email="new@example.com")

    fields = plans.fields_of(run_now(users_sync, dry=True, full=True))

    assert [(field.name, field.updates) for field in fields][:2] == [("full_name", 3), ("email", 1)]


@pytest.mark.parametrize("point", SOME_POINTS)
def test_a_worker_killed_while_it_applies_is_taken_over(few, users_sync, run_now, by, point):
    plan = run_now(users_sync, dry=True)
    run = plans.apply_plan(plans.approve_plan(plan, by=by, reason=WHY), by=by)
    partition = run.partitions.get()

    assert carry_until_killed(partition, point, at=1)
    let_the_lease_run_out(partition)
    run = finish(run)

    assert run.balanced
    assert run.counts["moved"] == 0
    assert_equal(few)


def test_what_a_cancelled_run_has_written_of_a_plan_is_not_written_again(few, users_sync, run_now, by):
    plan = run_now(users_sync, dry=True)
    approval = plans.approve_plan(plan, by=by, reason=WHY)
    run = plans.apply_plan(approval, by=by)
    assert carry_until_killed(run.partitions.get(), "after commit", at=1)
    let_the_lease_run_out(run.partitions.get())
    services.cancel_run(run, by=by)
    run = finish(run)

    again = finish(plans.apply_plan(approval, by=by))

    assert (run.state, again.state, again.balanced) == ("cancelled", "succeeded", True)
    done = sum(each.counts[name] for each in (run, again) for name in ("created", "updated", "unchanged"))
    assert (done, again.counts["moved"]) == (80, 0)
    assert_equal(few)


@pytest.mark.parametrize("point", ["before send", "after the answer"])
def test_what_a_cancelled_run_had_on_its_way_is_written_where_it_did_not_arrive(few, users_sync, run_now, by, point):
    plan = run_now(users_sync, dry=True)
    approval = plans.approve_plan(plan, by=by, reason=WHY)
    run = plans.apply_plan(approval, by=by)
    assert carry_until_killed(run.partitions.get(), point, at=1)
    let_the_lease_run_out(run.partitions.get())
    services.cancel_run(run, by=by)
    finish(run)

    again = finish(plans.apply_plan(approval, by=by))

    assert (again.state, again.balanced) == ("succeeded", True)
    assert_equal(few)
    assert few.crm.applied()["users.create"] == len(few.crm.records("users")) - 5


def test_of_two_who_apply_at_once_one_is_refused(few, users_sync, run_now, by):
    plan = run_now(users_sync, dry=True)
    approval = plans.approve_plan(plan, by=by, reason=WHY)
    plans.apply_plan(approval, by=by)

    with pytest.raises(services.PairBusy):
        plans.apply_plan(approval, by=by)


def test_what_was_approved_otherwise_meanwhile_is_not_applied(few, users_sync, run_now, by):
    plan = run_now(users_sync, dry=True)
    seen = plans.approve_plan(plan, by=by, reason=WHY)
    plans.approve_plan(plan, by=by, reason=WHY, operations=["create"])

    assert "approved this plan otherwise" in refusal_of(plans.apply_plan, seen, by=by)


def test_a_source_that_cannot_be_asked_for_records_is_told_in_the_log(few, users_sync, run_now, apply):
    plan = run_now(users_sync, dry=True)
    source = users_sync.source
    source.schema["capabilities"]["lookup_by_key"] = False
    source.save()

    run = apply(plan)

    assert (run.state, run.counts["created"]) == ("succeeded", 75)
    assert any("cannot be asked for single records" in texts.render(text) for text in run.log.values_list("text", flat=True))


def test_a_plan_from_before_a_backup_was_put_back_is_not_applied(few, users_sync, run_now, by):
    plan = run_now(users_sync, dry=True)
    approval = plans.approve_plan(plan, by=by, reason=WHY)
    restored.take_up()
    approval = plans.approved(Run.objects.get(pk=plan.pk))

    assert "backup was put back" in refusal_of(plans.apply_plan, approval, by=by)


def test_a_mistyped_exception_approves_nothing_and_is_named(few, users_sync, run_now, by):
    """Else the record that was to be left out would be written."""
    plan, key = run_now(users_sync, dry=True), few.records("oa", "user")[-1]["userId"]

    for keys, words in (
        ([key, "U9", "u000001"], "no change of records with the keys U9, u000001."),
        (["U9"], "no change of a record with the key U9."),
        ([f"U9{n:02d}" for n in range(12)], "U909 …"),
    ):
        with pytest.raises(ValidationError) as refused:
            plans.approve_plan(plan, by=by, reason=WHY, except_keys=keys)
        assert words in refused.value.message_dict["except_keys"][0]
    assert plans.approval_of(plan) is None
    plan.change_sets.update(key_hashes=None)
    with pytest.raises(ValidationError):
        plans.approve_plan(plan, by=by, reason=WHY, except_keys=["U9"])

    assert plans.approve_plan(plan, by=by, reason=WHY, except_keys=[key]).approved_count == 79
