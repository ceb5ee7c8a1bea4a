"""Undo: what runs have written is set back, as far as nobody has changed it since; and it says what cannot be."""

from datetime import timedelta

import pytest
from django.utils import timezone

from integration_hub.accounts.actor import Actor, Forbidden
from integration_hub.core import texts
from integration_hub.mappings.models import MappingVersion
from integration_hub.syncs import plans, services, undo
from integration_hub.syncs.journal import changes_of
from integration_hub.syncs.models import Link, Run
from integration_hub.syncs.services import NotPossible, PairBusy, start_run
from tests.syncs.conftest import USERS_TO_USERS, finish
from tests.syncs.killing import carry_until_killed, let_the_lease_run_out

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def apply(by):
    def apply_(plan):
        return finish(plans.apply_plan(plans.approve_plan(plan, by=by, reason="Wrong mapping"), by=by))

    return apply_


def crm_users(sandbox):
    return {user["employee_id"]: (user["full_name"], user["email"]) for user in sandbox.records("crm", "users")}


def renamed(few, run_now, sync, count=3):
    """A run that has renamed this many, with their keys."""
    run_now(sync)
    keys = [user["userId"] for user in few.records("oa", "user")[10 : 10 + count]]
    for key in keys:
        few.oa.change("user", key, name=f"Renamed {key}")
    return keys


def test_a_run_is_undone_and_everything_is_as_it_was(few, users_sync, run_now, by, apply):
    renamed(few, run_now, users_sync)
    before = crm_users(few)
    run = run_now(users_sync, full=True)
    assert crm_users(few) != before

    plan = finish(undo.plan_undo(run, by=by))
    assert (plan.state, plan.balanced, plan.counts["not_sent"]) == ("succeeded", True, 3)
    done = apply(plan)

    assert (done.state, done.balanced, done.counts["updated"]) == ("succeeded", True, 3)
    assert crm_users(few) == before
    users_sync.refresh_from_db()
    assert users_sync.paused_at is not None


def test_what_was_created_is_deleted(few, users_sync, run_now, by, apply):
    before = crm_users(few)
    run = run_now(users_sync)

    done = apply(finish(undo.plan_undo(run, by=by)))

    assert done.balanced
    assert (done.counts["deleted"], done.counts["updated"]) == (75, 1)
    assert crm_users(few) == before
    assert Link.objects.filter(ended_at=None).count() == 5


def test_what_a_version_wrote_that_no_longer_fits_is_not_undone_and_no_new_version_is_asked_for(few, users_sync, run_now, by):
    run = run_now(users_sync)
    target = users_sync.target
    target.schema["fields"] = [field for field in target.schema["fields"] if field["name"] != "employee_id"]
    target.save()

    plan = finish(undo.plan_undo(run, by=by))

    assert plan.state == "failed"
    assert texts.render(plan.error) == (
        "The version of the mapping that wrote this no longer fits, so the hub cannot undo it: employee_id: The target has no field employee_id. "
        "Correct the records in CRM."
    )


def test_some_of_its_records_are_undone(few, users_sync, run_now, by, apply):
    one, *others = renamed(few, run_now, users_sync)
    run = run_now(users_sync, full=True)

    apply(finish(undo.plan_undo(run, by=by, keys=[one])))

    names = {key: crm_users(few)[key][0] for key in (one, *others)}
    assert names[one] != f"Renamed {one}"
    assert all(names[key] == f"Renamed {key}" for key in others)


def test_a_key_that_the_run_has_not_written_is_named(few, users_sync, run_now, by):
    one, *__ = renamed(few, run_now, users_sync)

    plan = finish(undo.plan_undo(run_now(users_sync, full=True), by=by, keys=[one, "U9", "U8"]))

    assert plan.counts["not_sent"] == 1
    assert "2 of the named records are not among those that were written: U8, U9" in [texts.render(line.text) for line in plan.log.all()]


def test_what_has_changed_since_is_kept_and_named(few, users_sync, run_now, by, apply):
    changed, *__ = renamed(few, run_now, users_sync)
    run = run_now(users_sync, full=True)
    ids = {user["employee_id"]: user["id"] for user in few.records("crm", "users")}
    few.crm.change("users", ids[changed], full_name="Their own name")

    plan = finish(undo.plan_undo(run, by=by))
    kept = changes_of(plan, operation="keep").changes
    done = apply(plan)

    assert [(change.source_key, change.result) for change in kept] == [(changed, "kept")]
    assert "was changed in CRM since" in texts.render(kept[0].reason)
    assert done.counts["updated"] == 2
    assert crm_users(few)[changed][0] == "Their own name"


