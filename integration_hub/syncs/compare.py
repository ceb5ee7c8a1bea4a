"""Comparing: what a mapped page means for the target, record by record.

A print decides most records: what was sent last is still what would be sent, so there is nothing to do and nothing is asked. What would be updated
is looked up in the target first, so that before and after are real; what would be created is looked up by its match keys, adopted where it is
found once and rejected where twice. One-way is a policy: the source owns every field of the mapping.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from connectors.base import KEY, Connector, Text, _
from integration_hub.core import bulk
from integration_hub.core.keys import canonical_key
from integration_hub.syncs import agreed, changesets, openrows
from integration_hub.syncs.known import Links
from integration_hub.syncs.matching import Match, find_matches, look_up
from integration_hub.syncs.models import ChangeSet, Link, OpenRow, Run
from integration_hub.syncs.prints import field_hashes, packed
from integration_hub.syncs.seen import Met
from integration_hub.syncs.states import OpenState, RunState
from integration_hub.syncs.unchanged import agreement_of
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
    match: dict[str, pl.Series]  # alternative of match fields → values; see mappings.match
    counts: Counts
    left: list[Left]
    last_value: str = ""
    last_key: str = ""
    wanted: bool = False  # a page of named records
    filtered_keys: list[str] = field(default_factory=list)
    roster: pl.DataFrame | None = None  # the keys it saw, where deletes are followed
    hashes: np.ndarray | None = None  # the prints of the mapping's fields, a row a record
    marks: tuple[np.ndarray, np.ndarray] | None = None  # one hash of the key and one of the print of each, where the next run may go by them
    as_agreed: np.ndarray | None = None  # which are linked, and as they were sent last
    left_out: tuple[np.ndarray, np.ndarray] | None = None  # marks of records that are as agreed, and no longer here (see `gathering`)


@dataclass
class Compared:
    """What a page comes to: the change set's frame (None: nothing to do), counts, and what is left open."""

    page: MappedPage
    changes: pl.DataFrame | None
    passed: list[str] = field(default_factory=list)  # keys with an open row that are right now
    agreed: pl.DataFrame | None = None  # what the sync's next run may take as agreed; see `unchanged`
    held: set[str] = field(default_factory=set)  # what must not be touched by a later page before this one is recorded


def compare(work: Work, page: MappedPage, target: Connector, met: Met | None) -> Compared:
    """Compare a page with its links and, where that is not enough, with the target. Reads the database and the target, writes nothing.

    `met`: in a first load, what alone can be there already; None: anything can.
    """
    import numpy as np

    page = replace(page, counts=replace(page.counts), left=list(page.left))  # it may be compared again

    hashes = page.hashes if page.hashes is not None else field_hashes(page.target, work.fields)
    unchanged_before = page.as_agreed if page.as_agreed is not None else np.zeros(len(page.keys), dtype=bool)
    links = Links(work, page.keys, np.flatnonzero(~unchanged_before if met is None else met.key))
    open_rows = _open_rows(work, page)
    stored = links.prints
    slots = np.array(work.slots, dtype=int)
    # Where the run reconciles no print is known, and all is looked up.
    differs = page.send & ((hashes != stored[:, slots]) | work.run.reconciles) & ~unchanged_before[:, None]
    changed = differs.any(axis=1)
    links.know(np.flatnonzero(links.linked & changed))
    linked = links.linked | unchanged_before
    prints = stored.copy()
    prints[:, slots] = np.where(page.send, hashes, stored[:, slots])

    draft = _Draft(work, page, target, links, prints, np.where(page.send, hashes, 0), stored[:, slots])
    named = _taken_by_name(work, page, open_rows)
    kept = draft.keep_what_waits(open_rows) | named
    replayed = {key for key, row in open_rows.items() if row.replay_at is not None and row.state != OpenState.PARKED}  # a link is no wish
    looked_for = {key for key in replayed if open_rows[key].state == OpenState.UNKNOWN}
    gone = draft.updates(np.flatnonzero(linked & changed & ~kept), differs, hashes, replayed)
    draft.creates(np.flatnonzero(~linked & ~kept), gone, hashes, met, looked_for)
    page.counts.duplicate += int(named.sum())
    page.counts.produced += len(page.keys) - int(named.sum())
    same = linked & ~changed & ~kept
    same[draft.same] = True
    page.counts.unchanged += int(same.sum())
    changes = draft.frame()
    if work.run.reconciles and changes is not None:
        read_back = [link.read_back if (link := links.get(key)) is not None else None for key in changes["source_key"]]
        changes = agreed.with_due(work, page, changes, stored[:, slots], read_back)
    passed = {*page.filtered_keys, *(page.keys[row] for row in np.flatnonzero(same))} if open_rows else set()
    same[draft.new if draft.new is not None else []] = True
    same[[row for row, operation in zip(draft.rows, draft.operations, strict=True) if operation == "create"]] = True
    return Compared(
        page,
        changes,
        passed=[key for key, row in open_rows.items() if key in passed and not row.is_untold],
        agreed=agreement_of(page.marks, same & page.send.all(axis=1), page.left_out) if page.marks is not None and not page.wanted else None,
        held=draft.held(),
    )


