"""The journal of a run, read for people: which records changed, from what to what. A page reads the one or two files it shows, never all of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from integration_hub.core.templatetags.hub import ABSENT
from integration_hub.syncs import changesets
from integration_hub.syncs.models import ChangeSet, OutcomeFile, Run
from integration_hub.syncs.states import ChangeSetState

if TYPE_CHECKING:
    import polars as pl

RESULTS = ("written", "linked", "unlinked", "planned", "sending", "not_sent", "withheld", "refused", "moved", "kept", "unknown")
MOST_FILES = 60  # that one search opens

Json = dict[str, Any]


@dataclass(frozen=True)
class FieldChange:
    """One field of the target: ABSENT where it is not sent, `known` False where nobody looked what was there."""

    name: str
    before: Any
    after: Any
    sent: bool
    known: bool
    read_back: Any = ABSENT  # what the target says it holds now, where that is something else

    @property
    def has_read_back(self) -> bool:
        return self.read_back is not ABSENT

    @property
    def is_changed(self) -> bool:
        return self.sent and (not self.known or self.before != self.after)


@dataclass(frozen=True)
class Change:
    """What a run did, or would do, to one record."""

    change_set: ChangeSet
    row: int
    operation: str  # create, update, adopt, delete, mark, unlink
    result: str  # one of RESULTS
    source_key: str
    target_key: str
    reason: Json | None
    source: Json
    fields: Sequence[FieldChange]
    earlier: tuple[int, int] | None  # change set and row of the change before this one
    is_due: bool = False  # the next run of the sync brings it anyway, so a reconcile run does not call it drift

    @property
    def changed(self) -> list[FieldChange]:
        return [field for field in self.fields if field.is_changed]

    @property
    def unchanged(self) -> list[FieldChange]:
        return [field for field in self.fields if not field.is_changed]

    @property
    def at(self) -> datetime:
        return self.change_set.settled_at or self.change_set.sent_at or self.change_set.planned_at

    @property
    def mark(self) -> str:
        return f"{self.change_set.pk}.{self.row}"

    @property
    def name(self) -> str:
        return (
            name_of({field.name: field.before if field.after is ABSENT else field.after for field in self.fields})
            or name_of(self.source)
            or self.source_key
        )


@dataclass(frozen=True)
class ChangePage:
    """Some changes of a run; `after` is the mark to go on from, "" at the end. `searched_all` False: a search stopped after enough files."""

    changes: Sequence[Change]
    after: str
    searched_all: bool = True


def changes_of(run: Run, *, operation: str = "", result: str = "", field: str = "", key: str = "", after: str = "", size: int = 50) -> ChangePage:
    """The next changes of a run behind the mark, in the order in which they were compared; `field`: those that send this field."""
    first_set, first_row = read_mark(after)
    sets = ChangeSet.objects.filter(run=run, pk__gte=first_set).order_by("pk")
    counted = {"create": "creates", "update": "updates", "delete": "deletes", "mark": "deletes"}.get(operation)
    sets = sets.filter(**{f"{counted}__gt": 0}) if counted else sets
    if result in _COUNTED:
        sets = sets.filter(**{f"{_COUNTED[result]}__gt": 0})
    found: list[Change] = []
    for opened, change_set in enumerate(sets.iterator(chunk_size=8)):
        if opened == MOST_FILES:
            return ChangePage(found, f"{change_set.pk}.0", searched_all=False)
        begins = first_row if change_set.pk == first_set else 0
        frame = _chosen(change_set, operation, field, key, begins)
        frame = (_with_result(change_set, frame, result) if result else frame).head(size + 1 - len(found))
        found += _changes(change_set, frame)
        if len(found) > size:
            return ChangePage(found[:size], found[size].mark)
    return ChangePage(found, "")


def change_of(change_set: ChangeSet, row: int) -> Change | None:
    return next(changes_at(change_set, [row]), None)


def changes_at(change_set: ChangeSet, rows: Sequence[int]) -> Iterator[Change]:
    """The changes in these rows of a change set, as far as it has them."""
    frame = changesets.frame_of(change_set)
    return _changes(change_set, frame.filter(frame["row"].is_in(list(rows))))


def read_mark(mark: str) -> tuple[int, int]:
    number, __, row = mark.partition(".")
    return (int(number), int(row)) if number.isascii() and row.isascii() and number.isdigit() and row.isdigit() and len(mark) < 30 else (0, 0)


_COUNTED = {name: name for name in ("withheld", "refused", "moved", "unknown", "not_sent")} | {
    "linked": "unchanged",
    "unlinked": "unchanged",
}  # by change set


def _with_result(change_set: ChangeSet, frame: pl.DataFrame, result: str) -> pl.DataFrame:
    if not frame.height:
        return frame
    outcomes = _outcomes(change_set, frame["row"].to_list())
    rows = frame.select("row", "operation").iter_rows(named=True)
    return frame.filter([_result(change_set, row, outcomes.get(row["row"], {})) == result for row in rows])


def _chosen(change_set: ChangeSet, operation: str, field: str, key: str, begins: int) -> pl.DataFrame:
    import polars as pl

    frame = changesets.frame_of(change_set)
    wanted = pl.col("row") >= begins
    if operation:
        wanted &= pl.col("operation") == operation
    if field:
        names = frame["send"].struct.fields
        wanted &= pl.col("send").struct.field(field) if field in names else pl.lit(value=False)
    if key:
        wanted &= (pl.col("source_key") == key) | (pl.col("target_key") == key).fill_null(False)
    return frame.filter(wanted)


def _changes(change_set: ChangeSet, frame: pl.DataFrame) -> Iterator[Change]:
    if not frame.height:
        return
    outcomes = _outcomes(change_set, frame["row"].to_list())
    for row in frame.iter_rows(named=True):
        outcome = outcomes.get(row["row"], {})
        read_back = json.loads(outcome["record"]) if outcome.get("record") else {}
        earlier = (row["link_change_set"], row["link_change_row"]) if row.get("link_change_set") and row["link_change_row"] is not None else None
        yield Change(
            change_set,
            row["row"],
            row["operation"],
            _result(change_set, row, outcome),
            row["source_key"],
            outcome.get("target_key") or row["target_key"] or "",
            json.loads(told) if (told := outcome.get("reason") or row.get("reason")) else None,
            row["source"] or {},
            [_field(name, row, read_back) for name in row["after"]],
            earlier,
            is_due=bool(row.get("due")),
        )


def _result(change_set: ChangeSet, row: Json, outcome: Mapping[str, Any]) -> str:
    if row["operation"] == "keep":
        return "kept"
    if row["row"] < change_set.settled:
        told = outcome.get("result", "written")
        return _WRITTEN_AS.get(row["operation"], "written") if told == "written" else str(told)
    if change_set.state == ChangeSetState.SENDING and row["row"] < change_set.sending_to:
        return "sending"
    return "planned" if change_set.state in (ChangeSetState.PLANNED, ChangeSetState.SENDING) else "not_sent"


_WRITTEN_AS = {"adopt": "linked", "unlink": "unlinked"}  # what the target is not asked for


def _field(name: str, row: Json, read_back: Json) -> FieldChange:
    after, sent, known = row["after"][name], bool(row["send"][name]), row["operation"] == "create" or bool(row["before_known"])
    before = ABSENT if row["operation"] == "create" or row["before"] is None else row["before"][name]
    if row["operation"] == "delete":
        return FieldChange(name, before, ABSENT, True, known)
    back = read_back[name] if sent and name in read_back and str(read_back[name]) != str(after) else ABSENT
    return FieldChange(name, before, after if sent else before, sent, known, back)


def _outcomes(change_set: ChangeSet, rows: Sequence[int]) -> dict[int, Json]:
    """What is known of these rows beyond the plan, from the outcome files that cover them."""
    files = OutcomeFile.objects.filter(change_set=change_set, first__lte=max(rows), last__gte=min(rows))
    return {told["row"]: told for file in files for told in changesets.frame_of(file).iter_rows(named=True)}


# --- names ------------------------------------------------------------------------------------------------------------

_NAMES = ("full_name", "name", "display_name", "title", "subject", "company_name", "label")
_OF_PEOPLE = (("first_name", "last_name"), ("firstname", "lastname"), ("fname", "lname"), ("given_name", "family_name"), ("first", "last"))


def name_of(record: Mapping[str, Any]) -> str:
    """What people would call this record: its name, title or subject, a person's two names, else its e-mail; "" where it has none of these."""
    last = {path.rsplit(".", 1)[-1].lower(): value for path, value in reversed(list(record.items()))}
    likely = [last.get(name) for name in _NAMES]
    likely += [_person(last.get(given), last.get(family)) for given, family in _OF_PEOPLE]
    likely += [value for name, value in last.items() if name.endswith(("name", "title"))]
    likely += [last.get("email"), last.get("mail")]
    return next((value[:200] for value in likely if isinstance(value, str) and value.strip()), "")


def _person(given: Any, family: Any) -> str:
    """Both names, in Chinese the family's first; "" where one is missing."""
    if not (isinstance(given, str) and isinstance(family, str) and given.strip() and family.strip()):
        return ""
    return f"{family}{given}" if "\u4e00" <= family[0] <= "\u9fff" else f"{given} {family}"
