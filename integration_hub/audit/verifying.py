"""Whether the audit log is as it was sealed. The chain is walked from its beginning, a part at a time, up to the first thing that is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db import DatabaseError
from django.db.models import Count, Min

from integration_hub.audit.models import Entry, Seal
from integration_hub.audit.sealing import FIELDS, START, Head, content_of, follow

AT_ONCE = 500  # held in memory
UNREADABLE = ""  # in place of a digest


class Broken(Exception):
    """The log is not as it was sealed; says what is wrong first, in one sentence."""


@dataclass(frozen=True)
class Whole:
    """A log that is as it was sealed: where its chain ends, and what is not sealed yet."""

    head: Head
    unsealed_count: int
    unsealed_since: datetime | None


def verify(*, anchor: Head | None = None) -> Whole:
    """Walk the chain. `anchor` is a head that was kept elsewhere and must be in it. Raises Broken.

    What is sealed while it is walked is walked too.
    """
    end = START
    _compare(end, anchor)
    for seals in _parts():
        contents, earlier = _contents([seal.entry_id for seal in seals]), _earlier(seals)
        for seal in seals:
            end = _next(end, seal)
            if seal.entry_id in earlier:
                raise Broken(f"Entry {seal.entry_id} is sealed twice, at places {earlier[seal.entry_id]} and {seal.place}.")
            earlier[seal.entry_id] = seal.place
            _check(seal, contents.get(seal.entry_id))
            _compare(end, anchor)
    if anchor and anchor.place > end.place:
        raise Broken(f"The end of the log was cut: the chain ends at place {end.place}, and its head was once at place {anchor.place}.")
    rest = Entry.objects.unsealed().aggregate(count=Count("pk"), since=Min("at"))
    return Whole(end, rest["count"], rest["since"])


def _parts() -> Iterator[list[Seal]]:
    place = -1
    while seals := list(Seal.objects.filter(place__gt=place).order_by("place")[:AT_ONCE]):
        yield seals
        place = seals[-1].place


def _next(before: Head, seal: Seal) -> Head:
    if seal.place != before.place + 1:
        raise Broken(f"The seal at place {before.place + 1} of the chain is missing; the one before was of {_entry_at(before.place)}.")
    after = follow(before, seal.entry_id, seal.content)
    if after.digest != seal.digest:
        raise Broken(f"The seal of entry {seal.entry_id}, at place {seal.place} of the chain, does not follow from the one before: one was changed.")
    return after


def _entry_at(place: int) -> str:
    entry_id = Seal.objects.filter(place=place).values_list("entry_id", flat=True).first()
    return f"entry {entry_id}" if entry_id is not None else "none, for the chain begins there"


def _check(seal: Seal, content: str | None) -> None:
    if content is None:
        raise Broken(f"Entry {seal.entry_id} is gone: it was sealed at place {seal.place} of the chain, and deleted or given another number since.")
    if content != seal.content:
        raise Broken(f"Entry {seal.entry_id} was changed after it was sealed at place {seal.place} of the chain.")


def _compare(end: Head, anchor: Head | None) -> None:
    if anchor and anchor.place == end.place and anchor.digest != end.digest:
        raise Broken(f"The log was rewritten at or before place {end.place} of the chain: its seal there is another than the head that was kept.")


def _earlier(seals: list[Seal]) -> dict[int, int]:
    """Entries of these seals that are sealed before them too → the place. The database lets nobody do that while it has its constraint."""
    same = Seal.objects.filter(entry_id__in=[seal.entry_id for seal in seals], place__lt=seals[0].place)
    return dict(same.values_list("entry_id", "place"))


def _contents(entry_ids: list[int]) -> dict[int, str]:
    """Digests of those of the entries that there are, by their numbers."""
    try:
        return {entry["id"]: content_of(entry) for entry in Entry.objects.filter(pk__in=entry_ids).values(*FIELDS)}
    except (DatabaseError, ValueError, TypeError, AttributeError):  # something was put there that the hub cannot even read
        if len(entry_ids) == 1 and Entry.objects.filter(pk__in=entry_ids).exists():
            return {entry_ids[0]: UNREADABLE}
        if len(entry_ids) == 1:
            raise
        middle = len(entry_ids) // 2
        return _contents(entry_ids[:middle]) | _contents(entry_ids[middle:])
