"""Reconcile: both systems are compared field by field; what has drifted is shown by field and record, and mended as a plan."""

from contextlib import ExitStack
from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from connectors.base import PositionExpired
from integration_hub.accounts.actor import Actor, Forbidden
from integration_hub.accounts.models import Mail
from integration_hub.core import outbox, texts
from integration_hub.core.models import Message
from integration_hub.core.overview import problems
from integration_hub.syncs import carrying, due, plans, reconcile, restored, services, stages
from integration_hub.syncs.models import Link, OpenRow, PageRow, RecordDrift, Run, Sync, SyncCursor
from integration_hub.syncs.services import NotPossible, PairBusy
from tests.connectors.sql_places import place
from tests.syncs.conftest import USERS_TO_USERS, finish, published, registered, users_settings
from tests.syncs.equal import assert_equal
from tests.syncs.killing import SOME_POINTS
from tests.syncs.test_takeover import carry_until_killed, let_the_lease_run_out

pytestmark = pytest.mark.django_db(transaction=True)
WHY = "Checked with sales"


@pytest.fixture
def compared(by):
    """Reconcile a sync, to the end; answers with the run and what it has found."""

    def compared_(sync):
        run = finish(services.start_run(Sync.objects.get(pk=sync.pk), by=by, reconcile=True))
        assert run.balanced
        return run, RecordDrift.objects.filter(run=run).first()

    return compared_


@pytest.fixture
def mended(by):
    """Approve the plan of a reconcile run and carry the run that applies it."""

    def mended_(plan, **chosen):
        run = finish(plans.apply_plan(plans.approve_plan(plan, by=by, reason=WHY, **chosen), by=by))
        assert run.balanced
        return run

    return mended_


def crm_ids(sandbox):
    return {user["employee_id"]: user["id"] for user in sandbox.records("crm", "users")}


def written(sandbox):
    return sum(sandbox.crm.applied().values())


def figures(drift):
    return {name: getattr(drift, name) for name in ("differing", "gone", "missing", "surplus", "due", "unlinked") if getattr(drift, name)}


def said(run):
    return [texts.render(text) for text in run.log.values_list("text", flat=True)]


# --- what is found, and mended ----------------------------------------------------------------------------------------


def test_what_was_changed_in_the_target_is_found_by_field_and_mended(few, users_sync, run_now, compared, mended):
    run_now(users_sync)
    ids, keys = crm_ids(few), [user["userId"] for user in few.records("oa", "user")[10:13]]
    for key in keys:
        few.crm.change("users", ids[key], full_name=f"Other {key}")
    few.crm.change("users", ids[keys[0]], email="other@example.com")
    before = written(few)

    run, drift = compared(users_sync)

    assert (run.mode, run.dry, run.state, run.counts["not_sent"], run.counts["unchanged"]) == ("reconcile", True, "succeeded", 3, 77)
    assert (figures(drift), drift.fields) == ({"differing": 3}, {"full_name": 3, "email": 1})
    assert written(few) == before, "it writes nothing by itself"

    assert mended(run).counts["updated"] == 3
    assert_equal(few)
    assert compared(users_sync)[1].total == 0


def test_only_what_was_approved_is_mended_and_what_has_moved_is_left(few, users_sync, run_now, compared, mended):
    run_now(users_sync)
    ids, (one, two, moved) = crm_ids(few), [user["userId"] for user in few.records("oa", "user")[10:13]]
    for key in (one, two, moved):
        few.crm.change("users", ids[key], full_name=f"Other {key}")
    run, __ = compared(users_sync)
    few.crm.change("users", ids[moved], full_name="Once more")

    done = mended(run, except_keys=[two])

    assert (done.counts["updated"], done.counts["moved"]) == (1, 1)
    assert [(row.key, row.state) for row in OpenRow.objects.open()] == [(moved, "moved")]
    assert compared(users_sync)[1].differing == 2


