from datetime import timedelta

import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.db.models.functions import Now

from integration_hub.core import health, heartbeat, takeup
from integration_hub.core.models import Heartbeat

pytestmark = [pytest.mark.django_db, pytest.mark.broker]


@pytest.fixture
def alive(db):
    """A function that makes something say that it lives: alive("bulk@one", queues=["bulk"])."""

    def make(name, kind=Heartbeat.Kind.WORKER, queues=()):
        heartbeat.Beating(name, kind=kind, queues=list(queues)).beat()

    return make


@pytest.fixture
def whole(alive):
    alive("quick@one", queues=["interactive", "events"])
    alive("bulk@one", queues=["bulk"])
    alive("scheduler@one", kind=Heartbeat.Kind.SCHEDULER)


def test_readiness_is_told_part_by_part(client, whole):
    answer = client.get("/readyz")

    assert answer.json() == dict.fromkeys(["database", "migrations", "storage", "space", "broker", "workers", "scheduler"], "ok")
    assert answer.status_code == 200


def test_without_workers_it_is_not_ready(client):
    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["workers"] == "No worker is running."
    assert answer.json()["scheduler"] == "No scheduler is running."


def test_a_queue_that_nobody_serves_is_named(alive):
    alive("bulk@one", queues=["bulk"])

    assert health.parts()["workers"] == "No worker serves interactive, events."


def test_a_worker_not_seen_for_twenty_seconds_does_not_count(whole):
    Heartbeat.objects.filter(name="bulk@one").update(seen_at=Now() - timedelta(seconds=21))

    assert health.parts()["workers"] == "No worker serves bulk."


def test_a_worker_that_beats_again_keeps_its_row(alive):
    alive("bulk@one", queues=["bulk"])
    alive("bulk@one", queues=["bulk", "events"])

    assert Heartbeat.objects.get().queues == ["bulk", "events"]


def test_a_worker_lost_for_a_day_is_forgotten(whole):
    Heartbeat.objects.filter(name="bulk@one").update(seen_at=Now() - timedelta(days=2))

    heartbeat.forget_lost()

    assert set(Heartbeat.objects.values_list("name", flat=True)) == {"quick@one", "scheduler@one"}


def test_a_broker_that_is_away_is_said_without_its_address(whole, settings):
    settings.BROKER_URL = "redis://user:secret@127.0.0.1:1/0"

    parts = health.parts()

    assert parts["broker"].startswith("It does not answer (")
    assert "secret" not in str(parts)
    assert not health.is_ready(parts)


@pytest.mark.django_db(transaction=True)
def test_being_alive_needs_no_database(client, django_assert_num_queries):
    with connection.execute_wrapper(lambda *_: pytest.fail("asked the database")):
        assert client.get("/healthz").json() == {"status": "ok"}


def test_a_probe_may_ask_by_address_and_is_not_redirected(client, settings):
    settings.SECURE_SSL_REDIRECT = True

    assert client.get("/healthz", headers={"host": "10.1.2.3:8000"}).status_code == 200


def test_a_database_of_another_release_is_said(whole):
    MigrationRecorder.Migration.objects.create(app="core", name="0999_newer")

    told = "The database is of a newer release (core.0999_newer is not known here): bring this machine to that release."
    assert health.parts()["migrations"] == told


def test_workers_that_take_up_no_work_are_named_where_a_queue_lacks_them(alive, monkeypatch):
    monkeypatch.setattr(takeup, "refusal", lambda: "The database is of a newer release.")
    alive("bulk@one", queues=["bulk"])
    monkeypatch.setattr(takeup, "refusal", lambda: "")
    alive("quick@one", queues=["interactive", "events"])

    assert health.parts()["workers"] == "No worker serves bulk. Some take up no work, and say why in their logs: bulk@one."
