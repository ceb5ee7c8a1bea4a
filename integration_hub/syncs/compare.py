"""Comparing: what a mapped page means for the target, record by record.

A print decides most records: what was sent last is still what would be sent, so there is nothing to do and nothing is asked. What would be updated
is looked up in the target first, so that before and after are real; what would be created is looked up by its match keys, adopted where it is
found once and rejected where twice. One-way is a policy: the source owns every field of the mapping.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from connectors.base import KEY, Connector, Text, _
from integration_hub.core import bulk
from integration_hub.core.keys import canonical_key
from integration_hub.syncs import changesets
from integration_hub.syncs.matching import Match, find_matches, look_up
from integration_hub.syncs.models import Link, OpenRow, Partition
from integration_hub.syncs.prints import field_hashes, packed, unpacked
from integration_hub.syncs.states import OpenState
from integration_hub.syncs.work import Counts, Left, Work

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

GOOD_FOR = (OpenState.REFUSED, OpenState.UNKNOWN)  # not written again by itself


@dataclass
class MappedPage:
    """A page after mapping: `source` has the source record of each row of `target`, `keys` its key."""

    number: int
    position: Any
    last: bool
    source: pl.DataFrame
    target: pl.DataFrame
    send: np.ndarray  # a row a record, a column a field of the mapping
    keys: list[str]
    match: dict[str, list[str | None]]  # alternative of match fields → values; see mappings.match
    counts: Counts
    left: list[Left]
    last_value: str = ""
    last_key: str = ""
    wanted: bool = False  # a page of named records
    filtered_keys: list[str] = field(default_factory=list)


@dataclass
class Compared:
    """What a page comes to: the change set's frame (None: nothing to do), counts, and what is left open."""

    page: MappedPage
    changes: pl.DataFrame | None
    passed: list[str] = field(default_factory=list)  # keys with an open row that are right now
    held: set[str] = field(default_factory=set)  # what must not be touched by a later page before this one is recorded


class Seen:
    """Which match keys this run has met, in 8 MiB whatever their number (a Bloom filter, four bits a key): may say yes wrongly, once in a million
    at half a million keys, and then the target is asked; never no wrongly. For a first load alone: what the target holds is what this run has planned,
    so a turn that takes the run up again learns it from the change sets."""

    BITS = 26
    HASHES = 4

    def __init__(self) -> None:
        import numpy as np

        self._bits = np.zeros(1 << (self.BITS - 3), dtype=np.uint8)

    @classmethod
    def of(cls, partition: Partition) -> Seen:
        """The match keys of all that this partition has planned so far; no other part of a first load has any of them (see `dividing`)."""
        seen = cls()
        for change_set in partition.change_sets.order_by("pk").iterator(chunk_size=20):
            seen.add(changesets.match_of(changesets.frame_of(change_set, columns=["match"])))
        return seen

    def add(self, match: Mapping[str, pl.Series]) -> np.ndarray:
        """Which records have a match key that was seen before; all of these match keys are seen from now on."""
        import numpy as np
        import polars as pl
        import polars_hash as plh

        met = np.zeros(max((len(values) for values in match.values()), default=0), dtype=bool)
        for fields, values in match.items():
            has_one = values.is_not_null().to_numpy()
            texts = pl.DataFrame({"match": fields + values.drop_nulls()})
            met[has_one] |= self._add(texts.select(plh.col("match").nchash.xxhash64()).to_series().to_numpy())
        return met

    def _add(self, hashes: np.ndarray) -> np.ndarray:
        import numpy as np

        before = np.ones(len(hashes), dtype=bool)
        first, step = hashes, (hashes >> np.uint64(32)) | np.uint64(1)
        for n in range(self.HASHES):
            place = (first + np.uint64(n) * step) & np.uint64((1 << self.BITS) - 1)
            byte, bit = (place >> np.uint64(3)).astype(np.int64), (np.uint64(1) << (place & np.uint64(7))).astype(np.uint8)
            before &= (self._bits[byte] & bit) != 0
            np.bitwise_or.at(self._bits, byte, bit)
        return before


