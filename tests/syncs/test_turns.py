"""Turns: who is carried next, where more runs are going than there are slots for them."""

from datetime import timedelta

import pytest
from django.db.models import F, Sum
from django.db.models.functions import Now
from django.utils import timezone

from integration_hub.core import leases
from integration_hub.core.models import Heartbeat
from integration_hub.syncs import carrying, services, stages, tasks
from integration_hub.syncs.models import SEND_AGAIN_AFTER, TURN_SECONDS, Partition, Run
from tests import brokers
from tests.syncs.conftest import finish
from tests.syncs.linked import accounts_sync, company

__all__ = ["accounts_sync", "company"]
pytestmark = pytest.mark.django_db(transaction=True)

ENTITIES = {"accounts": "customers", "contacts": "people", "employees": "staff", "leads": "partners"}


@pytest.fixture(autouse=True)
def nothing_sent(db):
    brokers.taken("bulk")


@pytest.fixture
def slots():
    """Have a worker with so many slots be seen."""

    def seen(count):
        Heartbeat.objects.create(name="bulk@here", kind="worker", host="here", queues=["bulk"], slots=count, version="1", seen_at=Now())

    return seen


@pytest.fixture
def start(company, by):
    """Start a run of a sync of the company's, with sixty records to bring where it is `long`."""

    def started(source, *, long=False):
        if long:
            company.run("CRM", f"INSERT INTO {source} (id, name) VALUES (?, ?)", *((n, f"Name {n}") for n in range(1, 61)))
        return services.start_run(company.sync(source, ENTITIES[source]), by=by)

    return started


@pytest.fixture
def one_page_a_turn(company, monkeypatch):
    for system in (company.crm, company.erp):
        system.settings["connection"]["page_rows"] = 5
        system.save()
    monkeypatch.setattr(carrying, "SLICE_SECONDS", 0.0)
    monkeypatch.setattr("integration_hub.syncs.reading.PAGE_SECONDS", 0.0)


def messages():
    """What was sent since this was asked last: (partition, number of its message)."""
    return [tuple(arguments) for task, arguments in brokers.taken("bulk") if task == tasks.carry_partition.name]


def age(**of):
    """As if so long had passed that a message not taken is lost."""
    Partition.objects.filter(**of).update(sent_at=F("sent_at") - SEND_AGAIN_AFTER - timedelta(seconds=1))


def turns():
    return list(Run.objects.order_by("pk").annotate(turns=Sum("partitions__lease_number")).values_list("turns", flat=True))


def test_no_more_is_sent_than_there_are_slots_however_long_the_others_wait(start, slots):
    slots(2)
    runs = [start(source) for source in ENTITIES]
    sent = messages()
    assert [partition for partition, __ in sent] == [run.partitions.get().pk for run in runs[:2]]

    Partition.objects.filter(pk__in=dict(sent)).update(state="leased", lease_until=Now() + timedelta(seconds=20), lease_number=1)
    for __ in range(8):
        age(sent_at__isnull=False)
        stages.sweep()

    assert messages() == []


def test_while_no_worker_is_there_messages_do_not_gather(start, slots):
    start("accounts")
    sent = messages()
    for __ in range(8):
        age()
        stages.sweep()
    assert messages() == []

    slots(2)
    stages.sweep()

    assert [partition for partition, __ in messages()] == [partition for partition, __ in sent]


def test_only_the_newest_message_is_taken_and_only_once(start, slots, one_page_a_turn):
    slots(1)
    start("accounts", long=True)
    (lost,) = messages()
    age()
    stages.sweep()
    (newest,) = messages()

    tasks.carry_partition(*lost)
    assert turns() == [0]
    tasks.carry_partition(*newest)
    (following,) = messages()
    tasks.carry_partition(*newest)
    assert turns() == [1]
    tasks.carry_partition(*following)

    assert turns() == [2]


def test_a_message_that_comes_again_when_its_turn_is_over_gives_no_other(start, slots, one_page_a_turn, monkeypatch):
    slots(1)
    start("accounts", long=True)
    (sent,) = messages()
    with monkeypatch.context() as away:
        away.setattr(stages, "feed", lambda: None)
        tasks.carry_partition(*sent)

        tasks.carry_partition(*sent)

    assert turns() == [1]
    assert messages() == []


