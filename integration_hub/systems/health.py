"""The state of a system: looked at on a schedule, changed by one conditional UPDATE, told once."""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from connectors.base import ConnectorError, SettingsError, Text, _
from integration_hub.accounts import mail
from integration_hub.accounts.actor import Actor
from integration_hub.accounts.models import User
from integration_hub.audit import services as audit
from integration_hub.core import dispatch, texts
from integration_hub.systems.connection import connect
from integration_hub.systems.consent import awaits_a_person
from integration_hub.systems.models import HealthCheck, System

KEPT = timedelta(days=7)
AT_ONCE = 500  # rows that one sweep handles

State = System.State
log = logging.getLogger(__name__)


def check_system(system: System, *, by: Actor) -> HealthCheck:
    """Ask the system whether it can be spoken to, and keep the answer as its state and in its history."""
    by.require("systems.check", system)
    error, latency_ms = _ask(system)
    check = HealthCheck(system=system, ok=error is None, latency_ms=latency_ms, error=texts.stored(error.text) if error else None)
    with transaction.atomic():
        check.save()
        due = timezone.now() + timedelta(seconds=system.check_interval_seconds)
        System.objects.filter(pk=system.pk, next_check_at__isnull=False).update(next_check_at=due)
        if error is None:
            System.objects.filter(pk=system.pk).update(last_answer_at=Now(), latency_ms=latency_ms)
        set_state(system, _state_after(system, error), check.error)
    system.refresh_from_db()
    return check


def _ask(system: System) -> tuple[ConnectorError | None, int | None]:
    started = time.monotonic()
    deadline = started + 2 * system.time_out_seconds
    try:
        with connect(system, deadline=lambda: deadline, for_check=True) as connector:
            connector.check()
            seconds = getattr(connector.host, "last_seconds", None)
    except ConnectorError as error:
        return error, None
    except Exception as error:  # a fault of the connector itself, perhaps a third party's, is a finding about this system and stops no other check
        log.exception("connector failed", extra={"system": system.name})
        return SettingsError(_("The connector {connector} failed: {error}."), connector=system.connector, error=type(error).__name__), None
    return None, round(1000 * (time.monotonic() - started if seconds is None else seconds))


def _state_after(system: System, error: ConnectorError | None) -> str:
    current = System.objects.values_list("state", flat=True).get(pk=system.pk)
    if current == State.MAINTENANCE:
        return current
    if error is None:
        return State.REACHABLE
    waits_for_a_person = isinstance(error, SettingsError) and (current == State.RECONNECT or awaits_a_person(system))
    return State.RECONNECT if waits_for_a_person else State.UNREACHABLE


def set_state(system: System, state: str, error: dict[str, Any] | None) -> None:
    """Make it so, and have it told to those who asked, if it is news. Maintenance is ended only by whom or what began it."""
    mine = System.objects.filter(pk=system.pk).exclude(state=State.MAINTENANCE)
    if mine.exclude(state=state).update(state=state, state_since=Now(), error=error):
        from integration_hub.systems import tasks

        dispatch.send(tasks.tell_state, system.pk, queue="interactive")
    else:
        mine.update(error=error)


def mark_revoked(system: System, error: SettingsError) -> None:
    """The system takes our refresh token no longer: a person must give the hub access again."""
    with transaction.atomic():
        set_state(system, State.RECONNECT, texts.stored(error.text))


# --- on a schedule ----------------------------------------------------------------------------------------------------


def send_due_checks() -> None:
    """The sweep: hand every due system to the workers, once, whoever else sweeps at the same time."""
    from integration_hub.systems import tasks

    end_due_maintenance()
    for pk, interval in System.objects.due().values_list("pk", "check_interval_seconds")[:AT_ONCE]:
        if System.objects.due().filter(pk=pk).update(next_check_at=timezone.now() + timedelta(seconds=interval)):
            dispatch.send(tasks.check_system, pk, queue="interactive")
    for pk in System.objects.untold().values_list("pk", flat=True)[:AT_ONCE]:
        dispatch.send(tasks.tell_state, pk, queue="interactive")


def prune_history() -> None:
    """The sweep: forget checks older than a week."""
    old = HealthCheck.objects.filter(at__lt=timezone.now() - KEPT).order_by("at").values_list("pk", flat=True)[:AT_ONCE]
    if found := list(old):
        HealthCheck.objects.filter(pk__in=found).delete()


def tell_state(system_id: int) -> None:
    """Tell by e-mail that a system went down or came up, to those who ask for it; each change once."""
    system = System.objects.filter(pk=system_id).first()
    if system is None or system.told_state == system.state:
        return
    with transaction.atomic():
        if not System.objects.filter(pk=system_id, told_state=system.told_state).update(told_state=system.state):
            return
        if said := _news(system, before=system.told_state):
            about = f"system.{system.state}/{system.pk}/{system.state_since}"
            mail.write_to(User.objects.filter(mail_system_down=True), about, *said, path=_page(system))


def _news(system: System, *, before: str) -> tuple[Text, ...]:
    """What a mail has to say of this change of state: its subject and its lines; () where nobody has to know."""
    down, name = (State.UNREACHABLE, State.RECONNECT), {"system": system.name}
    if system.state == State.RECONNECT and awaits_a_person(system):
        return ()  # it was only just registered: whoever did that is about to connect it
    if system.state in down and before not in down:
        subject = _("{system} must be connected again") if system.state == State.RECONNECT else _("{system} cannot be reached")
        waits = Text(_("What needs it waits. You get no further mail about it until it answers again."))
        return Text(subject, name), Text("{error}", {"error": system.error or ""}), waits
    if system.state == State.REACHABLE and before in down:
        return Text(_("{system} answers again"), name), Text(_("What waited for it goes on by itself."))
    return ()


def _page(system: System) -> str:
    try:
        return reverse("systems:detail", args=[system.slug])
    except NoReverseMatch:
        return ""


# --- maintenance ------------------------------------------------------------------------------------------------------


def start_maintenance(system: System, *, by: Actor, until: Any = None) -> None:
    """Leave the system alone until `until`, or until somebody ends it: no checks, no alarms; syncs wait."""
    by.require("systems.check", system)
    with transaction.atomic():
        System.objects.filter(pk=system.pk).update(
            state=State.MAINTENANCE, state_since=Now(), error=None, maintenance_until=until, next_check_at=None, told_state=State.MAINTENANCE
        )
        audit.record("system.maintenance_started", system, by=by, changes={"maintenance_until": ["", str(until or "")]})
    system.refresh_from_db()


def end_maintenance(system: System, *, by: Actor) -> None:
    """Go on: the next check tells the state."""
    by.require("systems.check", system)
    with transaction.atomic():
        in_maintenance = System.objects.filter(pk=system.pk, state=State.MAINTENANCE)
        if in_maintenance.update(state=State.UNKNOWN, state_since=Now(), maintenance_until=None, next_check_at=Now(), told_state=State.UNKNOWN):
            audit.record("system.maintenance_ended", system, by=by)
    system.refresh_from_db()


def end_due_maintenance() -> None:
    for system in System.objects.filter(state=State.MAINTENANCE, maintenance_until__lte=Now()):
        end_maintenance(system, by=Actor.schedule())
