"""What people and workers do at the same time: pausing, cancelling, replaying and changing settings while a run is going."""

import time
from dataclasses import replace

import pytest
from django.db import transaction
from django.utils import timezone

from connectors.base import FieldType, Text
from integration_hub.core import dispatch
from integration_hub.core.leases import Lease
from integration_hub.syncs import carrying, openrows, pipeline, prints, reading, schedule, services, stages, write
from integration_hub.syncs.models import Link, OpenRow, Partition, Run, SyncCursor
from integration_hub.syncs.work import Left
from tests.syncs.conftest import USERS_TO_USERS, finish, published

pytestmark = pytest.mark.django_db(transaction=True)


def small_pages(monkeypatch):
    monkeypatch.setattr(reading, "PAGE_ROWS", 1)


def test_a_dry_run_paused_before_it_reads_writes_nothing(sandbox, users_sync, by, monkeypatch):
    run = services.start_run(users_sync, by=by, dry=True)
    measure = carrying.measure

    def paused_meanwhile(*args):
        measure(*args)
        services.pause_run(run, by=by)

    monkeypatch.setattr(carrying, "measure", paused_meanwhile)
    carrying.carry_partition(run.partitions.get().pk)

    run.refresh_from_db()
    assert run.state == "paused"
    assert sandbox.crm.applied() == {}
    monkeypatch.setattr(carrying, "measure", measure)
    services.resume_run(run, by=by)
    assert finish(run).counts["not_sent"] > 0
    assert sandbox.crm.applied() == {}


def test_a_run_that_is_being_cancelled_cannot_be_paused(users_sync, by):
    run = services.start_run(users_sync, by=by)
    services.cancel_run(run, by=by)

    with pytest.raises(services.NotPossible):
        services.pause_run(run, by=by)

    stages.advance(run.pk)
    run.refresh_from_db()
    assert run.state == "cancelled"


def test_a_partition_is_sent_when_the_next_worker_can_take_it(users_sync, by, monkeypatch):
    run = services.start_run(users_sync, by=by)
    small_pages(monkeypatch)
    monkeypatch.setattr(carrying, "SLICE_SECONDS", 0.0)
    sent = []
    monkeypatch.setattr(dispatch, "send", lambda task, pk, sending: sent.append(Partition.objects.to_carry().filter(pk=pk).exists()))

    carrying.carry_partition(run.partitions.get().pk)

    assert sent == [True]


def test_a_run_keeps_its_direction_when_the_sync_gets_another(sandbox, users_sync, by, monkeypatch):
    small_pages(monkeypatch)
    monkeypatch.setattr(carrying, "SLICE_SECONDS", 0.0)
    run = services.start_run(users_sync, by=by)
    carrying.carry_partition(run.partitions.get().pk)
    users_sync.direction = "b_to_a"
    users_sync.save()
    monkeypatch.undo()

    run = finish(run)

    employees = {u["userId"] for u in sandbox.records("oa", "user")}
    assert run.balanced
    assert run.state in ("succeeded", "with_rejects")
    assert set(Link.objects.values_list("a_key", flat=True)) <= employees


def slow_record(monkeypatch, seconds=0.5):
    record = pipeline.record

    def slow(*args):
        time.sleep(seconds)
        record(*args)

    monkeypatch.setattr(pipeline, "record", slow)


@pytest.mark.parametrize("compare_first", [False, True])
def test_of_two_records_that_mean_the_same_target_record_only_the_first_is_written(sandbox, oa, crm, by, run_now, monkeypatch, compare_first):
    source, target = oa.entities.get(name="users"), crm.entities.get(name="users")
    fields = [{**one, "source": "mobile"} if one["target"] == "employee_id" else one for one in USERS_TO_USERS["fields"]]
    mapping = published("Users", source, target, {**USERS_TO_USERS, "fields": fields})
    sync = services.create_sync(by=by, source=source, target=target, name="Users", mapping=mapping, mode="incremental", compare_first=compare_first)
    sandbox.oa.change("user", "U000010", name="First", email="same@a.example", mobile="E77")
    sandbox.oa.change("user", "U000060", name="Second", email="same@a.example", mobile=None)
    sandbox.crm.add("users", employee_id="E77", full_name="Old", email="same@a.example")
    small_pages(monkeypatch)
    slow_record(monkeypatch)

    run = run_now(sync)

    (user,) = (u for u in sandbox.records("crm", "users") if u["email"] == "same@a.example")
    assert user["full_name"] == "First"
    assert Link.objects.get(b_key=user["id"]).a_key == "U000010"
    assert OpenRow.objects.open().filter(key="U000060").exists()
    assert run.balanced


