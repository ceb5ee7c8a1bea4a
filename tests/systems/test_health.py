from datetime import timedelta

import pytest
from django.utils import timezone

from connectors.base import SettingsError, SystemDown
from integration_hub.accounts.actor import Actor
from integration_hub.accounts.models import Mail
from integration_hub.audit.models import Entry
from integration_hub.core import dispatch, texts
from integration_hub.systems import health, services, tasks
from integration_hub.systems.connection import connect
from integration_hub.systems.models import HealthCheck, System
from tests.fakes import MemoryConnector, Store

pytestmark = pytest.mark.django_db


@pytest.fixture
def sent(monkeypatch):
    """What was given to the workers: [(task, row), …]."""
    sent = []
    monkeypatch.setattr(dispatch, "send", lambda task, row, queue="bulk": sent.append((task, row)))
    return sent


@pytest.fixture
def crm(make_system):
    return make_system(next_check_at=timezone.now() - timedelta(seconds=1))


def goes_down():
    MemoryConnector.stores.setdefault("crm", Store()).is_down = True


def comes_up():
    MemoryConnector.stores["crm"].is_down = False


def test_a_check_that_is_answered_makes_the_system_reachable(crm, operator):
    check = services.check_system(crm, by=operator)

    assert (check.ok, check.latency_ms, crm.state, crm.latency_ms) == (True, 12, "reachable", 12)
    assert crm.next_check_at > timezone.now() + timedelta(seconds=50)


def test_a_check_that_fails_says_why_and_since_when(crm, operator):
    goes_down()
    services.check_system(crm, by=operator)
    since = crm.state_since

    services.check_system(crm, by=operator)

    assert (crm.state, crm.error_text) == ("unreachable", "CRM does not answer at crm.")
    assert crm.state_since == since
    assert HealthCheck.objects.filter(ok=False).count() == 2


def test_a_connector_that_breaks_is_a_finding_about_its_system(crm, operator, monkeypatch):
    monkeypatch.setattr(MemoryConnector, "check", lambda self: 1 / 0)

    services.check_system(crm, by=operator)

    assert (crm.state, crm.error_text) == ("unreachable", "The connector memory failed: ZeroDivisionError.")


def test_a_system_is_sent_to_the_workers_once_when_it_is_due(crm, make_system, sent):
    make_system("ERP", next_check_at=timezone.now() + timedelta(minutes=1))
    make_system("OA", next_check_at=None)

    health.send_due_checks()
    health.send_due_checks()

    assert sent == [(tasks.check_system, crm.pk)]


def test_history_is_kept_for_a_week(crm):
    for days in (1, 8, 9):
        HealthCheck.objects.create(system=crm, ok=True)
        HealthCheck.objects.filter(pk=HealthCheck.objects.latest("pk").pk).update(at=timezone.now() - timedelta(days=days))

    health.prune_history()

    assert HealthCheck.objects.count() == 1


def test_going_down_and_coming_up_are_mailed_once_each_to_those_who_asked(crm, person, sent):
    person("operator", mail_system_down=True)
    person("viewer")
    hub = Actor.hub()

    for change in (lambda: None, goes_down, lambda: None, comes_up):
        change()
        services.check_system(crm, by=hub)
        health.tell_state(crm.pk)
        health.tell_state(crm.pk)

    down, up = Mail.objects.order_by("pk")
    assert (down.person.username, texts.render(down.subject), down.path) == ("operator", "CRM cannot be reached", "/systems/crm/")
    assert [texts.render(line) for line in down.lines] == [
        "CRM does not answer at crm.",
        "What needs it waits. You get no further mail about it until it answers again.",
    ]
    assert texts.render(up.subject) == "CRM answers again"


def test_a_grant_that_was_taken_back_is_mailed_as_such_and_not_again_when_the_system_fails_too(crm, person, sent):
    person("operator", mail_system_down=True)

    health.mark_revoked(crm, SettingsError("{system} took the access back.", system="CRM"))
    health.tell_state(crm.pk)
    health.set_state(crm, "unreachable", None)
    health.tell_state(crm.pk)

    assert [texts.render(mail.subject) for mail in Mail.objects.all()] == ["CRM must be connected again"]


def test_a_change_whose_message_was_lost_is_told_by_the_sweep(crm, sent):
    services.check_system(crm, by=Actor.hub())
    System.objects.update(state_since=timezone.now() - timedelta(minutes=1))
    sent.clear()

    health.send_due_checks()

    assert sent == [(tasks.tell_state, crm.pk)]


def test_a_revoked_grant_asks_to_reconnect_until_a_check_succeeds(crm, operator, monkeypatch):
    health.mark_revoked(crm, SettingsError("{system} took the access back.", system="CRM"))
    crm.refresh_from_db()
    assert (crm.state, crm.error_text) == ("reconnect", "CRM took the access back.")

    def refuse(self):
        raise SettingsError("No access.")

    with monkeypatch.context() as patch:
        patch.setattr(MemoryConnector, "check", refuse)
        services.check_system(crm, by=operator)
    assert crm.state == "reconnect"

    services.check_system(crm, by=operator)
    assert crm.state == "reachable"


def test_a_system_in_maintenance_is_left_alone(crm, operator, sent):
    services.start_maintenance(crm, until=timezone.now() + timedelta(hours=2), by=operator)

    health.send_due_checks()
    assert sent == []
    with pytest.raises(SystemDown, match="CRM is in maintenance") as raised, connect(crm):
        pass
    assert 7_000 < raised.value.retry_after <= 7_200

    services.check_system(crm, by=operator)  # a person may look
    assert crm.state == "maintenance"


def test_a_credential_revoked_in_maintenance_does_not_end_it(crm, operator, sent):
    services.start_maintenance(crm, until=timezone.now() - timedelta(seconds=1), by=operator)

    health.mark_revoked(crm, SettingsError("{system} no longer takes our token.", system="CRM"))

    crm.refresh_from_db()
    assert crm.state == "maintenance"
    health.send_due_checks()
    crm.refresh_from_db()
    assert (crm.state, crm.next_check_at is not None) == ("unknown", True)


def test_maintenance_ends_by_itself(crm, operator, sent):
    services.start_maintenance(crm, until=timezone.now() - timedelta(seconds=1), by=operator)

    health.send_due_checks()

    crm.refresh_from_db()
    assert crm.state == "unknown"
    assert sent == [(tasks.check_system, crm.pk)]
    assert list(Entry.objects.values_list("event", "actor_kind")) == [
        ("system.maintenance_started", "person"),
        ("system.maintenance_ended", "schedule"),
    ]
