"""When syncs run by themselves: late ones once, busy ones later, and by the clocks of their own time zone."""

from datetime import UTC, datetime, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from connectors.base import Field, FieldType
from integration_hub.syncs import due, schedule, services
from integration_hub.syncs.models import Pair, Run, Sync
from integration_hub.systems.models import Entity, System
from tests.fakes import CONTACTS

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.broker]


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


TIMES = [  # crontab, zone, after, the next two (all in UTC)
    ("0 2 * * *", "UTC", "2026-03-01T00:00", ["2026-03-01T02:00", "2026-03-02T02:00"]),
    ("0 9 * * 1-5", "Asia/Shanghai", "2026-11-20T08:00", ["2026-11-23T01:00", "2026-11-24T01:00"]),
    ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00", ["2026-03-29T01:00", "2026-03-30T00:30"]),  # half past two does not exist: at three
    ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00", ["2026-10-25T00:30", "2026-10-26T01:30"]),  # comes twice: runs once
    ("*/30 * * * *", "Europe/Berlin", "2026-10-25T00:15", ["2026-10-25T00:30", "2026-10-25T01:00"]),  # every half hour goes on through it
]


@pytest.mark.parametrize(("crontab", "zone", "after", "expected"), TIMES)
def test_a_crontab_goes_by_the_clocks_of_its_zone(crontab, zone, after, expected):
    sync = Sync(crontab=crontab, time_zone=zone)

    first = schedule.next_due(sync, after=at(after))
    second = schedule.next_due(sync, after=first)

    assert [first, second] == [at(text) for text in expected]


@pytest.mark.parametrize(
    ("settings", "field", "sentence"),
    [
        ({"crontab": "61 * * * *"}, "crontab", "“61 * * * *” is no crontab"),
        ({"crontab": "0 2 30 2 *"}, "crontab", "“0 2 30 2 *” is no crontab: its day of the month is wrong."),
        ({"crontab": "* * * * * *"}, "crontab", "“* * * * * *” is no crontab: five fields"),
        ({"crontab": "0 2 * * *", "interval_seconds": 60}, "crontab", "Give an interval or a crontab, not both."),
        ({"interval_seconds": 1}, "interval_seconds", "The shortest interval is 5 seconds."),
        ({"time_zone": "Mars/Olympus"}, "time_zone", "There is no time zone Mars/Olympus; names look like Asia/Shanghai."),
    ],
)
def test_a_schedule_that_cannot_be_is_refused_with_its_field(users_sync, by, settings, field, sentence):
    with pytest.raises(ValidationError) as refusal:
        services.change_sync(users_sync, by=by, **settings)

    assert refusal.value.message_dict[field][0].startswith(sentence)


@pytest.fixture
def late(users_sync, by):
    """A sync of every minute that should have run an hour ago."""
    sync = services.change_sync(users_sync, by=by, interval_seconds=60)
    Sync.objects.filter(pk=sync.pk).update(next_due_at=timezone.now() - timedelta(hours=1))
    return sync


def test_a_late_sync_runs_once(late):
    due.start_due_syncs()
    due.start_due_syncs()

    run = Run.objects.get()
    assert (run.trigger, run.actor_kind) == ("schedule", "schedule")
    late.refresh_from_db()
    assert timedelta(seconds=50) < late.next_due_at - timezone.now() <= timedelta(seconds=60)


def test_a_sync_whose_pair_is_busy_stays_due_and_runs_once_it_is_free(late, by):
    going = services.start_run(late, by=by)

    due.start_due_syncs()
    assert Run.objects.get() == going
    assert Sync.objects.due().get() == late

    Run.objects.filter(pk=going.pk).update(ended_at=timezone.now(), state="cancelled")
    due.start_due_syncs()
    assert Run.objects.count() == 2
    assert not Sync.objects.due().exists()


def test_a_paused_sync_does_not_run_and_catches_up_once(late, by):
    services.pause_sync(late, by=by)
    due.start_due_syncs()
    assert not Run.objects.exists()

    services.resume_sync(late, by=by)
    due.start_due_syncs()
    due.start_due_syncs()
    assert Run.objects.count() == 1


def test_a_sync_that_cannot_run_waits_for_its_next_time(late):
    late.mapping.versions.all().delete()

    due.start_due_syncs()

    assert not Run.objects.exists()
    assert not Sync.objects.due().exists()


def test_a_wrong_crontab_is_told_beside_a_wrong_time_zone():
    found = schedule.problems(Sync(crontab="61 * * * *", time_zone="Mars/Olympus"))

    assert set(found) == {"crontab", "time_zone"}


@pytest.mark.parametrize("type_", [FieldType.NUMBER, FieldType.DECIMAL])
@pytest.mark.parametrize("value", ["NaN", "Infinity", "-inf", "sNaN"])
def test_a_cursor_of_numbers_is_a_finite_one(type_, value):
    schema = CONTACTS.model_copy(update={"fields": (Field(name="n", type=type_),), "cursor_field": "n", "key": ("n",)})
    side = Entity(name="numbers", schema=schema.model_dump(mode="json"), system=System(name="CRM"))

    with pytest.raises(ValidationError, match="is not a number"):
        schedule.cursor_value(Sync(pair=Pair(a=side, b=side)), value)
