"""When a sync is due: every so many seconds, or by a crontab in a time zone. Due times live in rows; a late one runs once."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext as _

from connectors.base import FieldType
from integration_hub.syncs.models import Sync


def next_due(sync: Sync, *, after: datetime | None = None) -> datetime | None:
    """The next time the sync is to run; None where it only runs by hand.

    A crontab is taken in the sync's time zone, and, where clocks are turned, as cronsim documents it: a time that is skipped runs at the next
    one there is, a time that comes twice runs once (https://github.com/cuu508/cronsim).
    """
    now = after or timezone.now()
    if sync.interval_seconds:
        return now + timedelta(seconds=sync.interval_seconds)
    if sync.crontab:
        return next(CronSim(sync.crontab, now.astimezone(ZoneInfo(sync.time_zone)))).astimezone(UTC)
    return None


def problems(sync: Sync) -> dict[str, str]:
    """What is wrong with a sync's schedule, by field."""
    found: dict[str, str] = {}
    if sync.interval_seconds and sync.crontab:
        found["crontab"] = _("Give an interval or a crontab, not both.")
    if sync.interval_seconds is not None and sync.interval_seconds < 5:
        found["interval_seconds"] = _("The shortest interval is 5 seconds.")
    if sync.time_zone not in available_timezones():
        found["time_zone"] = _("There is no time zone {name}; names look like Asia/Shanghai.").format(name=sync.time_zone)
    elif sync.crontab:
        try:
            next_due(sync)
        except (CronSimError, StopIteration) as error:
            found["crontab"] = _("“{crontab}” is no crontab: {problem}. Five fields, such as 0 2 * * 1-5.").format(
                crontab=sync.crontab, problem=error
            )
    return found


def cursor_value(sync: Sync, text: str) -> str:
    """A cursor value as a person gave it, in canonical text. Raises ValidationError."""
    schema = sync.source.as_schema()
    field = schema.field(schema.cursor_field or "")
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
            return format(Decimal(text).normalize(), "f")
    except (ValueError, InvalidOperation):
        raise ValidationError({"value": _("“{value}” is not {type}.").format(value=text, type=field.type)}) from None
    return text
