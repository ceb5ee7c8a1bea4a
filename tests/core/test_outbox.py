"""What happened is told to those who listen, after the commit, at least once; a broker that is away delays it and loses nothing."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from integration_hub.core import dispatch, outbox
from integration_hub.core.models import Message

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.broker]


class Task:
    """A task that notes what was sent, or whose broker is away."""

    name = "a task"

    def __init__(self, error=None):
        self.sent, self.error = [], error

    def apply_async(self, args, **options):
        if self.error:
            raise self.error
        self.sent.append((args, options["queue"]))


@pytest.fixture
def heard(monkeypatch):
    heard = []
    monkeypatch.setitem(outbox._listeners, "run.failed", [lambda message: heard.append((message.subject, message.facts))])
    return heard


def test_work_is_sent_once_the_transaction_commits():
    task = Task()

    with transaction.atomic():
        dispatch.send(task, 7, queue="events")
        assert task.sent == []

    assert task.sent == [((7,), "events")]


def test_work_of_a_transaction_that_is_rolled_back_is_not_sent():
    task = Task()

    with transaction.atomic():
        dispatch.send(task, 7)
        transaction.set_rollback(True)

    assert task.sent == []


def test_a_broker_that_is_away_breaks_nothing():
    with transaction.atomic():
        dispatch.send(Task(error=ConnectionError()), 7)


def test_a_message_is_told_once_however_often_it_is_delivered(heard):
    message = outbox.emit("run.failed", "runs/7", name="a to b")

    outbox.tell(message.pk)
    outbox.tell(message.pk)

    assert heard == [("runs/7", {"name": "a to b"})]


def test_a_message_whose_transaction_is_rolled_back_never_was(heard):
    with transaction.atomic():
        outbox.emit("run.failed", "runs/7")
        transaction.set_rollback(True)

    assert not Message.objects.exists()


def test_a_listener_that_fails_is_told_again_later(monkeypatch, heard):
    message = outbox.emit("run.failed", "runs/7")
    with monkeypatch.context() as broken:
        broken.setitem(outbox._listeners, "run.failed", [lambda message: 1 / 0])
        with pytest.raises(ZeroDivisionError):
            outbox.tell(message.pk)

    outbox.tell(message.pk)
    assert heard == []  # not at once
    Message.objects.update(not_before=timezone.now() - timedelta(seconds=1))
    outbox.tell(message.pk)
    assert len(heard) == 1


def test_the_sweep_sends_what_was_not_told_and_forgets_what_is_old(monkeypatch):
    sent = []
    monkeypatch.setattr(dispatch, "send", lambda task, pk, queue="bulk": sent.append(pk))
    old, lost, new = (Message.objects.create(type="run.failed", subject=f"runs/{n}") for n in range(3))
    Message.objects.filter(pk=old.pk).update(handled_at=timezone.now() - outbox.KEPT - timedelta(days=1))
    Message.objects.filter(pk=lost.pk).update(at=timezone.now() - timedelta(minutes=1))

    outbox.sweep()

    assert sent == [lost.pk]
    assert set(Message.objects.values_list("pk", flat=True)) == {lost.pk, new.pk}
