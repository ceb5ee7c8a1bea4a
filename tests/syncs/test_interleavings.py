"""What people and workers do at the same time: pausing, cancelling, replaying and changing settings while a run is going."""

import threading

import pytest
from django.db import connections

from integration_hub.syncs import carrying, reading, services, stages
from integration_hub.syncs.models import Link, OpenRow, Partition, Run, SyncCursor
from tests.syncs.conftest import finish

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