def test_effects_that_cannot_be_reverted_are_told(few, users_sync, run_now, by):
    run = run_now(users_sync)
    target = users_sync.target
    target.schema["capabilities"]["delete"] = False
    target.save()

    kept = changes_of(finish(undo.plan_undo(run, by=by)), operation="keep", size=100).changes

    assert len(kept) == 75
    assert "cannot delete" in texts.render(kept[0].reason)


def test_all_runs_of_a_version_since_a_time_are_undone_together(few, users_sync, run_now, by, apply):
    one, *__ = renamed(few, run_now, users_sync)
    before, since = crm_users(few), timezone.now()
    definition = {**USERS_TO_USERS, "fields": [*USERS_TO_USERS["fields"]]}
    definition["fields"][1] = {"target": "full_name", "source": "name", "steps": [{"transform": "upper"}], "required": True}
    entities = {"source_schema": users_sync.source.schema, "target_schema": users_sync.target.schema}
    version = MappingVersion.objects.create(mapping=users_sync.mapping, number=2, definition=definition, published_by="test", **entities)
    run_now(users_sync, full=True)
    few.oa.change("user", one, name="and again")
    run_now(users_sync, full=True)
    assert crm_users(few)[one][0] == "AND AGAIN"

    done = apply(finish(undo.plan_undo_of_version(users_sync, version, since=since - timedelta(seconds=1), by=by)))

    assert done.balanced
    assert crm_users(few) == before


def test_an_undo_can_be_undone(few, users_sync, run_now, by, apply):
    run = run_now(users_sync)
    after = crm_users(few)
    undone = apply(finish(undo.plan_undo(run, by=by)))
    assert crm_users(few) != after

    again = apply(finish(undo.plan_undo(undone, by=by)))

    assert again.balanced
    assert again.counts["created"] == 75
    assert crm_users(few) == after


def test_nothing_is_undone_while_the_pair_is_busy(few, users_sync, run_now, by):
    run = run_now(users_sync)
    start_run(users_sync, by=by)

    with pytest.raises(PairBusy):
        undo.plan_undo(run, by=by)

    users_sync.refresh_from_db()
    assert users_sync.paused_at is None


def test_a_run_that_wrote_nothing_cannot_be_undone(few, users_sync, run_now, by):
    run = run_now(users_sync, dry=True)

    with pytest.raises(NotPossible):
        undo.plan_undo(run, by=by)


def test_who_may_only_look_does_not_undo(few, users_sync, run_now, person):
    run = run_now(users_sync)

    with pytest.raises(Forbidden):
        undo.plan_undo(run, by=Actor.of(person("approver")))


def test_a_record_that_a_run_deleted_is_created_again_and_linked(few, users_sync, run_now, by, apply):
    sync = services.change_sync(users_sync, by=by, mode="full", deletes="delete")
    run_now(sync)
    before, gone = crm_users(few), few.records("oa", "user")[7]["userId"]
    few.oa.delete("user", gone)
    run = run_now(sync)
    assert gone not in crm_users(few)

    done = apply(finish(undo.plan_undo(run, by=by)))

    assert (done.state, done.balanced, done.counts["created"]) == ("succeeded", True, 1)
    assert crm_users(few) == before
    assert Link.objects.filter(a_key=gone, ended_at=None).count() == 1


def test_a_plan_with_deletes_is_applied(few, users_sync, run_now, by, apply):
    sync = services.change_sync(users_sync, by=by, mode="full", deletes="delete")
    run_now(sync)
    gone, back = (user["userId"] for user in few.records("oa", "user")[7:9])
    few.oa.delete("user", gone)
    plan = run_now(sync, dry=True)
    assert plan.counts["not_sent"] == 1

    done = apply(plan)

    assert (done.state, done.balanced, done.counts["deleted"]) == ("succeeded", True, 1)
    assert gone not in crm_users(few)
    assert back in crm_users(few)


@pytest.mark.parametrize("point", ["after send", "before commit"])
def test_a_worker_killed_while_it_undoes_is_taken_over(few, users_sync, run_now, by, point):
    before, run = crm_users(few), run_now(users_sync)
    plan = finish(undo.plan_undo(run, by=by))
    applied = plans.apply_plan(plans.approve_plan(plan, by=by, reason="Wrong mapping"), by=by)

    assert carry_until_killed(applied.partitions.get(), point, at=1)
    let_the_lease_run_out(applied.partitions.get())
    applied = finish(applied)

    assert (applied.balanced, applied.counts["moved"]) == (True, 0)
    assert crm_users(few) == before


