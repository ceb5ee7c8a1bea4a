"""What the steps of one piece of work share: the run and what was looked up once for it."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from connectors import base
from integration_hub.core import space
from integration_hub.core.expressions.errors import ExpressionError
from integration_hub.mappings.engine import CompiledMapping, compile_mapping
from integration_hub.syncs.models import OpenRow, Partition, Run, Sync
from integration_hub.syncs.prints import slots_of
from integration_hub.syncs.references import References
from integration_hub.syncs.states import LeftFilter, Side

if TYPE_CHECKING:
    from connectors.base import Connector
    from integration_hub.core.expressions.language import Expression
    from integration_hub.mappings.definition import Step

SPACE_SECONDS = 10.0  # until a run that waits for room looks again
NO_KEY = r"^#[0-9a-f]{16}$"  # how the open row of a record without a key is named


def tellable(keys: Iterable[str]) -> list[str]:
    """Without records that have no key: these can only be met again."""
    return [key for key in keys if not re.match(NO_KEY, key)]


@dataclass
class Work:
    """A run's pipeline before it starts: schemas, compiled mapping, slots of the target's fields, the filter, and connectors as they are needed."""

    run: Run
    sync: Sync
    partition: Partition
    source: base.Entity
    target: base.Entity
    mapping: CompiledMapping
    fields: list[str]  # the target fields that the mapping writes
    slots: list[int]  # their places in a print
    filter: Expression | None
    open: Callable[[str], AbstractContextManager[Connector]]  # "source" or "target" → a connector of its own for the calling step
    references: References
    ends_at: float  # time.monotonic() after which the partition goes back to the queue, so that others get a turn
    in_flight: InFlight = field(default_factory=lambda: InFlight())  # of the pass that writes now
    read_from: datetime = field(default_factory=timezone.now)  # replays that were asked for later have not been read yet
    began: datetime = field(default_factory=timezone.now)
    in_circle: frozenset[str] = frozenset()  # keys of records that wait for one another, in the pass that writes them without these references
    _asked: float = 0.0
    _stopped: bool = False

    @property
    def source_key(self) -> str:
        """The column of a link that holds the source's key."""
        return "a_key" if self.run.source_side == Side.A else "b_key"

    @property
    def target_key(self) -> str:
        return "b_key" if self.run.source_side == Side.A else "a_key"

    @property
    def source_fields(self) -> list[str]:
        """What has to be read: the fields of the mapping, of the filter, the key and the cursor."""
        wanted = {*self.mapping.sources, *self.filter_fields, *self.source.key}
        if self.source.cursor_field:
            wanted.add(self.source.cursor_field)
        return [f.name for f in self.source.fields if f.name in wanted]

    @property
    def filter_fields(self) -> set[str]:
        """What has to be known of a record to tell whether it has left the filter."""
        return {name for each in (self.filter, *self.filters_beside) if each is not None for name in each.fields}

    @cached_property
    def syncs_beside(self) -> list[Sync]:
        """The pair's other syncs in this direction: they write the same links."""
        return list(Sync.objects.filter(pair=self.run.pair_id, direction=self.run.direction).exclude(pk=self.sync.pk).order_by("pk"))

    @cached_property
    def filters_beside(self) -> list[Expression | None]:
        """The filters of the pair's other syncs in this direction, where what leaves this sync's is taken for deleted: what one of them takes is not gone.
        None: it takes everything, or cannot be read."""
        if self.filter is None or self.run.settings.get("deletes", {}).get("left_filter") != LeftFilter.DELETE:
            return []
        found: list[Expression | None] = []
        for sync in self.syncs_beside:
            try:
                found.append(filter_of(sync.filter, self.source))
            except ExpressionError:
                found.append(None)
        return found

    def refers_to_itself(self, entity: str, target: str) -> bool:
        """Whether a reference means records that this very run writes."""
        reference = self.references.reference(entity, target)
        return (reference.pair.pk, reference.side) == (self.run.pair_id, self.run.source_side)

    @cached_property
    def open_mapping(self) -> CompiledMapping:
        """The mapping for records that wait for one another: where a field may be empty, it stays so until its reference has a link."""
        fields = []
        for plan, told in zip(self.mapping.plans, self.mapping.definition.fields, strict=True):
            steps = told.steps if plan.required else tuple(map(self._open_step, told.steps))
            fields.append(told.model_copy(update={"steps": steps}))
        return compile_mapping(self.mapping.definition.model_copy(update={"fields": tuple(fields)}), self.source, self.target)

    def _open_step(self, step: Step) -> Step:
        told: Any = step.parameters
        is_own = step.declared.wants_links and self.refers_to_itself(told.entity, told.target)
        return step.model_copy(update={"missing": "null"}) if is_own else step

    def turn_is_over(self) -> bool:
        """Whether to stop at this safe point: the turn has passed, or the run was paused, cancelled or has failed. Asks the database once a second."""
        now = time.monotonic()
        if now >= self._asked + 1.0:
            self._asked = now
            self._stopped = not Run.objects.filter(pk=self.run.pk, state=self.run.state, cancel_at=None, error__isnull=True).exists()
        return self._stopped or now >= self.ends_at

    def open_keys_exist(self) -> bool:
        """Whether the sync has open rows at all, so that a portion need not look for its own."""
        return OpenRow.objects.open().filter(sync=self.sync).exists()

    @property
    def system(self) -> str:
        """The target's name, for messages."""
        return self.run.target.system.name


