"""When a sync is due: every so many seconds, or by a crontab in a time zone. Due times live in rows; a late one runs once.

A sync may have more than one schedule: its own, and with a prefix of the fields those of other runs: with `roster_` over the source's keys alone, with
`reconcile_` the reconcile runs.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from connectors.base import FieldType
from integration_hub.syncs.models import Sync

ROSTER, RECONCILE = "roster_", "reconcile_"
SCHEDULES = {"": "next_due_at", ROSTER: "roster_due_at", RECONCILE: "reconcile_due_at"}  # prefix of a schedule's fields → when it is due
NUMBERS = (FieldType.INTEGER, FieldType.NUMBER, FieldType.DECIMAL)


def fields(prefix: str = "") -> tuple[str, str, str]:
    """The names of a schedule's fields: interval, crontab, and the time zone, which all schedules of a sync share."""
    return f"{prefix}interval_seconds", f"{prefix}crontab", "time_zone"


def is_set(sync: Sync, prefix: str = "") -> bool:
    return any(getattr(sync, name) for name in fields(prefix)[:2])


def next_due(sync: Sync, prefix: str = "", *, after: datetime | None = None) -> datetime | None:
    """The next time the sync is to run by this schedule; None where it only runs by hand.

    A crontab is taken in the sync's time zone, and, where clocks are turned, as cronsim documents it: a time that is skipped runs at the next
    one there is, a time that comes twice runs once (https://github.com/cuu508/cronsim).
    """
    now = after or timezone.now()
    interval, crontab, zone = (getattr(sync, name) for name in fields(prefix))
    if interval:
        return now + timedelta(seconds=interval)
    if crontab:
        return next(CronSim(crontab, now.astimezone(ZoneInfo(zone)))).astimezone(UTC)
    return None


def problems(sync: Sync, prefix: str = "") -> dict[str, str]:
    """What is wrong with a schedule of a sync, by field."""
    found: dict[str, str] = {}
    named = fields(prefix)
    interval, crontab, zone = (getattr(sync, name) for name in named)
    if interval and crontab:
        found[named[1]] = _("Give an interval or a crontab, not both.")
    if interval is not None and interval < 5:
        found[named[0]] = _("The shortest interval is 5 seconds.")
    if zone not in available_timezones():
        found[named[2]] = _("There is no time zone {name}; names look like Asia/Shanghai.").format(name=zone)
    if crontab and (wrong := _wrong_with(crontab)):
        found[named[1]] = wrong
    return found


def _wrong_with(crontab: str) -> str:
    """What is wrong with its crontab. cronsim also takes six fields, the first of them seconds, which would undo the shortest interval."""
    if len(crontab.split()) == 5:
        try:
            next(CronSim(crontab, timezone.now()))
        except (CronSimError, StopIteration) as error:
            if part := _PARTS.get(str(error)):
                return _("“{crontab}” is no crontab: its {part} is wrong. Five fields, such as 0 2 * * 1-5.").format(crontab=crontab, part=_(part))
        else:
            return ""
    return _("“{crontab}” is no crontab: five fields, such as 0 2 * * 1-5.").format(crontab=crontab)


_PARTS = {
    "Bad minute": gettext_noop("minute"),
    "Bad hour": gettext_noop("hour"),
    "Bad day-of-month": gettext_noop("day of the month"),
    "Bad month": gettext_noop("month"),
    "Bad day-of-week": gettext_noop("day of the week"),
}


def cursor_value(sync: Sync, text: str) -> str:
    """A cursor value as a person gave it, in canonical text. Raises ValidationError."""
    schema = sync.source.as_schema()
    field = schema.field(schema.cursor_field or "")
    if schema.capabilities.own_cursor:
        raise ValidationError(
            {"value": _("{entity} has a cursor of its system's own. Leave it empty, so that everything is read.").format(entity=sync.source)}
        )
    if field is None:
        raise ValidationError({"value": _("{entity} has no cursor.").format(entity=sync.source)})
    try:
        if field.type == FieldType.DATETIME:
            moment = datetime.fromisoformat(text)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        if field.type == FieldType.DATE:
            return date.fromisoformat(text).isoformat()
        if field.type == FieldType.INTEGER:
            return str(int(text))
        if field.type in (FieldType.NUMBER, FieldType.DECIMAL):
            number = Decimal(text)
            if not number.is_finite():
                raise ValueError(text)
            return format(number.normalize(), "f")
    except (ValueError, OverflowError, InvalidOperation):
        raise ValidationError({"value": _(_WANTED[field.type]).format(value=text)}) from None
    return text


_WANTED = {
    FieldType.DATETIME: gettext_noop("“{value}” is not a date and time, such as 2026-11-22T08:00:00Z."),
    FieldType.DATE: gettext_noop("“{value}” is not a date, such as 2026-11-22."),
    FieldType.INTEGER: gettext_noop("“{value}” is not a whole number."),
    FieldType.NUMBER: gettext_noop("“{value}” is not a number."),
    FieldType.DECIMAL: gettext_noop("“{value}” is not a number."),
}


def cursor_order(kind: FieldType, value: str, key: str) -> tuple[Any, str]:
    """Orders cursors: numbers as numbers, all else as their canonical text."""
    return (Decimal(value) if kind in NUMBERS else value, key)


def read_again_from(kind: FieldType, value: str, lookback_seconds: int) -> str:
    """From where an incremental run reads whose cursor stands at `value`: so long before it, where it is a moment."""
    if kind != FieldType.DATETIME:
        return value
    return (datetime.fromisoformat(value) - timedelta(seconds=lookback_seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
