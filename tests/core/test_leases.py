"""A row is worked on by one holder at a time, and a holder that slept past its lease changes nothing."""

from contextlib import ExitStack
from datetime import timedelta

import pytest
from django.db import OperationalError, connection, transaction
from django.db.models.functions import Now

from integration_hub.core import leases
from integration_hub.core.leases import LeaseLost
from integration_hub.mappings.models import Mapping, MappingVersion
from integration_hub.syncs.models import Pair, Partition, Run
from integration_hub.systems.models import Entity, System

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def row():
    system = System.objects.create(name="CRM", slug="crm", connector="rest")
    a, b = (Entity.objects.create(system=system, name=name, schema={}) for name in ("a", "b"))
    mapping = Mapping.objects.create(name="a to b", source=a, target=b)
    version = MappingVersion.objects.create(mapping=mapping, number=1, definition={}, source_schema={}, target_schema={})
    run = Run.objects.create(pair=Pair.objects.create(a=a, b=b), name="a to b", direction="a_to_b", mode="full", mapping_version=version)
    return Partition.objects.create(run=run)


def seen(row):
    return Partition.objects.get(pk=row.pk)


def let_it_run_out(row):
    Partition.objects.filter(pk=row.pk).update(lease_until=Now() - timedelta(seconds=1))


def test_only_the_first_takes_a_free_row(row):
    first, second = seen(row), seen(row)

    assert leases.take(first) is not None
    assert leases.take(second) is None
    assert leases.take(seen(row)) is None


def test_a_row_that_was_given_back_is_free_again_and_nothing_was_lost(row):
    with leases.take(seen(row)):
        assert not Partition.objects.free().exists()

    assert Partition.objects.free().get().lost_leases == 0


def test_a_row_is_given_back_as_soon_as_the_database_is_there_again(row, monkeypatch):
    monkeypatch.setattr(leases, "GIVE_BACK_AGAIN_SECONDS", 0.01)
    tries_while_away = iter(range(2))

    def away(execute, *asked):
        if next(tries_while_away, None) is not None:
            raise OperationalError("server closed the connection unexpectedly")
        return execute(*asked)

    with ExitStack() as stack, leases.take(seen(row)):
        stack.enter_context(connection.execute_wrapper(away))

    assert next(tries_while_away, None) is None
    assert Partition.objects.free().get().lost_leases == 0


def test_a_lease_that_ran_out_may_be_taken_and_counts_as_lost(row):
    leases.take(seen(row))
    let_it_run_out(row)

    assert leases.take(seen(row)).number == 2
    assert seen(row).lost_leases == 1


def test_a_holder_that_was_overtaken_commits_nothing(row):
    slept = leases.take(seen(row))
    let_it_run_out(row)
    leases.take(seen(row))

    def commit():
        with transaction.atomic():
            Partition.objects.filter(pk=row.pk).update(read_count=7)
            slept.fence(page_number=1)

    with pytest.raises(LeaseLost):
        commit()
    assert (seen(row).read_count, seen(row).page_number) == (0, 0)


def test_every_commit_renews_the_lease_and_forgets_what_was_lost(row):
    leases.take(seen(row))
    let_it_run_out(row)
    lease = leases.take(seen(row))
    before, deadline = seen(row).lease_until, lease.deadline

    lease.fence(page_number=3)

    now = seen(row)
    assert (now.page_number, now.lost_leases) == (3, 0)
    assert now.lease_until >= before
    assert lease.deadline >= deadline


def test_the_heartbeat_renews_what_is_held(row, monkeypatch):
    monkeypatch.setattr(leases, "HEARTBEAT_SECONDS", 0.05)
    with leases.take(seen(row)) as lease:
        soon = lease.deadline - 10
        lease.deadline = soon
        while lease.deadline == soon:
            lease._ended.wait(0.01)

        assert lease.deadline > soon


def test_a_holder_stops_before_anyone_else_may_begin(row):
    lease = leases.take(seen(row))
    lease.check()

    lease.deadline = 0.0

    with pytest.raises(LeaseLost):
        lease.check()
