"""What a run writes, and when: nothing as a dry run, only after all is compared where it compares first, and what was left when it is replayed."""

from datetime import timedelta

import pytest
from django.utils import timezone

from integration_hub.core import texts
from integration_hub.syncs import carrying, changesets, services
from integration_hub.syncs.models import ChangeSet, Link, OpenRow, Run, Slot
from tests.syncs.conftest import finish
from tests.syncs.equal import assert_equal, reasons

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_dry_run_writes_nothing_and_leaves_its_plan(few, users_sync, by):
    going = services.start_run(users_sync, by=by)
    run = finish(services.start_run(users_sync, by=by, dry=True))  # beside a writing run: it takes no lock

    assert (run.state, run.balanced, run.counts["not_sent"]) == ("succeeded", True, 80)
    assert few.crm.applied() == {}
    assert not Link.objects.exists()
    planned = run.change_sets.get()
    assert (planned.state, planned.rows) == ("planned", 80)
    assert set(changesets.frame_of(planned)["operation"]) <= {"create", "update", "adopt"}
    assert finish(going).state == "succeeded"
    assert_equal(few)


def compared(sync, by):
    """A run that compares first, at the moment when all is compared and nothing written."""
    sync = services.change_sync(sync, by=by, compare_first=True)
    run = services.start_run(sync, by=by)
    carrying.carry_partition(run.partitions.get().pk)
    run.refresh_from_db()
    return run


def test_a_run_that_compares_first_writes_only_then(few, users_sync, by):
    run = compared(users_sync, by)

    assert (run.state, few.crm.applied()) == ("writing", {})
    assert finish(run).state == "succeeded"
    assert run.balanced
    assert_equal(few)


@pytest.mark.parametrize("minutes", [0, 2], ids=["at once", "two minutes later"])
def test_what_moved_in_the_target_since_it_was_compared_is_left_to_the_next_run(few, users_sync, run_now, by, minutes):
    run_now(users_sync)
    one, other = few.oa.records("user")[5:7]
    there = {u["employee_id"]: u for u in few.crm.records("users")}
    few.oa.change("user", one["userId"], name="From the OA")
    few.oa.change("user", other["userId"], name="From the OA")
    new = few.oa.add("user", name="Nobody", email="nobody@hailan.example")
    run = compared(users_sync, by)
    few.crm.change("users", there[one["userId"]]["id"], full_name="By somebody else")
    few.crm.add("users", employee_id=new["userId"], full_name="Made meanwhile", email="made@hailan.example")
    ChangeSet.objects.filter(run=run).update(planned_at=timezone.now() - timedelta(minutes=minutes))

    finish(run)

    assert run.balanced
    assert run.counts["moved"] == (2 if minutes else 1)  # a create is always looked up again
    if minutes:
        assert next(u for u in few.crm.records("users") if u["employee_id"] == one["userId"])["full_name"] == "By somebody else"
    assert "has got Users with the same match key after it was compared" in reasons(OpenRow.objects.open())[new["userId"]]
    after = run_now(users_sync)
    assert (after.state, after.balanced) == ("succeeded", True)
    assert not OpenRow.objects.open().exists()
    assert_equal(few)


def test_a_refused_record_is_not_sent_again_until_source_mapping_or_a_person_changes_something(few, users_sync, run_now, by):
    user = few.oa.records("user")[30]
    few.crm.refuses("users", field="employee_id", value=user["userId"], because="VAT number")
    tried = lambda: OpenRow.objects.get().tries  # noqa: E731
    run = run_now(users_sync)
    assert reasons(OpenRow.objects.open()) == {user["userId"]: "CRM refused it with status 422: VAT number"}

    again = run_now(users_sync, full=True)
    assert (tried(), again.counts["refused"], again.balanced) == (1, 1, True)
    few.oa.change("user", user["userId"], mobile="+86 10 5555")  # nothing that the mapping takes
    run_now(users_sync)
    assert tried() == 1
    few.oa.change("user", user["userId"], name="Another Name")
    run_now(users_sync)
    assert tried() == 2
    version = run.mapping_version
    type(version).objects.create(
        mapping=version.mapping, number=2, definition=version.definition, source_schema=version.source_schema,
        target_schema=version.target_schema, published_by="test",
    )  # fmt: skip
    run_now(users_sync, full=True)
    assert tried() == 3
    few.clear_faults()
    assert services.replay_rejects(OpenRow.objects.all(), by=by) == 1
    replay = finish(Run.objects.latest("pk"))
    assert (replay.trigger, replay.state, replay.counts["read"], replay.counts["created"]) == ("replay", "succeeded", 1, 1)
    assert (OpenRow.objects.get().closed_as, OpenRow.objects.get().closed_by) == ("replayed", "")
    assert_equal(few)