def test_where_nothing_has_drifted_nothing_is_found(few, users_sync, run_now, compared):
    run_now(users_sync)

    run, drift = compared(users_sync)

    assert (run.counts["unchanged"], run.counts["not_sent"]) == (80, 0)
    assert not plans.is_plan(run)
    assert (figures(drift), drift.unlinked, drift.fields) == ({}, 0, {})


def test_a_record_gone_from_the_target_is_created_anew_and_linked_again(few, users_sync, run_now, compared, mended):
    run_now(users_sync)
    lost = few.records("oa", "user")[12]["userId"]
    few.crm.delete("users", crm_ids(few)[lost])

    run, drift = compared(users_sync)
    assert figures(drift) == {"gone": 1}
    done = mended(run)

    assert done.counts["created"] == 1
    assert Link.objects.get(a_key=lost, ended_at=None).b_key == str(crm_ids(few)[lost])
    assert Link.objects.filter(a_key=lost).exclude(ended_at=None).count() == 1
    assert_equal(few)
    assert compared(users_sync)[1].total == 0


def test_a_record_that_somebody_made_anew_in_the_target_is_linked_instead(few, users_sync, run_now, compared, mended):
    run_now(users_sync)
    (lost,) = [user for user in few.records("crm", "users") if user["employee_id"] == few.records("oa", "user")[12]["userId"]]
    few.crm.delete("users", lost["id"])
    new = few.crm.add("users", **{name: value for name, value in lost.items() if name not in ("id", "full_name")}, full_name="Made by hand")

    run, drift = compared(users_sync)
    assert figures(drift) == {"gone": 1}
    done = mended(run)

    assert (done.counts["created"], done.counts["updated"]) == (0, 1)
    assert Link.objects.get(a_key=lost["employee_id"], ended_at=None).b_key == str(new["id"])
    assert_equal(few)
    assert compared(users_sync)[1].total == 0


def test_records_that_no_link_knows_are_told_and_left_alone(few, users_sync, run_now, compared):
    run_now(users_sync)
    theirs = [few.crm.add("users", full_name=f"Only here {n}", email=f"only{n}@example.com")["id"] for n in range(3)]
    before = written(few)

    run, drift = compared(users_sync)

    assert (drift.unlinked, sorted(drift.unlinked_keys), drift.total) == (3, sorted(map(str, theirs)), 0)
    assert run.counts["not_sent"] == 0
    assert written(few) == before


def test_what_the_plan_would_link_is_not_only_in_the_target(few, users_sync, compared, mended):
    run, drift = compared(users_sync)

    assert (figures(drift), drift.unlinked) == ({"due": 76}, 0), "nothing has arrived yet: the first run brings it all"
    assert mended(run).counts["created"] == 75
    assert_equal(few)


def test_a_record_that_a_link_of_another_pair_knows_is_known(few, users_sync, run_now, compared, by):
    run_now(users_sync)
    third = registered("Third", users_settings("OA", few.url), by).entities.get(name=users_sync.source.name)
    theirs = few.crm.add("users", full_name="Of the other pair", email="other@example.com")["id"]
    other = services.create_sync(
        by=by, source=users_sync.target, target=third, name="Another", mode="full",
        mapping=published("Another", users_sync.target, third, {"fields": [{"target": "email", "source": "email"}], "match": []}),
    )  # fmt: skip
    Link.objects.create(pair=other.pair, a_key=str(theirs), b_key="x", print_version=1, made_at=timezone.now())

    assert compared(users_sync)[1].unlinked == 0


def test_what_the_next_run_brings_anyway_is_no_drift_and_what_it_passes_over_is(few, users_sync, run_now, compared, mended):
    run_now(users_sync)
    fresh, passed_over = (user["userId"] for user in few.records("oa", "user")[10:12])
    few.oa.change("user", fresh, name="Just renamed")
    SyncCursor.objects.update(value="2020-01-01T00:00:00.000000Z")
    assert figures(compared(users_sync)[1]) == {"due": 1}

    SyncCursor.objects.update(value="2099-01-01T00:00:00.000000Z")  # as if it had been saved with an older time than it was read by
    few.oa.change("user", passed_over, name="Passed over")
    run, drift = compared(users_sync)

    assert (figures(drift), drift.fields) == ({"differing": 2}, {"full_name": 2})
    mended(run)
    assert_equal(few)


