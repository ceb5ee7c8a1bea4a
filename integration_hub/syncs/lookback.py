"""Where an incremental run by numbers begins, so that nothing is passed over that was numbered before others and saved after them.

A moment says how long ago it was, a number does not. But a record that is saved late got its number while, or shortly before, others were read; so it is
greater than what the source had come to by then. Each run keeps how far that was, and the next one begins where the source stood `lookback_seconds`
before the last run that went through. Where no run is so old, everything is read.
"""

from __future__ import annotations

from datetime import timedelta

from integration_hub.syncs import openrows
from integration_hub.syncs.models import Run, Sync, SyncCursor
from integration_hub.syncs.schedule import NUMBERS, cursor_order
from integration_hub.syncs.states import ENDED_WHOLE, Trigger


def begins_at(sync: Sync, cursor: SyncCursor) -> tuple[str, str] | None:
    """The (value, key) that an incremental run starts from; None: at the beginning. For a moment it is the cursor itself (see `reading.since`)."""
    schema = sync.source.as_schema()
    field = schema.field(schema.cursor_field or "")
    runs = Run.objects.filter(sync=sync, pair=sync.pair_id, direction=sync.direction).order_by("-pk")
    whole = runs.filter(keys__isnull=True, dry=False, applies=None, undoes__isnull=True, state__in=ENDED_WHOLE).exclude(trigger=Trigger.DECISION)
    last = whole.first()
    if schema.capabilities.own_cursor or field is None or field.type not in NUMBERS or not sync.lookback_seconds or last is None:
        return cursor.value, cursor.key
    if openrows.unreadable_keys(last):  # it left the cursor alone, for its records are to be read again from where it began
        stood = last.since_value
    else:
        earlier = runs.filter(started_at__lte=last.started_at - timedelta(seconds=sync.lookback_seconds)).exclude(read_until="", since_value="")
        stood = next((run.read_until or run.since_value for run in earlier[:1]), "")
    if not stood:
        return None
    return min((cursor.value, cursor.key), (stood, ""), key=lambda place: cursor_order(field.type, *place))
