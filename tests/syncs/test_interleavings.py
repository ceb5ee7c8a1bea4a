"""What people and workers do at the same time: pausing, cancelling, replaying and changing settings while a run is going."""

import time

import pytest

from integration_hub.syncs import carrying, pipeline, reading, services, stages
from integration_hub.syncs.models import Link, OpenRow, Partition, Run, SyncCursor
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
    monkeypatch.setattr(stages, "send", lambda pk: sent.append(Partition.objects.to_carry().filter(pk=pk).exists()))

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


def slow_record(monkeypatch):
    record = pipeline.record

    def slow(*args):
        time.sleep(0.5)
        record(*args)

    monkeypatch.setattr(pipeline, "record", slow)


@pytest.mark.parametrize("compare_first", [False, True])
def test_of_two_records_that_mean_the_same_target_record_only_the_first_is_written(sandbox, oa, crm, by, run_now, monkeypatch, compare_first):
    source, target = oa.entities.get(name="users"), crm.entities.get(name="users")
    fields = [{**one, "source": "mobile"} if one["target"] == "employee_id" else one for one in USERS_TO_USERS["fields"]]
    mapping = published("Users", source, target, {**USERS_TO_USERS, "fields": fields})
    sync = services.create_sync(
        by=by, source=source, target=target, name="Users", mapping=mapping, mode="incremental", compare_first=compare_first
    )
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