def compare(work: Work, page: MappedPage, target: Connector, seen: Seen | None) -> Compared:
    """Compare a page with its links and, where that is not enough, with the target. Reads the database and the target, writes nothing."""
    import numpy as np

    page = replace(page, counts=replace(page.counts), left=list(page.left))  # it may be compared again

    links = _links(work, page.keys)
    open_rows = _open_rows(work, [*page.keys, *page.filtered_keys])
    hashes = field_hashes(page.target, work.fields)
    width = max(work.slots, default=-1) + 1
    stored = unpacked([links[key].print if key in links else None for key in page.keys], width)
    slots = np.array(work.slots, dtype=int)
    linked = np.array([key in links for key in page.keys], dtype=bool)
    differs = page.send & (hashes != stored[:, slots])
    prints = stored.copy()
    prints[:, slots] = np.where(page.send, hashes, stored[:, slots])

    draft = _Draft(work, page, target, links, packed(prints), list(packed(np.where(page.send, hashes, 0))))
    kept = draft.keep_what_waits(open_rows)
    replayed = {key for key, row in open_rows.items() if row.replay_at is not None and row.state != OpenState.PARKED}  # a link is no wish
    gone = draft.updates(np.flatnonzero(linked & differs.any(axis=1) & ~kept), differs, hashes, replayed)
    draft.creates([*np.flatnonzero(~linked & ~kept).tolist(), *gone], hashes, seen)
    page.counts.produced = len(page.keys)
    page.counts.unchanged += int((linked & ~differs.any(axis=1) & ~kept).sum())
    same = set(page.filtered_keys) | {page.keys[row] for row in np.flatnonzero(linked & ~differs.any(axis=1) & ~kept)}
    return Compared(page, draft.frame(), passed=[key for key, row in open_rows.items() if key in same and not row.is_untold], held=draft.held())


@dataclass(frozen=True, slots=True)
class _Known:
    """A live link as it is compared with."""

    id: int
    target_key: str
    print: bytes | None
    change_set_id: int | None
    change_row: int | None


def _links(work: Work, keys: Sequence[str]) -> dict[str, _Known]:
    columns = [work.source_key, "id", work.target_key, "sent_print", "change_set_id", "change_row"]
    rows = bulk.fetch(Link, columns, key=work.source_key, values=keys, where="ended_at IS NULL", pair=work.run.pair_id)
    return {row[0]: _Known(*row[1:]) for row in rows}


@dataclass(frozen=True, slots=True)
class _Open:
    """What of an open row decides whether its record is left alone."""

    state: str
    again: bool
    replay_at: Any
    mapping_version_id: int
    source_print: bytes | None

    @property
    def is_untold(self) -> bool:
        """Nobody can tell whether it was written, and nobody has settled it."""
        return self.state == OpenState.UNKNOWN and self.replay_at is None


def _open_rows(work: Work, keys: Sequence[str]) -> dict[str, _Open]:
    if not work.open_keys_exist():
        return {}
    columns = ["key", "state", "again", "replay_at", "mapping_version", "source_print"]
    side = work.run.source_side
    rows = bulk.fetch(OpenRow, columns, key="key", values=keys, where="closed_at IS NULL", sync=work.sync.pk, side=side)
    return {row[0]: _Open(*row[1:]) for row in rows}