@dataclass(frozen=True, slots=True)
class _Open:
    """What of an open row decides whether its record is left alone."""

    state: str
    again: bool
    replay_at: Any
    mapping_version_id: int
    source_print: bytes | None
    run_id: int

    def is_taken_up(self, run: Run) -> bool:
        """Whether this run reads the record by name (see reading.wanted), and so plans it beside the page on which it meets it again."""
        asked = (self.again and self.run_id != run.pk) or self.replay_at is not None
        return asked or (self.state == OpenState.PARKED and self.mapping_version_id != run.mapping_version_id)

    @property
    def is_untold(self) -> bool:
        """Nobody can tell whether it was written, and nobody has settled it."""
        return self.state == OpenState.UNKNOWN and self.replay_at is None


def _open_rows(work: Work, page: MappedPage) -> dict[str, _Open]:
    if not work.open_keys_exist():
        return {}
    keys = [*page.keys, *page.filtered_keys]
    columns = ["key", "state", "again", "replay_at", "mapping_version", "source_print", "run"]
    side = work.run.source_side
    rows = bulk.fetch(OpenRow, columns, key="key", values=keys, where="closed_at IS NULL", sync=work.sync.pk, side=side)
    return {row[0]: _Open(*row[1:]) for row in rows}


def _taken_by_name(work: Work, page: MappedPage, open_rows: dict[str, _Open]) -> np.ndarray:
    """Which records this run reads by name as well. Where all is compared before anything is written, the second of them would find that the first has
    moved the link; so they count as duplicates here."""
    import numpy as np

    by_name = work.run.state == RunState.COMPARING and not page.wanted and work.source.capabilities.lookup_by_key
    taken = {key for key, row in open_rows.items() if row.state != OpenState.WITHHELD and row.is_taken_up(work.run)} if by_name else ()
    return np.array([key in taken for key in page.keys], dtype=bool) if taken else np.zeros(len(page.keys), dtype=bool)


