"""The seal of the audit log: a chain in a table of its own, in which each place holds one entry, and every place the one before it.

Entries are written within the transactions of what they tell of. A chain made there would let only one of these go on at a time, so entries are
sealed some seconds after their commit, by a sweep, in the order in which it meets them: one that commits late, with a lower number than others that
are sealed already, has a later place. Two sweeps at once read the same head and want the same place, which is the primary key, so one of them
leaves its step to the other.

    content   SHA-256 over the canonical form of the entry: all of its FIELDS
    digest    SHA-256 over the canonical form of {"before": digest of the place before, "content": …, "entry": its number, "place": …};
              before place 1 stand 64 zeros

The canonical form is JSON in one line without blanks, names sorted, everything but ASCII escaped, times in UTC with microseconds and a Z.

Who can write to the database can compute the whole chain anew, so its head, PLACE:DIGEST, is also kept elsewhere: in a line of the log, an hour apart
while it moves, and in the manifest of each backup.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.db import IntegrityError, connection, transaction
from django.db.models import Max, Q
from django.db.models.functions import Now

from integration_hub.audit.models import Entry, EntryQuerySet, Seal, Sealing
from integration_hub.core.dumps import Moment

# What was sealed stays so only while this stands. A field that is added later belongs to the content where it is not empty, and only there.
FIELDS = ("id", "at", "event", "actor_kind", "actor_name", "actor_id", "subject_type", "subject_id", "subject_name", "changes", "note")
AT_ONCE = 500  # entries of one step, which is one transaction of inserts
SECONDS = 0.5  # of one sweep, for as many steps as find entries: a million of before an upgrade take about half an hour
LATE = 1_000  # numbers below the newest sealed one that every sweep looks through for entries that committed late
LOOKED_THROUGH = 5_000  # numbers of the whole log that each sweep looks through for later ones still, in turn
TOLD_EVERY = timedelta(hours=1)

log = logging.getLogger(__name__)


class Head(NamedTuple):
    """The end of the chain, or of what it once was."""

    place: int
    digest: str

    def __str__(self) -> str:
        return f"{self.place}:{self.digest}"


START = Head(0, "0" * 64)


# --- what is sealed ---------------------------------------------------------------------------------------------------


def content_of(entry: dict[str, Any]) -> str:
    """The digest of an entry, given its FIELDS."""
    return _digest({name: _canonical_time(value) if isinstance(value, datetime) else value for name, value in entry.items()})


def follow(before: Head, entry_id: int, content: str) -> Head:
    """The head once this entry is sealed behind `before`."""
    place = before.place + 1
    return Head(place, _digest({"before": before.digest, "content": content, "entry": entry_id, "place": place}))


def _digest(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")).hexdigest()


def _canonical_time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


# --- sealing ----------------------------------------------------------------------------------------------------------


def sweep() -> None:
    """Seal what was committed since, look through a part of the log for what committed late, and tell the head."""
    if _seal_new(until=time.monotonic() + SECONDS):
        _seal_late()
    _tell_head()


def head() -> Head:
    """Where the chain ends now."""
    newest = Seal.objects.order_by("-place").values_list("place", "digest").first()
    return Head(*newest) if newest else START


def _seal_new(*, until: float) -> bool:
    """Whether there is no more to be sealed at the end of the log."""
    while _seal(Entry.objects.unsealed(above=_newest_sealed() - LATE)) == AT_ONCE:
        if time.monotonic() >= until:
            return False
    return True


def _seal_late() -> None:
    """What committed so late that LATE others were sealed before. The whole log in turn, a part with each sweep."""
    newest = _newest_sealed()
    if newest <= LATE:
        return
    looked_up_to = Sealing.the().looked_up_to
    start = looked_up_to if looked_up_to < newest else 0
    if _seal(Entry.objects.unsealed(above=start, up_to=start + LOOKED_THROUGH)) < AT_ONCE:
        Sealing.objects.update(looked_up_to=start + LOOKED_THROUGH)


def _newest_sealed() -> int:
    return Seal.objects.aggregate(newest=Max("entry_id"))["newest"] or 0


def _seal(entries: EntryQuerySet) -> int:
    """Seal the first of these, AT_ONCE at most; how many were. Whatever takes time comes before the transaction, in which others may wait."""
    end, seals = head(), []
    for entry in entries.order_by("pk").values(*FIELDS)[:AT_ONCE]:
        content = content_of(entry)
        end = follow(end, entry["id"], content)
        seals.append(Seal(place=end.place, entry_id=entry["id"], content=content, digest=end.digest))
    if not seals:
        return 0
    try:
        with transaction.atomic():
            Seal.objects.bulk_create(seals)
    except IntegrityError:  # another sweep was quicker, and comes again as this one does
        return 0
    return len(seals)


# --- the head, kept elsewhere -----------------------------------------------------------------------------------------


def _tell_head() -> None:
    """One line of the log, whoever else sweeps, when it has moved and the last line is an hour old."""
    end, state = head(), Sealing.the()
    if str(end) == state.told_head or end == START:
        return
    due = Sealing.objects.filter(Q(told_at=None) | Q(told_at__lte=Now() - TOLD_EVERY)).exclude(told_head=str(end))
    if due.update(told_head=str(end), told_at=Now()):
        log.info("audit log sealed", extra={"head": str(end)})


def head_in(moment: Moment) -> str:
    """Where the chain ends in a backup, for its manifest."""
    table = connection.ops.quote_name(Seal._meta.db_table)
    newest = next(iter(moment.ask(f"SELECT place, digest FROM {table} ORDER BY place DESC LIMIT 1")), None)  # noqa: S608
    return str(Head(*newest) if newest else START)