class _Draft:
    """A change set in the making."""

    def __init__(
        self, work: Work, page: MappedPage, target: Connector, links: dict[str, _Known], prints: list[bytes], source_prints: list[bytes]
    ) -> None:
        self.work, self.page, self.target, self.links, self.prints, self.source_prints = work, page, target, links, prints, source_prints
        self.rows: list[int] = []  # of the page
        self.operations: list[str] = []
        self.target_keys: list[str | None] = []
        self.befores: list[tuple[pl.DataFrame, int] | None] = []
        self.known: list[bool] = []  # before was read from the target, not taken from the journal
        self.sends: list[np.ndarray] = []
        self.found_by: dict[int, Match] = {}  # a record without a link → the target's record that has its match key

    def keep_what_waits(self, open_rows: dict[str, _Open]) -> np.ndarray:
        """Which records are left alone: refused for good and unchanged since, or of unknown outcome. A person's replay lets them go on."""
        import numpy as np

        kept = np.zeros(len(self.page.keys), dtype=bool)
        for number, key in enumerate(self.page.keys):
            row = open_rows.get(key)
            if row is None or row.state not in GOOD_FOR or row.replay_at is not None:
                continue
            if row.is_untold:
                kept[number] = True
                self.page.counts.unknown += 1
            elif not row.again and row.mapping_version_id == self.work.run.mapping_version_id and self.source_prints[number] == row.source_print:
                kept[number] = True
                self.page.counts.refused += 1
        return kept

    def updates(self, rows: np.ndarray, differs: np.ndarray, hashes: np.ndarray, replayed: set[str]) -> list[int]:
        """Linked records whose print differs: what really differs in the target is sent. Returns those that are gone there and that a person
        wants created again."""
        gone: list[int] = []
        if not len(rows):
            return gone
        keys = {int(row): self.links[self.page.keys[row]].target_key for row in rows}
        if not self.work.target.capabilities.lookup_by_key:
            self._updates_unseen([int(row) for row in rows], differs)
            return gone
        found = look_up(self.work, self.target, self.work.target, KEY, keys.values(), self.work.fields)
        found_hashes = field_hashes(found, self.work.fields)
        at = {key: place for place, key in enumerate(canonical_key(found, self.work.target.key))}
        for row in rows:
            place = at.get(keys[int(row)])
            if place is None and self.page.keys[row] in replayed:
                gone.append(int(row))
                continue
            if place is None:
                self._leave(
                    int(row),
                    OpenState.MOVED,
                    Text(_("{system} no longer has {entity} {key}. Replay it to create it again, or dismiss it."), self._named(key=keys[int(row)])),
                )
                continue
            self._update_or_adopt(int(row), keys[int(row)], (found, place), differs[row] & (hashes[row] != found_hashes[place]))
        return gone

    def _updates_unseen(self, rows: list[int], differs: np.ndarray) -> None:
        """The target cannot be asked: before is what the journal says was written last, which is marked as not known and cannot be undone."""
        import polars as pl

        from integration_hub.syncs import changesets
        from integration_hub.syncs.models import ChangeSet

        newest = {row: self.links[self.page.keys[row]] for row in rows}
        sets = ChangeSet.objects.in_bulk({link.change_set_id for link in newest.values() if link.change_set_id is not None})
        empty = self.page.target.select(self.work.fields).clear(n=1)
        frames: dict[int | None, pl.DataFrame] = {}
        for row in rows:
            link = newest[row]
            if link.change_set_id not in frames:
                change_set = sets.get(link.change_set_id) if link.change_set_id is not None else None
                after = changesets.frame_of(change_set)["after"].struct.unnest() if change_set is not None else empty
                frames[link.change_set_id] = pl.concat([empty, after], how="diagonal").select(self.work.fields)
            place = 1 + link.change_row if link.change_row is not None and link.change_set_id in sets else 0
            self._add(row, "update", link.target_key, (frames[link.change_set_id], place), differs[row], known=False)

    def creates(self, rows: list[int], hashes: np.ndarray, seen: Seen | None) -> None:
        """Records without a link: looked up by their match keys, adopted where the target has them once."""
        found = find_matches(self.work, self.target, self.page.target, self.page.match, self._to_look_up(rows, seen))
        new: dict[tuple[str, str], int] = {}
        for row in rows:
            matches = found.get(row, [])
            if len(matches) > 1:
                self._leave(
                    row,
                    OpenState.REJECTED,
                    Text(
                        _("{system} has {count} {entity} with the match key {value}. Merge them there, then replay."),
                        self._named(count=len(matches), value=matches[0].value),
                    ),
                    step="match",
                )
            elif matches:
                (match,) = matches
                self.found_by[row] = match
                self._update_or_adopt(row, match.key, (match.frame, match.place), self.page.send[row] & (hashes[row] != match.hashes))
            elif taken := next(((*one, new[one]) for one in self._match_keys(row) if one in new), None):
                fields, value, other = taken
                self._leave(
                    row,
                    OpenState.REJECTED,
                    Text(
                        _("Shares its match key {value} with record {other} of the source; the target can hold only one of them."),
                        {"value": value, "other": self.page.keys[other]},
                    ),
                    field=", ".join(json.loads(fields)),
                    step="match",
                )
            else:
                new.update(dict.fromkeys(self._match_keys(row), row))
                self._add(row, "create", None, None, self.page.send[row])
        self._refuse_linked()

    def _match_keys(self, row: int) -> Iterator[tuple[str, str]]:
        """By what this record may be found, now or once it is there."""
        return ((fields, value) for fields, values in self.page.match.items() if (value := values[row]) is not None)

    def _to_look_up(self, rows: list[int], seen: Seen | None) -> list[int]:
        """In a first load only records with a match key that may have been met before; else all."""
        import polars as pl

        if seen is None or not rows:
            return rows
        match = {fields: pl.Series([values[row] for row in rows], dtype=pl.String) for fields, values in self.page.match.items()}
        return [row for row, met in zip(rows, seen.add(match), strict=False) if met]

    def _update_or_adopt(self, row: int, key: str, before: tuple[pl.DataFrame, int], differs: np.ndarray) -> None:
        self._add(row, "update" if differs.any() else "adopt", key, before, differs)

    def _refuse_linked(self) -> None:
        """A record of the target belongs to one of the source: whoever else would adopt it is a reject. An earlier alternative of match keys goes first."""
        columns = [self.work.target_key, self.work.source_key]
        keys = [match.key for match in self.found_by.values()]
        links = bulk.fetch(Link, columns, key=self.work.target_key, values=keys, where="ended_at IS NULL", pair=self.work.run.pair_id) if keys else []
        owners: dict[str, str] = dict(links)
        order = list(self.page.match)
        taken = []
        for row, match in sorted(self.found_by.items(), key=lambda found: (order.index(found[1].fields), found[0])):
            owner = owners.setdefault(match.key, self.page.keys[row])
            if owner != self.page.keys[row]:
                taken.append((row, match, owner))
        for row, match, owner in sorted(taken, key=lambda one: one[0], reverse=True):
            place = self.rows.index(row)
            for column in (self.rows, self.operations, self.target_keys, self.befores, self.known, self.sends):
                del column[place]
            self._leave(
                row,
                OpenState.REJECTED,
                Text(
                    _("Its match key {value} is that of {entity} {key} in {system}, which already belongs to record {other} of the source."),
                    self._named(value=match.value, key=match.key, other=owner),
                ),
                step="match",
            )

    def _add(
        self, row: int, operation: str, key: str | None, before: tuple[pl.DataFrame, int] | None, send: np.ndarray, *, known: bool = True
    ) -> None:
        self.rows.append(row)
        self.operations.append(operation)
        self.target_keys.append(key)
        self.befores.append(before)
        self.known.append(known and before is not None)
        self.sends.append(send)

    def _leave(self, row: int, state: str, reason: Text, **more: Any) -> None:
        self.page.left.append(
            Left(self.page.keys[row], state, reason, self.page.source.row(row, named=True), source_print=self.source_prints[row], **more)
        )
        if state == OpenState.MOVED:
            self.page.counts.moved += 1
        else:
            self.page.counts.refused += 1

    def _named(self, **values: Any) -> dict[str, Any]:
        return {"system": self.work.system, "entity": self.work.target.label or self.work.target.name, **values}

    def held(self) -> set[str]:
        """What a later page must wait for: source keys, target keys and match keys of what will be written."""
        held = {f"s{self.page.keys[row]}" for row in self.rows}
        held |= {f"t{key}" for key in self.target_keys if key is not None}
        return held | {f"m{fields}{value}" for row in self.rows for fields, value in self._match_keys(row)}

    def frame(self) -> pl.DataFrame | None:
        """The change set as its file holds it; None where there is nothing to do."""
        import numpy as np
        import polars as pl

        if not self.rows:
            return None
        page, rows = self.page, self.rows
        links = [self.links.get(page.keys[row]) for row in rows]
        send = np.array(self.sends)
        after = page.target.select(self.work.fields)[rows]
        return pl.DataFrame(
            {
                "row": pl.Series(range(len(rows)), dtype=pl.UInt32),
                "operation": pl.Series(self.operations, dtype=pl.String),
                "source_key": pl.Series([page.keys[row] for row in rows], dtype=pl.String),
                "part": pl.Series([""] * len(rows), dtype=pl.String),
                "target_key": pl.Series(self.target_keys, dtype=pl.String),
                "match": changesets.match_column({fields: [values[row] for row in rows] for fields, values in page.match.items()}, len(rows)),
                "found_by": pl.Series([self.found_by[row].fields if row in self.found_by else None for row in rows], dtype=pl.String),
                "link_id": pl.Series([link.id if link else None for link in links], dtype=pl.Int64),
                "link_change_set": pl.Series([link.change_set_id if link else None for link in links], dtype=pl.Int64),
                "link_change_row": pl.Series([link.change_row if link else None for link in links], dtype=pl.Int64),
                "print": pl.Series([self.prints[row] for row in rows], dtype=pl.Binary),
                "source_print": pl.Series([self.source_prints[row] for row in rows], dtype=pl.Binary),
                "after": after.to_struct("after"),
                "before": self._before_column(after),
                "before_known": pl.Series(self.known, dtype=pl.Boolean),
                "send": pl.DataFrame({name: send[:, n] for n, name in enumerate(self.work.fields)}).to_struct("send"),
                "source": page.source[rows].to_struct("source"),
            }
        )

    def _before_column(self, after: pl.DataFrame) -> pl.Series:
        """The target's values of the mapping's fields as they were looked up; null records where they were not."""
        import polars as pl

        looked_up = [before for before in self.befores if before is not None]
        if not looked_up:
            return after.clear(n=after.height).to_struct("before")
        frames: list[pl.DataFrame] = []
        offsets: dict[int, int] = {}
        height = 0
        for frame, __ in looked_up:
            if id(frame) not in offsets:
                offsets[id(frame)] = height
                frames.append(frame.select(self.work.fields))
                height += frame.height
        whole = pl.concat([*frames, after.clear(n=1)])
        places = [offsets[id(before[0])] + before[1] if before is not None else height for before in self.befores]
        return whole[places].to_struct("before")