def test_a_message_that_comes_again_after_its_worker_was_lost_goes_on_with_the_work(start, slots):
    slots(1)
    run = start("accounts", long=True)
    (sent,) = messages()
    leases.take(Partition.objects.get())
    Partition.objects.update(state="leased", lease_until=Now() - timedelta(seconds=1))

    tasks.carry_partition(*sent)

    run.refresh_from_db()
    assert (run.state, run.counts["created"]) == ("succeeded", 60)


def test_what_a_lost_worker_held_goes_before_the_parts_and_runs_that_wait_for_their_first_turn(start, slots):
    slots(2)
    run, other = start("accounts"), start("contacts")
    lost = run.partitions.get()
    Partition.objects.bulk_create(Partition(run=run, number=number, wanted_done=True) for number in range(2, 9))
    Partition.objects.filter(pk=lost.pk).update(state="leased", lease_until=Now() + timedelta(seconds=20), lease_number=1, wanted_done=True)
    Partition.objects.filter(run=other).update(state="leased", lease_until=Now() + timedelta(seconds=20), lease_number=1)
    start("employees")
    messages()

    age(pk=lost.pk)
    Partition.objects.filter(pk=lost.pk).update(lease_until=Now() - timedelta(seconds=1))
    stages.sweep()

    assert [partition for partition, __ in messages()] == [lost.pk]


def test_long_runs_take_turns(start, slots, one_page_a_turn, monkeypatch):
    slots(2)
    runs = [start(source, long=True) for source in ENTITIES]
    waiting = messages()

    for __ in range(20):
        tasks.carry_partition(*waiting.pop(0))
        waiting += messages()
        assert len(waiting) <= 2

    assert turns() == [5] * 4
    monkeypatch.setattr(carrying, "SLICE_SECONDS", TURN_SECONDS)
    for run in runs:
        assert finish(run).counts["created"] == 60


def test_a_short_run_gets_the_next_free_slot_at_every_stage(company, start, slots, by, one_page_a_turn, monkeypatch):
    slots(1)
    for source in ("contacts", "employees", "leads"):
        start(source, long=True)
    Partition.objects.update(busy_seconds=TURN_SECONDS)
    waiting = messages()
    company.accounts(1, 2)
    sync = company.sync("accounts", "customers")
    sync = services.change_sync(sync, by=by, compare_first=True)
    short = services.start_run(sync, by=by)
    assert messages() == []

    carried = []
    for __ in range(3):
        carried += waiting[:1]
        tasks.carry_partition(*waiting.pop(0))
        waiting += messages()
        monkeypatch.setattr(carrying, "SLICE_SECONDS", TURN_SECONDS)

    short.refresh_from_db()
    assert [partition == short.partitions.get().pk for partition, __ in carried] == [False, True, True]
    assert (short.state, short.counts["created"]) == ("succeeded", 2)


def test_a_run_of_many_parts_leaves_its_share_to_those_that_come(start, slots):
    slots(4)
    many = start("accounts")
    Run.objects.filter(pk=many.pk).update(state="writing")
    Partition.objects.filter(run=many).update(wanted_done=True)
    Partition.objects.bulk_create([Partition(run=many, number=n, wanted_done=True) for n in range(2, 9)])
    stages.sweep()
    assert Partition.objects.in_hand().filter(run=many).count() == 4

    other = start("contacts")
    Partition.objects.filter(run=many).exclude(sent_at=None).update(sent_at=None, state="done")
    Run.objects.filter(pk=other.pk).update(state="writing")
    Partition.objects.bulk_create([Partition(run=other, number=n, wanted_done=True) for n in range(2, 9)])
    Partition.objects.filter(run=other).update(wanted_done=True)
    stages.sweep()

    assert [Partition.objects.in_hand().filter(run=run).count() for run in (many, other)] == [2, 2]


def test_a_run_that_waits_for_its_system_takes_no_share_of_the_slots(start, slots):
    slots(2)
    waits = start("contacts")
    Partition.objects.filter(run=waits).update(not_before=timezone.now() + timedelta(minutes=10), sent_at=None)
    run = start("accounts")
    Run.objects.filter(pk=run.pk).update(state="writing")
    Partition.objects.filter(run=run).update(wanted_done=True)
    Partition.objects.bulk_create([Partition(run=run, number=n, wanted_done=True) for n in (2, 3, 4)])

    stages.sweep()

    assert Partition.objects.in_hand().filter(run=run).count() == 2
