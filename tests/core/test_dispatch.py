"""Messages on their way to the workers, over the broker that the tests run with."""

import time

import pytest
from django.db import transaction

from integration_hub.celery import app
from integration_hub.core import dispatch
from integration_hub.core.health import QUEUES
from integration_hub.core.tasks import tell
from tests.brokers import taken
from tests.threads import at_once

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.broker]


@pytest.fixture(autouse=True)
def empty(db):
    for queue in QUEUES:
        taken(queue)


@pytest.mark.parametrize("queue", QUEUES)
def test_a_message_waits_in_its_queue_and_names_one_row(queue):
    dispatch.send(tell, 7, queue=queue)

    assert {name: taken(name) for name in QUEUES} == {name: [(tell.name, [7])] if name == queue else [] for name in QUEUES}


def test_what_a_transaction_sends_comes_with_its_commit_and_never_without():
    with transaction.atomic():
        dispatch.send(tell, 1)
        before = taken("bulk")
    with transaction.atomic():
        dispatch.send(tell, 2)
        transaction.set_rollback(True)

    assert (before, taken("bulk")) == ([], [(tell.name, [1])])


def test_many_send_at_the_same_time_and_nothing_is_lost():
    at_once(*(lambda n=n: [dispatch.send(tell, n * 10 + place) for place in range(10)] for n in range(8)))

    assert sorted(row for __, [row] in taken("bulk")) == list(range(80))


def test_after_a_connection_was_cut_messages_arrive_again():
    dispatch.send(tell, 1)
    with app.producer_pool.acquire(block=True) as producer:
        producer.connection.collect()  # closes what is below it, as a server or a firewall does

    dispatch.send(tell, 2)
    dispatch.send(tell, 3)

    assert (tell.name, [3]) in taken("bulk")


@pytest.mark.parametrize("url", ["amqp://guest:guest@127.0.0.1:1//", "redis://127.0.0.1:1/0"], ids=["rabbitmq", "redis"])
def test_nobody_waits_for_a_broker_that_is_away(url, monkeypatch, caplog):
    monkeypatch.setattr(app.conf, "broker_write_url", url)
    monkeypatch.setattr(app.amqp, "_producer_pool", None)
    started = time.monotonic()

    dispatch.send(tell, 7)

    assert time.monotonic() - started < 2
    assert [record.message for record in caplog.records] == ["not sent, the sweep will"]