@pytest.mark.parametrize("other", ["U000011", "U000060"])  # on the same page, and on the next
def test_a_record_is_not_created_twice_where_two_mean_it_by_different_match_keys(sandbox, oa, crm, by, run_now, monkeypatch, other):
    source, target = oa.entities.get(name="users"), crm.entities.get(name="users")
    fields = [{**one, "source": "mobile"} if one["target"] == "employee_id" else one for one in USERS_TO_USERS["fields"]]
    mapping = published("Users", source, target, {**USERS_TO_USERS, "fields": fields})
    sync = services.create_sync(by=by, source=source, target=target, name="Users", mapping=mapping, mode="incremental")
    sandbox.oa.change("user", "U000010", name="First", email="same@a.example", mobile="E77")
    sandbox.oa.change("user", other, name="Second", email="same@a.example", mobile=None)
    small_pages(monkeypatch)
    slow_record(monkeypatch)

    run = run_now(sync)

    assert [u["full_name"] for u in sandbox.records("crm", "users") if u["email"] == "same@a.example"] == ["First"]
    assert OpenRow.objects.open().get(key=other).step == "match"
    assert run.balanced


def left(sync, run, key, state, **more):
    with transaction.atomic():
        openrows.leave(sync, run, run.source_side, [Left(key, state, Text("Left for a test."), {"userId": key}, **more)])
    return OpenRow.objects.open().get(sync=sync, key=key)


def test_what_nobody_can_tell_stays_so_until_a_person_settles_it(sandbox, users_sync, run_now):
    run = run_now(users_sync)
    sandbox.oa.add("user", userId="UX", name="Xin", email="xin@a.example")
    row = left(users_sync, run, "UX", "unknown")

    sandbox.oa.change("user", "UX", email="no address")
    run_now(users_sync, full=True)
    sandbox.oa.change("user", "UX", email="xin@a.example")
    run = run_now(users_sync, full=True)

    row.refresh_from_db()
    assert (row.state, row.closed_at) == ("unknown", None)
    assert not [u for u in sandbox.records("crm", "users") if u["email"] == "xin@a.example"]
    assert run.balanced


def test_a_dry_run_leaves_alone_what_waits(sandbox, users_sync, run_now):
    run_now(users_sync)
    row = OpenRow.objects.open().filter(state="rejected").first()
    asked = timezone.now()
    OpenRow.objects.filter(pk=row.pk).update(replay_at=asked, again=True)
    done = left(users_sync, row.run, "U000001", "refused", again=True)

    run = run_now(users_sync, dry=True, full=True)

    row.refresh_from_db()
    done.refresh_from_db()
    assert row.replay_at == asked
    assert done.closed_at is None
    assert run.balanced


def test_a_run_takes_what_was_refused_before_up_once_however_many_turns_that_takes(sandbox, users_sync, by, run_now, monkeypatch):
    run_now(users_sync)
    for number in range(20):
        sandbox.oa.add("user", userId=f"UX{number}", name="Xin", email=f"xin{number}@a.example")
    sandbox.crm.fault("status", status=409, method="POST", path="/v1/users")
    run = run_now(users_sync)
    assert OpenRow.objects.open().filter(state="refused", again=True, key__startswith="UX").count() == 20
    monkeypatch.setattr(reading, "WANTED_ROWS", 1)
    monkeypatch.setattr(carrying, "SLICE_SECONDS", 0.2)
    monkeypatch.setattr(write, "TRIES", 1)
    slow_record(monkeypatch, 0.1)

    run = run_now(users_sync)

    assert run.balanced
    assert run.counts["read"] < 4 * 20