def test_what_is_deleted_in_the_source_is_surplus_where_deletes_are_followed(few, users_sync, run_now, compared, mended, by):
    sync = services.change_sync(users_sync, by=by, deletes="delete")
    run_now(sync)
    gone = few.records("oa", "user")[7]["userId"]
    few.oa.delete("user", gone)

    run, drift = compared(sync)
    assert figures(drift) == {"surplus": 1}
    assert mended(run).counts["deleted"] == 1

    assert gone not in crm_ids(few)
    assert compared(sync)[1].total == 0


def test_what_another_run_writes_meanwhile_is_not_taken_for_drift(few, users_sync, run_now, by):
    run_now(users_sync)
    key = few.records("oa", "user")[10]["userId"]
    run = services.start_run(users_sync, by=by, reconcile=True)
    Run.objects.filter(pk=run.pk).update(started_at=timezone.now(), state="comparing")
    few.oa.change("user", key, name="Renamed meanwhile")
    run_now(users_sync, keys=[key])
    few.oa.change("user", key, name="As it was read by the other")  # what was read is not what has been written

    run = finish(run)

    assert run.balanced
    assert run.drift.total == 0


# --- a target that makes something else of what it is sent --------------------------------------------------------------


@pytest.fixture
def trimming(few, oa, by, tmp_path, settings):
    """A sync of the OA's users into a table that cuts what is around a name off."""
    settings.ALLOWED_FOLDERS = [tmp_path.resolve()]
    with ExitStack() as stack:
        table = stack.enter_context(place("sqlite", tmp_path))
        table.run(
            "CREATE TABLE users (employee_id varchar(40) PRIMARY KEY NOT NULL, full_name varchar(120), email varchar(120))",
            *(
                f"CREATE TRIGGER trims_{on} AFTER {on} ON users WHEN NEW.full_name <> trim(NEW.full_name) "
                "BEGIN UPDATE users SET full_name = trim(NEW.full_name) WHERE employee_id = NEW.employee_id; END"
                for on in ("insert", "update")
            ),
        )
        target = registered("HR", table.settings(), by, connector="sql").entities.get(name="users")
        source = oa.entities.get(name="users")
        plain = {"fields": [{"target": one["target"], "source": one["source"]} for one in USERS_TO_USERS["fields"]], "match": [["employee_id"]]}
        sync = services.create_sync(by=by, source=source, target=target, name="HR", mapping=published("HR", source, target, plain), mode="full")
        for user in few.records("oa", "user")[:2]:
            few.oa.change("user", user["userId"], name=f" {user['name']} ")
        yield sync, table


def test_what_the_target_trims_is_agreed_on_once_it_was_read_back(trimming, few, run_now, compared, mended):
    sync, __ = trimming
    run_now(sync)
    assert compared(sync)[1].differing == 2, "nobody knows yet what the target makes of it"

    done = mended(run_now(sync, reconcile=True))

    assert done.counts["updated"] == 2
    assert Link.objects.exclude(b_print=None).count() == 2
    assert compared(sync)[1].total == 0, "the target holds what it made of it, and the source has not changed"


def test_what_was_agreed_on_drifts_again_when_either_side_changes(trimming, few, run_now, compared, mended):
    sync, table = trimming
    run_now(sync)
    mended(compared(sync)[0])
    theirs, ours = (user["userId"] for user in few.records("oa", "user")[:2])

    table.run(f"UPDATE users SET full_name = 'Somebody' WHERE employee_id = '{theirs}'")
    assert compared(sync)[1].differing == 1
    few.oa.change("user", ours, name=" Another ")
    run_now(sync)
    table.run(f"UPDATE users SET email = 'x@example.com' WHERE employee_id = '{ours}'")

    drift = compared(sync)[1]

    assert (drift.differing, drift.fields) == (2, {"full_name": 2, "email": 1}), "what was read back of the name before is not that of the name now"