class _Draft:
    """A change set in the making."""

    def __init__(
        self, work: Work, page: MappedPage, target: Connector, links: Links, prints: np.ndarray, source_prints: np.ndarray, sent: np.ndarray
    ) -> None:
        self.work, self.page, self.target, self.links, self.prints, self.source_prints = work, page, target, links, prints, source_prints
        self.sent = sent  # prints of the mapping's fields as they were last sent
        self.same: list[int] = []  # rows of the page that the target itself shows to be as agreed
        self.new: np.ndarray | None = None  # rows of the page that are certainly not in the target
        self.rows: list[int] = []  # of the page, the others
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
        if not open_rows:
            return kept
        for number, key in enumerate(self.page.keys):
            row = open_rows.get(key)
            if row is None or row.state not in GOOD_FOR or row.replay_at is not None:
                continue
            if row.is_untold:
                kept[number] = True
                self.page.counts.unknown += 1
            elif not row.again and row.mapping_version_id == self.work.run.mapping_version_id and self._source_print(number) == row.source_print:
                kept[number] = True
                self.page.counts.refused += 1
        return kept

    def updates(self, rows: np.ndarray, differs: np.ndarray, hashes: np.ndarray, replayed: set[str]) -> list[int]:
        """Linked records whose print differs: what really differs in the target is sent. Returns those that are gone there and are to be created
        again: a person wants that, or the run reconciles."""
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
        if self.work.run.reconciles:
            differs = self._drifted(rows, differs, hashes, found_hashes, [at.get(keys[int(row)]) for row in rows])
        for row in rows:
            if not differs[row].any():
                self.same.append(int(row))
                continue
            place = at.get(keys[int(row)])
            if place is None and (self.work.run.reconciles or self.page.keys[row] in replayed):
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

    def _drifted(self, rows: np.ndarray, differs: np.ndarray, hashes: np.ndarray, found_hashes: np.ndarray, places: list[int | None]) -> np.ndarray:
        """Where records of these rows are not as agreed, by row and field of the page; those that are gone everywhere. What was written since the run
        began may be newer than what it read, so that it says nothing."""
        import numpy as np

        there = np.array([place is not None for place in places], dtype=bool)
        found = found_hashes[[place for place in places if place is not None]]
        rows_there, drifted = rows[there], differs.copy()
        known = agreed.as_read_back(self.work, [self.links[self.page.keys[row]].read_back for row in rows_there])
        as_agreed = (found == known) & (hashes[rows_there] == self.sent[rows_there])
        drifted[rows_there] &= (hashes[rows_there] != found) & ~as_agreed
        newest = {int(row): self.links[self.page.keys[row]].change_set_id for row in rows if drifted[row].any()}
        since = agreed.written_since(self.work, newest.values())
        drifted[[row for row, change_set in newest.items() if change_set in since]] = False
        return drifted

    def _updates_unseen(self, rows: list[int], differs: np.ndarray) -> None:
        """The target cannot be asked: before is what the journal says was written last, which is marked as not known and cannot be undone."""
        import polars as pl

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

    def creates(self, rows: np.ndarray, gone: list[int], hashes: np.ndarray, met: Met | None, looked_for: set[str]) -> None:
        """Records without a link: looked up by their match keys, adopted where the target has them once. `looked_for`: of these a person says that they
        are not there."""
        import numpy as np

        look_up = np.ones(len(self.page.keys), dtype=bool)
        if met is not None:  # only what may have been met before is looked up, and only what shares a match key on this page is looked at one by one
            look_up, alone = met.match, ~self._twice()
            self.new = rows[~look_up[rows] & alone[rows]]
            rows = rows[look_up[rows] | ~alone[rows]]
        self._create_each([*rows.tolist(), *gone], hashes, look_up, looked_for)
        self._refuse_linked()

    def _twice(self) -> np.ndarray:
        """Which records share a match key with another of the page."""
        import numpy as np

        twice = np.zeros(len(self.page.keys), dtype=bool)
        for values in self.page.match.values():
            if values.n_unique() + max(0, values.null_count() - 1) < len(values):
                twice |= (values.is_duplicated() & values.is_not_null()).to_numpy()
        return twice

    def _create_each(self, rows: list[int], hashes: np.ndarray, look_up: np.ndarray, looked_for: set[str]) -> None:
        if not rows:
            return
        found = find_matches(self.work, self.target, self.page.target, self.page.match, [row for row in rows if look_up[row]])
        new: dict[tuple[str, str], int] = {}
        blindly = self.work.sync.restored_at is not None and not self.work.target.capabilities.upsert  # what was created since would be a twin
        unasked = {self.page.keys[row] for row in rows if row not in found and not self.work.target.capabilities.upsert} - looked_for
        settled = openrows.settled_unknowns(self.work, sorted(unasked))
        beside = openrows.unknowns_beside(self.work, sorted(unasked))
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
            elif self.page.keys[row] in beside:
                self._leave(
                    row,
                    OpenState.MOVED,
                    Text(
                        _(
                            "The sync {name} has sent it to {system}, and nobody can tell whether it arrived. Once it is linked, replayed or dismissed "
                            "there, it goes on here."
                        ),
                        self._named(name=beside[self.page.keys[row]].sync.name),
                    ),
                    again=True,
                )
            elif self.page.keys[row] in settled:  # a person has dismissed it, and so it may be there
                known = settled[self.page.keys[row]]
                self._leave(row, OpenState.UNKNOWN, Text(known.reason["template"], known.reason["values"]), step=known.step)
            elif blindly and row not in found and self.page.keys[row] not in looked_for:
                self._leave(
                    row,
                    OpenState.UNKNOWN,
                    Text(
                        _(
                            "The hub was restored from a backup, and {system} cannot be asked whether it was created since. Replay it if it is not there."
                        ),
                        self._named(),
                    ),
                )
            else:
                new.update(dict.fromkeys(self._match_keys(row), row))
                self._add(row, "create", None, None, self.page.send[row])

    def _match_keys(self, row: int) -> Iterator[tuple[str, str]]:
        """By what this record may be found, now or once it is there."""
        return ((fields, value) for fields, values in self.page.match.items() if (value := values[row]) is not None)

    def _update_or_adopt(self, row: int, key: str, before: tuple[pl.DataFrame, int], differs: np.ndarray) -> None:
        self._add(row, "update" if differs.any() else "adopt", key, before, differs)

    def _refuse_linked(self) -> None:
        """A record of the target belongs to one of the source: whoever else would adopt it is a reject. An earlier alternative of match keys goes first."""
        keys = (match.key for match in self.found_by.values())
        columns = Link.objects.columns(self.work.target_key, self.work.source_key, pair=self.work.run.pair_id, keys=keys)
        owners: dict[str, str] = dict(zip(*columns, strict=True))
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
            Left(self.page.keys[row], state, reason, self.page.source.row(row, named=True), source_print=self._source_print(row), **more)
        )
        counted = {OpenState.MOVED: "moved", OpenState.UNKNOWN: "unknown"}.get(OpenState(state), "refused")
        setattr(self.page.counts, counted, getattr(self.page.counts, counted) + 1)

    def _source_print(self, row: int) -> bytes:
        return bytes(packed(self.source_prints[row : row + 1])[0])

    def _named(self, **values: Any) -> dict[str, Any]:
        return {"system": self.work.system, "entity": self.work.target.label or self.work.target.name, **values}

    def held(self) -> set[str]:
        """What a later page must wait for: source keys, target keys and match keys of what will be written. For what is certainly new nobody asks
        by these: a first load waits for all that is on its way once it meets one again."""
        held = {f"s{self.page.keys[row]}" for row in self.rows}
        held |= {f"t{key}" for key in self.target_keys if key is not None}
        return held | {f"m{fields}{value}" for row in self.rows for fields, value in self._match_keys(row)}

    def frame(self) -> pl.DataFrame | None:
        """The change set as its file holds it; None where there is nothing to do."""
        import polars as pl

        parts = [part for part in (self._frame_of_new(), self._frame_of_others()) if part is not None]
        if not parts:
            return None
        whole = parts[0] if len(parts) == 1 else pl.concat(parts)
        return whole.with_row_index("row")

    def _frame_of_new(self) -> pl.DataFrame | None:
        import polars as pl

        if self.new is None or not len(self.new):
            return None
        count = len(self.new)
        none, text = (pl.Series([None], dtype=dtype).new_from_index(0, count) for dtype in (pl.Int64, pl.String))
        after = self._of(self.new, self.page.target.select(self.work.fields))
        return self._columns(
            self.new,
            self.page.send[self.new],
            after,
            operation=pl.Series(["create"]).new_from_index(0, count),
            target_key=text,
            found_by=text,
            link_id=none,
            link_change_set=none,
            link_change_row=none,
            before=_nothing(after, count),
            before_known=pl.Series([False]).new_from_index(0, count),
        )

    def _frame_of_others(self) -> pl.DataFrame | None:
        import numpy as np
        import polars as pl

        if not self.rows:
            return None
        links = [self.links.get(self.page.keys[row]) for row in self.rows]
        after = self._of(np.array(self.rows), self.page.target.select(self.work.fields))
        return self._columns(
            np.array(self.rows),
            np.array(self.sends),
            after,
            operation=pl.Series(self.operations, dtype=pl.String),
            target_key=pl.Series(self.target_keys, dtype=pl.String),
            found_by=pl.Series([self.found_by[row].fields if row in self.found_by else None for row in self.rows], dtype=pl.String),
            link_id=pl.Series([link.id if link else None for link in links], dtype=pl.Int64),
            link_change_set=pl.Series([link.change_set_id if link else None for link in links], dtype=pl.Int64),
            link_change_row=pl.Series([link.change_row if link else None for link in links], dtype=pl.Int64),
            before=self._before_column(after),
            before_known=pl.Series(self.known, dtype=pl.Boolean),
        )

    def _columns(self, rows: np.ndarray, send: np.ndarray, after: pl.DataFrame, **own: pl.Series) -> pl.DataFrame:
        """These rows of the page as a change set's columns, but for the row's number."""
        import polars as pl

        page, match = self.page, {fields: self._of(rows, values) for fields, values in self.page.match.items()}
        return pl.DataFrame(
            {
                "operation": own.pop("operation"),
                "source_key": self._of(rows, pl.Series(page.keys, dtype=pl.String)),
                "part": pl.Series([""]).new_from_index(0, len(rows)),
                "target_key": own.pop("target_key"),
                "match": changesets.match_column(match, len(rows)),
                **own,
                **self._prints_of(rows),
                "after": after.to_struct("after"),
                "send": pl.DataFrame({name: send[:, n] for n, name in enumerate(self.work.fields)}).to_struct("send"),
                "source": self._of(rows, page.source).to_struct("source"),
            }
        )

    def _prints_of(self, rows: np.ndarray) -> dict[str, pl.Series]:
        """The prints, and those of the source where they differ: random bytes are what takes most room in a change set."""
        import numpy as np
        import polars as pl

        prints = packed(self.prints[rows])
        if np.array_equal(self.prints[rows], self.source_prints[rows]):
            return {"print": prints, "source_print": pl.Series([None], dtype=pl.Binary).new_from_index(0, len(rows))}
        others = packed(self.source_prints[rows])
        return {"print": prints, "source_print": pl.select(pl.when(others != prints).then(others)).to_series()}

    def _of(self, rows: np.ndarray, whole: Any) -> Any:
        """These rows of a column or frame of the page; nothing is copied where they are all of them."""
        return whole if len(rows) == len(self.page.keys) and (rows[:-1] < rows[1:]).all() else whole[rows]

    def _before_column(self, after: pl.DataFrame) -> pl.Series:
        """The target's values of the mapping's fields as they were looked up; null records where they were not."""
        import polars as pl

        looked_up = [before for before in self.befores if before is not None]
        if not looked_up:
            return _nothing(after, after.height)
        frames: list[pl.DataFrame] = []
        offsets: dict[int, int] = {}
        height = 0
        for frame, __ in looked_up:
            if id(frame) not in offsets:
                offsets[id(frame)] = height
                frames.append(frame.select(self.work.fields))
                height += frame.height
        whole = pl.concat([*frames, _nothing(after, 1).struct.unnest()])
        places = [offsets[id(before[0])] + before[1] if before is not None else height for before in self.befores]
        return whole[places].to_struct("before")


def _nothing(like: pl.DataFrame, count: int) -> pl.Series:
    """So many records without values, with the fields of this frame."""
    import polars as pl

    return pl.DataFrame({name: [None] for name in like.columns}, schema=like.schema).to_struct("before").new_from_index(0, count)