def test_named_records_are_read_once_however_many_turns_that_takes(users_sync, by, run_now, monkeypatch):
    monkeypatch.setattr(reading, "WANTED_ROWS", 2)
    monkeypatch.setattr(carrying, "SLICE_SECONDS", 0.1)
    keys = [f"U{number:06}" for number in range(100, 112)]

    run = run_now(users_sync, keys=keys)

    assert run.counts["read"] == 12
    assert run.balanced


def test_a_replay_that_the_going_run_no_longer_meets_is_done_after_it(sandbox, users_sync, by, run_now):
    run_now(users_sync)
    row = OpenRow.objects.open().filter(state="rejected", key__startswith="U").first()
    other = run_now(users_sync)
    run = services.start_run(users_sync, by=by)
    services.replay_rejects(OpenRow.objects.filter(pk=row.pk), by=by)
    Run.objects.filter(pk=run.pk).update(state="failed", ended_at=timezone.now())

    services.start_waiting_replays()
    replay = Run.objects.exclude(pk__in=[other.pk, run.pk]).latest("pk")
    finish(replay)
    services.start_waiting_replays()

    row.refresh_from_db()
    assert (replay.trigger, replay.keys) == ("replay", [row.key])
    assert row.replay_at is None
    assert Run.objects.latest("pk") == replay


def test_the_cursor_cannot_be_set_while_a_run_is_going_that_would_move_it(users_sync, by):
    services.start_run(users_sync, by=by)

    with pytest.raises(services.PairBusy):
        services.set_cursor(users_sync, by=by, value="2026-01-01T00:00:00Z", note="a correction")


def test_books_that_do_not_balance_do_not_move_the_cursor(users_sync, run_now, monkeypatch):
    count = stages.books_of
    monkeypatch.setattr(stages, "books_of", lambda *args, **more: replace(count(*args, **more), out_difference=1))

    run = run_now(users_sync)

    users_sync.refresh_from_db()
    assert run.balanced is False
    assert not SyncCursor.objects.exists()
    assert users_sync.last_success_at is None


def without(oa, field):
    entity = oa.entities.get(name="users")
    entity.schema["fields"] = [one for one in entity.schema["fields"] if one["name"] != field]
    entity.save()


def test_a_filter_that_no_longer_fits_fails_the_run_with_a_sentence(oa, users_sync, by, run_now):
    users_sync.filter = "status = 1"
    users_sync.save()
    without(oa, "status")

    run = run_now(users_sync)

    assert run.state == "failed"
    assert run.error["template"].startswith("The filter no longer fits")


def test_a_run_that_cannot_be_moved_on_does_not_hold_up_the_others(users_sync, by, monkeypatch):
    tried = []

    def advance(run_id):
        tried.append(run_id)
        raise RuntimeError("broken")

    runs = [services.start_run(users_sync, by=by, dry=True) for _number in range(2)]
    Partition.objects.update(state="compared")
    monkeypatch.setattr(stages, "advance", advance)

    stages.sweep()

    assert sorted(tried) == [run.pk for run in runs]


def test_the_slots_of_both_sides_of_a_pair_differ(users_sync):
    there = prints.slots_of(users_sync.pair, "b", ["name", "email"])
    back = prints.slots_of(users_sync.pair, "a", ["name", "email", "phone"])

    assert not {*there} & {*back}
    assert prints.slots_of(users_sync.pair, "b", ["email", "name", "title"]) == [there[1], there[0], max(back) + 1]


def test_large_whole_numbers_are_ordered_as_what_they_are():
    newest = max([("9007199254740993", "a"), ("9007199254740992", "b")], key=lambda row: schedule.cursor_order(FieldType.INTEGER, *row))

    assert newest == ("9007199254740993", "a")


def test_a_run_that_is_ended_the_moment_it_fails_says_why(oa, users_sync, by, run_now, monkeypatch):
    fence = Lease.fence

    def seen_by_the_sweep(lease, **changes):
        fence(lease, **changes)
        if changes.get("state") == "failed":
            transaction.on_commit(lambda: (Partition.objects.filter(pk=lease.row_id).update(lease_until=None), stages.sweep()))

    monkeypatch.setattr(Lease, "fence", seen_by_the_sweep)
    without(oa, "email")

    run = run_now(users_sync)

    assert run.state == "failed"
    assert run.error["template"].startswith("The mapping no longer fits")