def test_what_a_target_says_it_made_of_a_record_is_kept_at_once(few, users_sync, run_now, compared, monkeypatch):
    from connectors.rest.connector import RestConnector

    write = RestConnector.write

    def rounding(self, entity, changes):
        outcomes = list(write(self, entity, changes))
        told = dict(zip(changes.about["row"], changes.values["full_name"], strict=True))
        for outcome in outcomes:
            few.crm.change("users", outcome.key, full_name=told[outcome.row][:6])
        return [outcome._replace(record={"full_name": told[outcome.row][:6]}) for outcome in outcomes]

    few.crm.has(users=0)
    few.oa.has(user=5)
    monkeypatch.setattr(RestConnector, "write", rounding)
    run_now(users_sync)
    monkeypatch.undo()

    run, drift = compared(users_sync)

    assert (run.counts["unchanged"], drift.total) == (5, 0)


# --- starting -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def scheduled(few, users_sync, by):
    """A sync that is to reconcile every hour, and should have an hour ago."""
    sync = services.change_sync(users_sync, by=by, reconcile_interval_seconds=3_600)
    Sync.objects.filter(pk=sync.pk).update(reconcile_due_at=timezone.now() - timedelta(hours=1))
    return sync


def test_it_runs_on_a_schedule_of_its_own_and_a_late_one_runs_once(scheduled):
    due.start_due_reconciles()
    due.start_due_reconciles()

    run = Run.objects.get()
    assert (run.mode, run.trigger, run.dry) == ("reconcile", "schedule", True)
    scheduled.refresh_from_db()
    assert timedelta(minutes=59) < scheduled.reconcile_due_at - timezone.now() <= timedelta(hours=1)
    assert scheduled.next_due_at is None


def test_a_busy_pair_keeps_it_due(scheduled, by):
    going = services.start_run(scheduled, by=by)
    due.start_due_reconciles()
    assert Run.objects.get() == going
    with pytest.raises(PairBusy):
        services.start_run(scheduled, by=by, reconcile=True)

    finish(going)
    due.start_due_reconciles()
    assert Run.objects.filter(mode="reconcile").count() == 1
    with pytest.raises(PairBusy):
        services.start_run(scheduled, by=by, reconcile=True)
    assert services.start_run(scheduled, by=by).is_live, "it holds up no run that writes"


def test_a_paused_sync_does_not_reconcile_and_one_that_cannot_waits_for_its_next_time(scheduled, by):
    services.pause_sync(scheduled, by=by)
    due.start_due_reconciles()
    services.resume_sync(scheduled, by=by)
    assert Sync.objects.due("reconcile_due_at").get() == scheduled
    _without_lookup(scheduled)
    due.start_due_reconciles()

    assert not Run.objects.exists()
    assert not Sync.objects.due("reconcile_due_at").exists()


@pytest.mark.parametrize(
    ("settings", "field", "sentence"),
    [
        ({"reconcile_interval_seconds": 1}, "reconcile_interval_seconds", "The shortest interval is 5 seconds."),
        ({"reconcile_crontab": "61 * * * *"}, "reconcile_crontab", "“61 * * * *” is no crontab"),
        ({"reconcile_crontab": "0 2 * * *", "reconcile_interval_seconds": 60}, "reconcile_crontab", "Give an interval or a crontab, not both."),
        ({"mode": "reconcile"}, "mode", "Value 'reconcile' is not a valid choice."),
    ],
)
def test_a_schedule_that_cannot_be_is_refused_with_its_field(users_sync, by, settings, field, sentence):
    with pytest.raises(ValidationError) as refusal:
        services.change_sync(users_sync, by=by, **settings)

    assert refusal.value.message_dict[field][0].startswith(sentence)