def test_one_some_and_a_group_of_rejects_can_be_replayed_and_dismissed(few, users_sync, run_now, by):
    users = few.oa.records("user")
    for user in users[:4]:
        few.oa.change("user", user["userId"], email=None)
    for user in users[4:6]:
        few.oa.change("user", user["userId"], email="nobody")
    run_now(users_sync)
    causes = {row.cause for row in OpenRow.objects.open()}
    assert len(causes) == 2

    for user in users[:6]:
        few.oa.change("user", user["userId"], email=user["email"])
    services.replay_rejects(OpenRow.objects.filter(key=users[0]["userId"]), by=by)
    finish(Run.objects.latest("pk"))
    assert OpenRow.objects.open().count() == 5
    group = OpenRow.objects.open().get(key=users[1]["userId"]).cause
    assert services.replay_rejects(OpenRow.objects.filter(cause=group), by=by) == 3
    finish(Run.objects.latest("pk"))
    assert set(OpenRow.objects.open().values_list("key", flat=True)) == {users[4]["userId"], users[5]["userId"]}
    assert services.dismiss_rejects(OpenRow.objects.open().filter(key=users[4]["userId"]), by=by, note="left the company") == 1
    run_now(users_sync)
    assert dict(OpenRow.objects.values_list("key", "closed_as")) == {
        **{user["userId"]: "replayed" for user in users[:4]}, users[4]["userId"]: "dismissed", users[5]["userId"]: "later_pass",
    }  # fmt: skip
    assert_equal(few)


def test_a_replay_while_a_run_is_going_is_taken_up_without_another_run(few, users_sync, run_now, by):
    user = few.oa.records("user")[0]
    few.oa.change("user", user["userId"], email="")
    run_now(users_sync)
    going = services.start_run(users_sync, by=by)
    few.oa.change("user", user["userId"], email=user["email"])

    services.replay_rejects(OpenRow.objects.all(), by=by)

    assert Run.objects.latest("pk") == going
    assert finish(going).state == "succeeded"
    assert OpenRow.objects.get().closed_as == "replayed"
    assert_equal(few)


def test_a_slot_is_given_once_and_kept_when_its_field_goes(few, users_sync, run_now):
    run_now(users_sync)
    before = dict(Slot.objects.values_list("field", "number"))
    version = users_sync.mapping.latest
    fields = [{"target": "phone", "source": "mobile"}, *(f for f in version.definition["fields"] if f["target"] != "full_name")]
    fields.append({"target": "full_name", "source": "name", "required": True})
    type(version).objects.create(
        mapping=version.mapping, number=2, definition={**version.definition, "fields": fields}, source_schema=version.source_schema,
        target_schema=version.target_schema, published_by="test",
    )  # fmt: skip

    run = run_now(users_sync, full=True)

    assert dict(Slot.objects.values_list("field", "number")) == {**before, "phone": max(before.values()) + 1}
    assert run.counts["updated"] + run.counts["unchanged"] == 80
    written = few.crm.applied()
    assert run_now(users_sync, full=True).counts["unchanged"] == 80
    assert few.crm.applied() == written


def test_the_log_and_the_sentences_are_templates_with_values(few, users_sync, run_now):
    few.oa.fault("error", path="/api/user/list", times=3)

    run = run_now(users_sync)

    lines = [texts.render(line.text) for line in run.log.all()]
    assert lines[0] == "OA failed at GET /oa/api/user/list with status 500: HTTP 500. Tried again in 2.0 s."
    assert all(set(line.text) == {"template", "values"} for line in run.log.all())