def prepare(run: Run, partition: Partition, open: Callable[[str], AbstractContextManager[Connector]], *, seconds: float) -> Work:
    """Everything that a run's steps share. Raises SettingsError where the mapping no longer fits its entities."""
    version, sync = run.mapping_version, run.sync
    if sync is None:
        raise base.SettingsError(base._("The sync of this run was deleted."))
    source, target = run.source.as_schema(), run.target.as_schema()
    mapping = compile_mapping(version.definition, source, target)
    fields = [plan.target.name for plan in mapping.plans]
    return Work(
        run=run,
        sync=sync,
        partition=partition,
        source=source,
        target=target,
        mapping=mapping,
        fields=fields,
        slots=slots_of(run.pair, run.target_side, fields),
        filter=filter_of(run.settings.get("filter", ""), source),
        open=open,
        references=References(run.source.system, run.target.system),
        ends_at=time.monotonic() + seconds,
    )


def filter_of(text: str, source: base.Entity) -> Expression | None:
    """A sync's filter, read; None where it is empty. Raises ExpressionError."""
    from integration_hub.core.expressions.language import parse

    return parse(text, {f.name: f.type for f in source.fields}) if text else None


class Aborted(Exception):
    """A later step has failed; this one need not go on."""


class NotYet(base.SystemBusy):
    """The hub itself waits, for something that will be over by then: no failure, however often it is asked."""


def require_space() -> None:
    """Raises NotYet while the hub's disk has too little room for what a run would put down."""
    if why := space.shortage():
        raise NotYet(why.template, retry_after=SPACE_SECONDS, **why.values)


class InFlight:
    """Keys of what is compared but not yet recorded. A page that shares a key, a match key or a target key with one of them waits for it."""

    def __init__(self) -> None:
        self._held: dict[int, frozenset[str]] = {}
        self._changed = threading.Condition()
        self._aborted = False

    def wait_for(self, keys: Iterable[str]) -> bool:
        """Return when none of these keys is held: whether one was. Raises Aborted when the work is over."""
        with self._changed:
            if not any(self._held.values()) and not self._aborted:  # then they need not even be put together
                return False
            wanted, waited = frozenset(keys), False
            while not self._aborted and any(not wanted.isdisjoint(held) for held in self._held.values()):
                waited = True
                self._changed.wait()
            if self._aborted:
                raise Aborted
        return waited

    def wait_for_all(self) -> None:
        """Return when nothing is held. Raises Aborted when the work is over."""
        with self._changed:
            while self._held and not self._aborted:
                self._changed.wait()
            if self._aborted:
                raise Aborted

    def hold(self, page: int, keys: Iterable[str]) -> None:
        with self._changed:
            self._held[page] = self._held.get(page, frozenset()) | frozenset(keys)

    def release(self, page: int) -> None:
        with self._changed:
            self._held.pop(page, None)
            self._changed.notify_all()

    def abort(self) -> None:
        with self._changed:
            self._aborted = True
            self._changed.notify_all()


@dataclass(frozen=True)
class Wait:
    """For which link a parked record waits: of this key, on this side of this pair."""

    pair_id: int
    side: str
    key: str


@dataclass
class Left:
    """A record that this run leaves: what its open row will say."""

    key: str
    state: str
    reason: base.Text
    record: dict[str, Any]
    part: str = ""
    again: bool = False
    field: str = ""
    step: str = ""
    value: str = ""
    source_print: bytes | None = None
    change_row: int | None = None
    waits: Wait | None = None
    goes_on: bool = False  # its record is written meanwhile, without the reference that it waits for


@dataclass
class Counts:
    """What became of a page's records before anything is sent."""

    read: int = 0
    absent: int = 0  # asked for by name, and not there
    filtered: int = 0
    rejected: int = 0
    parked: int = 0
    duplicate: int = 0
    produced: int = 0
    missing: int = 0
    kept: int = 0
    unchanged: int = 0
    refused: int = 0
    moved: int = 0
    unknown: int = 0