def test_who_may_not_run_does_not_reconcile(users_sync, person):
    with pytest.raises(Forbidden):
        services.start_run(users_sync, by=Actor.of(person("viewer")), reconcile=True)


# --- what cannot be told ------------------------------------------------------------------------------------------------


def _without_lookup(sync):
    target = sync.target
    target.schema["capabilities"] |= {"lookup_by_key": False}
    target.save()


def test_a_target_that_cannot_be_asked_for_records_cannot_be_compared_and_one_sentence_says_so(few, users_sync, by):
    going = services.start_run(users_sync, by=by, reconcile=True)
    _without_lookup(users_sync)
    sync = Sync.objects.get(pk=users_sync.pk)

    sentence = "cannot be asked for single records, so the hub cannot compare it field by field"
    with pytest.raises(NotPossible) as refusal:
        services.start_run(sync, by=by, reconcile=True)
    assert sentence in str(refusal.value)
    with pytest.raises(ValidationError) as refused:
        services.change_sync(sync, by=by, reconcile_crontab="0 3 * * 0")
    assert sentence in refused.value.message_dict["reconcile_crontab"][0]
    assert (finish(going).state, sentence in texts.render(Run.objects.get().error)) == ("failed", True)


@pytest.mark.parametrize(("asked", "said"), [({"keys": ["U000001"]}, "none can be named"), ({"keys_only": True}, "their keys alone are not enough")])
def test_named_records_or_keys_alone_cannot_be_reconciled(users_sync, by, asked, said):
    sync = services.change_sync(users_sync, by=by, mode="incremental", deletes="delete")
    with pytest.raises(NotPossible) as refusal:
        services.start_run(sync, by=by, reconcile=True, **asked)
    assert said in str(refusal.value)


def test_a_reconcile_run_takes_nothing_as_agreed_and_leaves_nothing_to_be_taken_so(users_sync, run_now, compared):
    assert "agreed" in run_now(users_sync, full=True).settings

    run, __ = compared(users_sync)

    assert "agreed" not in run.settings
    assert set(PageRow.objects.filter(partition__run=run).values_list("agreed", flat=True)) == {""}


def test_a_target_that_may_not_be_listed_is_compared_all_the_same(few, users_sync, run_now, compared, by):
    run_now(users_sync)
    few.crm.change("users", crm_ids(few)[few.records("oa", "user")[10]["userId"]], full_name="Other")
    run = services.start_run(users_sync, by=by, reconcile=True)
    while Run.objects.get(pk=run.pk).state != "closing":
        carrying.carry_partition(run.partitions.get().pk)
        stages.advance(run.pk)
    few.fault("crm", "status", status=403, path="users")

    run = finish(run)

    assert (run.state, run.balanced) == ("succeeded", True)
    assert (run.drift.differing, run.drift.unlinked) == (1, None)
    assert any("does not tell which records only CRM has" in line for line in said(run))


# --- whatever happens to it -----------------------------------------------------------------------------------------------


def test_a_cancelled_one_has_found_nothing_and_its_books_balance(few, users_sync, run_now, by):
    run_now(users_sync)
    run = services.start_run(users_sync, by=by, reconcile=True)
    carrying.carry_partition(run.partitions.get().pk)
    services.cancel_run(run, by=by)

    run = finish(run)

    assert (run.state, run.balanced) == ("cancelled", True)
    assert not RecordDrift.objects.of(users_sync).exists()


