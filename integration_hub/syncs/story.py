"""The story of a record: every change that a link has seen, back to its first; and both its ends as they are now.

Nothing is searched: a link names its newest change, and each change the one before it. A record whose link was ended and that got another has one
chain for each.
"""

from __future__ import annotations

import time
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Any

from django.utils.translation import gettext as _

from connectors.base import KEY, ConnectorError
from integration_hub.accounts.actor import Actor
from integration_hub.core import texts
from integration_hub.core.keys import canonical_key
from integration_hub.syncs import changesets
from integration_hub.syncs.journal import Change, change_of, name_of, read_mark
from integration_hub.syncs.models import ChangeSet, Link, OpenRow, Pair, Sync
from integration_hub.syncs.states import Side
from integration_hub.systems.connection import connect
from integration_hub.systems.models import Entity

SECONDS = 15.0
LINKS_AT_MOST = 50

Place = tuple[int, int]  # change set and row


@dataclass(frozen=True)
class Story:
    """What is known of a record. `links`: the present one first, then those that ended, newest first; `after` is the mark to go on from, "" at the end."""

    sync: Sync
    key: str
    links: Sequence[Link]
    changes: Sequence[Change]
    after: str
    open_row: OpenRow | None

    @property
    def link(self) -> Link | None:
        """The present one."""
        return next((link for link in self.links if link.ended_at is None), None)

    @property
    def name(self) -> str:
        return next((change.name for change in self.changes), self.key)


def story_of(sync: Sync, key: str, *, by: Actor, after: str = "", size: int = 30) -> Story:
    """The story of the record with this key, of the sync's source, else of its target: changes of all syncs of the pair, newest first."""
    by.require("records.view", sync)
    links = links_of(sync.pair, sync.source_side, key) or links_of(sync.pair, sync.target_side, key)
    places = [(link.change_set_id, link.change_row) for link in links if link.change_set_id is not None and link.change_row is not None]
    keys = {key for link in links for key in (link.a_key, link.b_key)}
    if after:
        places = [place for mark in after.split("_")[: len(links)] if _is_of(sync.pair, keys, place := read_mark(mark))]
    found: list[Change] = []
    ahead = _ahead_of(places)
    while ahead and len(found) < size:
        if (change := _change_at(_next_of(ahead))) is not None:
            found.append(change)
    open_row = OpenRow.objects.open().filter(sync=sync, side=sync.source_side, key=_key_on(links, sync.source_side) or key).first()
    return Story(sync, key, links, found, "_".join(f"{-change_set}.{-row}" for change_set, row in sorted(ahead)), open_row)


def links_of(pair: Pair, side: str, key: str) -> list[Link]:
    """The links of a record on this side, the present one first, then the newest that ended."""
    column, many = f"{side}_key", f"{side}_many"
    live = [link for is_many in (False, True) for link in Link.objects.filter(pair=pair, ended_at=None, **{many: is_many, column: key})]
    ended = Link.objects.filter(pair=pair, ended_at__isnull=False, **{column: key}).order_by("-ended_at")
    return [*live, *ended[:LINKS_AT_MOST]]


def _key_on(links: Sequence[Link], side: str) -> str:
    return next((link.a_key if side == Side.A else link.b_key for link in links), "")


def _ahead_of(places: Sequence[Place]) -> list[Place]:
    """The newest change of each chain, as a heap: negative, so that the newest of all is its first. A page ends with such a heap, and the next goes on
    from there instead of walking down to it again."""
    ahead = [(-change_set, -row) for change_set, row in set(places)]
    heapify(ahead)
    return ahead


def _next_of(ahead: list[Place]) -> Place:
    """The newest change of these chains, each once; in its place comes the one before it, as far back as they are kept."""
    change_set, row = heappop(ahead)
    place = (-change_set, -row)
    if (earlier := _before(place)) is not None and (-earlier[0], -earlier[1]) not in ahead:
        heappush(ahead, (-earlier[0], -earlier[1]))
    return place


def _is_of(pair: Pair, keys: Container[str], place: Place) -> bool:
    """Whether a place that an address names is a change of this record, and not of another."""
    change = _change_at(place)
    return change is not None and change.change_set.run.pair_id == pair.pk and change.source_key in keys


def _before(place: Place) -> Place | None:
    """The change before this one of the same link."""
    change_set = ChangeSet.objects.filter(pk=place[0]).first()
    if change_set is None:  # it has aged out
        return None
    frame = changesets.frame_of(change_set, columns=["row", "link_change_set", "link_change_row"])
    found = frame.filter(frame["row"] == place[1]).select("link_change_set", "link_change_row").rows()
    return found[0] if found and None not in found[0] else None


def _change_at(place: Place) -> Change | None:
    change_set = (
        ChangeSet.objects.select_related("run__sync", "run__mapping_version__mapping", "run__pair", "run__applies__plan").filter(pk=place[0]).first()
    )
    return change_of(change_set, place[1]) if change_set is not None else None


# --- as it is now -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Now:
    """One side of a link, read now: `record` None where it is not there, or where nobody can tell, which `problem` says."""

    entity: Entity
    key: str
    record: Mapping[str, Any] | None
    problem: str = ""

    @property
    def name(self) -> str:
        return name_of(self.record or {}) or self.key


def read_now(pair: Pair, links: Sequence[Link], *, by: Actor) -> list[Now]:
    """Both sides of the present links of a record, each end once, as their systems hold them now."""
    by.require("records.view", pair)
    ends = [(side, link.a_key if side == Side.A else link.b_key) for side in (Side.A, Side.B) for link in links if link.ended_at is None]
    return [read_record(pair.side(side), key) for side, key in dict.fromkeys(ends)]


def read_record(entity: Entity, key: str) -> Now:
    """The record with this key as its system holds it now."""
    ends, schema = time.monotonic() + SECONDS, entity.as_schema()
    if not schema.capabilities.lookup_by_key:
        return Now(entity, key, None, _("{entity} cannot be asked for single records.").format(entity=entity))
    try:
        with connect(entity.system, deadline=lambda: ends) as system:
            found = system.lookup(schema, KEY, [key], [field.name for field in schema.fields])
    except ConnectorError as error:
        return Now(entity, key, None, texts.render(error.text))
    found = found.filter(canonical_key(found, schema.key) == key)
    return Now(entity, key, found.row(0, named=True) if found.height else None)