def test_what_a_cancelled_run_had_on_its_way_is_found_out_and_undone(few, users_sync, by, apply):
    before, run = crm_users(few), services.start_run(users_sync, by=by)
    assert carry_until_killed(run.partitions.get(), "after the answer", at=1)
    let_the_lease_run_out(run.partitions.get())
    services.cancel_run(run, by=by)
    finish(run)
    assert crm_users(few) != before

    plan = finish(undo.plan_undo(run, by=by))
    done = apply(plan)

    assert f"records that run {run.pk} had sent" in " ".join(texts.render(line.text) for line in plan.log.all())
    assert (plan.balanced, done.balanced, done.counts["moved"]) == (True, True, 0)
    assert crm_users(few) == before


def test_a_run_whose_changes_are_no_longer_kept_cannot_be_undone(few, users_sync, run_now, by):
    run = run_now(users_sync)
    Run.objects.filter(pk=run.pk).update(changes_kept=False)

    for act, more in (
        (undo.plan_undo, {}),
        (lambda __, **with_: undo.plan_undo_of_version(users_sync, run.mapping_version, **with_), {"since": run.made_at}),
    ):
        with pytest.raises(NotPossible) as refused:
            act(run, by=by, **more)
        assert texts.render(refused.value.text) == f"The record changes of run {run.pk} are no longer kept."
    users_sync.refresh_from_db()
    assert users_sync.paused_at is None


@pytest.fixture
def versions(users_sync, by):
    """A sync that follows deletes, and a way to publish another version of its mapping: how it writes names."""
    sync = services.change_sync(users_sync, by=by, mode="full", deletes="delete", most_deletes_percent=None)

    def publish(step):
        fields = [dict(field) for field in USERS_TO_USERS["fields"]]
        fields[1]["steps"] = [{"transform": step}]
        entities = {"source_schema": sync.source.schema, "target_schema": sync.target.schema}
        number = sync.mapping.versions.count() + 1
        return MappingVersion.objects.create(mapping=sync.mapping, number=number, definition={**USERS_TO_USERS, "fields": fields}, **entities)

    return sync, publish


def undone_version(sync, version, since, by, apply):
    return apply(finish(undo.plan_undo_of_version(sync, version, since=since, by=by)))


def test_a_record_that_an_undo_created_again_is_the_one_that_an_earlier_version_had_created(few, versions, run_now, by, apply):
    (sync, publish), before, since = versions, crm_users(few), timezone.now()
    first, gone = sync.mapping.latest, few.records("oa", "user")[30]["userId"]
    run_now(sync)
    second = publish("upper")
    few.oa.delete("user", gone)
    run_now(sync)
    assert gone not in crm_users(few)

    undone_version(sync, second, since, by, apply)
    assert gone in crm_users(few), "as the first version had left it, under a new key"
    done = undone_version(sync, first, since, by, apply)

    assert (done.balanced, done.counts["deleted"]) == (True, 75)
    assert crm_users(few) == before
    assert not Link.objects.filter(a_key=gone, ended_at=None).exists()


def test_what_one_undo_has_set_back_does_not_keep_its_version_from_being_undone(few, versions, run_now, by, apply):
    (sync, publish), before, since = versions, crm_users(few), timezone.now()
    first, changed = sync.mapping.latest, few.records("oa", "user")[30]["userId"]
    run_now(sync)
    few.oa.change("user", changed, name="Renamed")
    apply(finish(undo.plan_undo(run_now(sync), by=by)))
    second = publish("upper")
    run_now(sync)
    assert crm_users(few)[changed][0] == "RENAMED"

    undone_version(sync, second, since, by, apply)
    done = undone_version(sync, first, since, by, apply)

    assert (done.balanced, done.counts["deleted"]) == (True, 75)
    assert crm_users(few) == before


def test_an_undo_of_an_earlier_run_is_not_undone_with_a_version_since_a_time(few, versions, run_now, by, apply):
    (sync, __), before = versions, crm_users(few)
    first = run_now(sync)
    since = timezone.now()
    apply(finish(undo.plan_undo(first, by=by)))

    with pytest.raises(NotPossible):
        undo.plan_undo_of_version(sync, first.mapping_version, since=since, by=by)
    assert crm_users(few) == before