def test_a_worker_that_dies_while_it_lists_the_target_is_taken_over_from_there(few, users_sync, run_now, by, monkeypatch):
    run_now(users_sync)
    few.crm.add("users", full_name="Only here", email="only@example.com")
    run = services.start_run(users_sync, by=by, reconcile=True)
    places, list_target = [], reconcile.list_target

    def dies(work, lease):
        monkeypatch.setattr(work, "turn_is_over", lambda: True)
        places.append(work.partition.position)
        return list_target(work, lease)

    monkeypatch.setattr(reconcile, "joined", lambda pages: pages)  # fifty keys at a time
    monkeypatch.setattr(reconcile, "list_target", dies)

    run = finish(run)

    assert len(places) > 1
    assert all(place["target"] for place in places[1:]), "it goes on behind the last page"
    assert (run.drift.unlinked, run.balanced) == (1, True)


def test_a_listing_whose_place_the_target_has_forgotten_begins_anew_and_counts_nothing_twice(few, users_sync, run_now, by, monkeypatch):
    run_now(users_sync)
    first = Link.objects.order_by("b_key").first()  # on the first page: no link knows that record any more, and the source does not send its own
    services.change_sync(users_sync, by=by, filter=f"userId <> '{first.a_key}'")
    first.delete()
    run = services.start_run(Sync.objects.get(pk=users_sync.pk), by=by, reconcile=True)
    places, list_target = [], reconcile.list_target

    def forgets(work, lease):
        places.append(work.partition.position["target"])
        if len(places) == 2:
            raise PositionExpired("{system} no longer knows the position.", system="CRM")
        monkeypatch.setattr(work, "turn_is_over", lambda: len(places) == 1)
        return list_target(work, lease)

    monkeypatch.setattr(reconcile, "joined", lambda pages: pages)  # fifty keys at a time
    monkeypatch.setattr(reconcile, "list_target", forgets)

    run = finish(run)

    assert [place is None for place in places] == [True, False, True]
    assert (run.drift.unlinked, run.balanced) == (1, True)


@pytest.mark.parametrize("point", SOME_POINTS)
def test_a_worker_killed_while_it_mends_is_taken_over_and_what_it_wrote_is_agreed_on(few, users_sync, run_now, compared, by, point):
    run_now(users_sync)
    ids = crm_ids(few)
    for user in few.records("oa", "user")[10:30]:
        few.crm.change("users", ids[user["userId"]], full_name="Other")
    plan, __ = compared(users_sync)
    run = plans.apply_plan(plans.approve_plan(plan, by=by, reason=WHY), by=by)

    assert carry_until_killed(run.partitions.get(), point, at=1)
    let_the_lease_run_out(run.partitions.get())
    run = finish(run)

    assert (run.balanced, run.counts["moved"]) == (True, 0)
    assert_equal(few)
    assert compared(users_sync)[1].total == 0


def test_after_a_backup_was_put_back_it_finds_what_was_lost_and_an_older_plan_is_refused(few, users_sync, run_now, compared, by):
    run_now(users_sync)
    few.crm.change("users", crm_ids(few)[few.records("oa", "user")[10]["userId"]], full_name="Other")
    plan, __ = compared(users_sync)
    restored.take_up()

    with pytest.raises(NotPossible):
        plans.approve_plan(Run.objects.get(pk=plan.pk), by=by, reason=WHY)
    assert figures(compared(users_sync)[1]) == {"differing": 1}
    assert Sync.objects.get(pk=users_sync.pk).restored_at is not None, "only a run that writes brings the links up to date"


def test_what_was_found_stays_when_the_record_changes_go(few, users_sync, run_now, compared, settings):
    from integration_hub.syncs import retention

    run_now(users_sync)
    few.crm.change("users", crm_ids(few)[few.records("oa", "user")[10]["userId"]], full_name="Other")
    run, drift = compared(users_sync)
    run_now(users_sync, full=True)
    Run.objects.filter(pk=run.pk).update(ended_at=timezone.now() - timedelta(days=settings.KEEP_CHANGES_DAYS + 1))
    for step in retention.STEPS:
        while step():
            pass

    assert not run.change_sets.exists()
    assert PageRow.objects.filter(partition__run=run).exists()
    assert RecordDrift.objects.of(users_sync).get() == drift


# --- who is told ----------------------------------------------------------------------------------------------------------


def test_drift_is_told_once_to_those_who_ask_until_it_is_mended(few, users_sync, run_now, compared, mended, person):
    person("operator", mail_failed_runs=True)
    run_now(users_sync)
    ids, key = crm_ids(few), few.records("oa", "user")[10]["userId"]

    def tell():
        run, __ = compared(users_sync)
        for message in Message.objects.filter(type="drift.found", subject=f"runs/{run.pk}"):
            outbox.tell(message.pk)
        return run

    tell()
    assert not Mail.objects.exists()
    few.crm.change("users", ids[key], full_name="Other")
    tell()
    last = tell()
    mail = Mail.objects.get()
    assert (mail.person.username, mail.path) == ("operator", f"/syncs/{users_sync.pk}/drift/")
    mended(last)
    few.crm.change("users", ids[key], full_name="Another")
    tell()
    assert Mail.objects.count() == 2


def test_open_drift_is_a_problem_until_it_is_mended_or_gone(few, users_sync, run_now, compared, mended, viewer):
    run_now(users_sync)
    few.crm.change("users", crm_ids(few)[few.records("oa", "user")[10]["userId"]], full_name="Other")
    tell = problems["syncs"]

    run, __ = compared(users_sync)
    (problem,) = tell(viewer)
    assert (problem.cause, problem.detail) == (f"{users_sync.name} has drifted", "1 record of CRM is not as OA has it.")
    assert problem.act.href == f"/syncs/{users_sync.pk}/drift/"
    mended(run)

    assert tell(viewer) == []


def test_drift_of_which_a_part_is_mended_is_a_problem_still_and_says_how_much_is_left(
    few, users_sync, run_now, compared, mended, viewer, person, client
):
    run_now(users_sync)
    ids, (one, two, moved, gone, due) = crm_ids(few), [user["userId"] for user in few.records("oa", "user")[10:15]]
    for key in (one, two, moved):
        few.crm.change("users", ids[key], full_name=f"Other {key}")
    few.crm.delete("users", ids[gone])
    few.oa.change("user", due, name="Changed in the source alone")
    run, drift = compared(users_sync)
    assert (drift.total, drift.due) == (4, 1)
    few.crm.change("users", ids[moved], full_name="Once more")

    done = mended(run, except_keys=[two])

    assert (done.counts["updated"], done.counts["created"], done.counts["moved"]) == (2, 1, 1), "what was due, too"
    (problem,) = problems["syncs"](viewer)[:1]
    assert (problem.cause, problem.detail) == (f"{users_sync.name} has drifted", "2 of 4 records of CRM are still not as OA has them.")
    client.force_login(person("viewer", username="another"))
    page = client.get(f"/syncs/{users_sync.pk}/drift/").content.decode()
    assert "2 of 4 records of CRM are still not as OA has them." in page
    assert "what is still apart becomes a new one" in page
    assert "Mended" not in page


def test_drift_that_is_mended_by_a_second_attempt_is_counted_once(few, users_sync, run_now, compared, by, viewer):
    run_now(users_sync)
    ids, keys = crm_ids(few), [user["userId"] for user in few.records("oa", "user")[10:13]]
    for key in keys:
        few.crm.change("users", ids[key], full_name=f"Other {key}")
    run, drift = compared(users_sync)
    approval = plans.approve_plan(run, by=by, reason=WHY)
    first = plans.apply_plan(approval, by=by)
    assert carry_until_killed(first.partitions.get(), "after commit", at=1)
    let_the_lease_run_out(first.partitions.get())
    services.cancel_run(first, by=by)
    finish(first)

    finish(plans.apply_plan(approval, by=by))

    drift.refresh_from_db()
    assert (drift.total, drift.mended, drift.is_mended) == (3, 3, True)
    assert problems["syncs"](viewer) == []
