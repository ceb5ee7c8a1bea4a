"""A worker carries a partition: under its lease, for some thirty seconds, then it goes back to the queue. What goes wrong decides what comes next."""

from __future__ import annotations

import logging
import time
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from connectors import base
from connectors.base import (
    BadAnswer,
    Connector,
    ConnectorError,
    FieldType,
    PositionExpired,
    SettingsError,
    Stopped,
    SystemBusy,
    SystemDown,
    SystemPausing,
    Text,
    _,
)
from connectors.versions import Versions
from integration_hub.core import leases, logs, space, texts
from integration_hub.core.expressions.errors import ExpressionError
from integration_hub.core.leases import Lease, LeaseLost
from integration_hub.mappings.definition import DefinitionError
from integration_hub.syncs import deletes, guards, pipeline, reconcile, stages, unchanged
from integration_hub.syncs.dividing import divide
from integration_hub.syncs.leftovers import settle_leftovers
from integration_hub.syncs.matching import first_page
from integration_hub.syncs.models import TURN_SECONDS, Link, Pair, Partition, Run
from integration_hub.syncs.schedule import NUMBERS
from integration_hub.syncs.states import LIVE, Mode, PartitionState, RunState
from integration_hub.syncs.work import SPACE_SECONDS, Aborted, NotYet, prepare, require_space
from integration_hub.systems.connection import connect
from integration_hub.systems.models import System

log = logging.getLogger(__name__)

SLICE_SECONDS = TURN_SECONDS
RESTARTS_AT_MOST = 5  # of a reading whose position the source did not keep
LOST_AT_MOST = 3  # leases, without progress: then the page kills its workers
TRIES = {SystemBusy: 60, SystemDown: 10, BadAnswer: 4}  # in a row, without progress; being told to wait is hardly a failure, but not for ever
WAIT_AT_MOST = 60.0


def carry_partition(partition_id: int, sending: int | None = None) -> None:
    """Take a partition and work on it for a turn. A message, which `sending` is the number of, finds nothing to do where it came twice, or late: after a
    newer one, or when its turn is over."""
    partitions = Partition.objects.to_carry() if sending is None else Partition.objects.to_carry().filter(sending=sending, sent_at__isnull=False)
    partition = partitions.filter(pk=partition_id).first()
    lease = leases.take(partition) if partition is not None else None
    if partition is None or lease is None:
        log.info("nothing to carry", extra={"partition": partition_id})
        return
    with logs.context(run=partition.run_id, partition=partition_id):
        _carry_under(lease, partition_id)


def _carry_under(lease: Lease, partition_id: int) -> None:
    began = time.monotonic()
    with lease:
        partition = Partition.objects.select_related(
            "run__sync", "run__pair", "run__mapping_version", "run__applies__plan", "run__applies__decision"
        ).get(pk=partition_id)
        run = partition.run
        if run.state not in LIVE:
            log.info("nothing to carry")
        elif partition.lost_leases >= LOST_AT_MOST:
            fail(
                run,
                lease,
                Text(
                    _("Page {page} has cost {count} workers their lives. Look into their memory, or make the pages of {entity} smaller."),
                    {"page": partition.page_number + 1, "count": partition.lost_leases, "entity": run.source.label or run.source.name},
                ),
            )
        else:
            Partition.objects.filter(pk=partition.pk, lease_number=lease.number).update(state=PartitionState.LEASED)
            carry(partition, lease)
        Partition.objects.filter(pk=partition.pk).update(busy_seconds=F("busy_seconds") + time.monotonic() - began)
    stages.advance(run.pk)
    stages.feed()  # only now, for whoever takes it must find it free


def carry(partition: Partition, lease: Lease) -> None:
    run = partition.run
    try:
        require_space()
        begins = run.state == RunState.QUEUED
        if begins:
            if run.applies_id is None and run.undoes is None:
                measure(run, opener(run, lease))
            stages.begin(run)
            if run.state not in LIVE:  # paused or cancelled while it was measured
                give_back(partition, lease)
                return
        work = prepare(run, partition, opener(run, lease), seconds=SLICE_SECONDS)
        reconcile.refuse_unless_possible(run)
        settle_leftovers(work, lease, opener)
        if begins:
            divide(work, lease)
        step = pipeline.carry if run.state != RunState.CLOSING else reconcile.carry if run.reconciles else deletes.carry
        done = step(work, lease)
        state = PartitionState.WAITING
        if done:
            state = PartitionState.COMPARED if run.state == RunState.COMPARING else PartitionState.DONE
        lease.fence(state=state, not_before=None, sent_at=None, error=None)
    except LeaseLost:
        log.warning("stopped: the lease is lost")
    except (Stopped, Aborted):
        log.warning("stopped: the lease is over")
        give_back(partition, lease)
    except DefinitionError as error:
        fail(run, lease, _unfit(run, error))
    except ExpressionError as error:
        fail(run, lease, Text(_("The filter no longer fits: {problem} Change it in the settings of the sync."), {"problem": error.text}))
    except SettingsError as error:
        fail(run, lease, error.text)
    except PositionExpired as error:
        read_again(partition, lease, error)
    except ConnectorError as error:
        wait_or_fail(partition, lease, error)
    except BaseException as error:  # a fault of ours: say so, try again, then fail loudly
        if isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit):  # Polars' PanicException is no Exception, but it is a fault like others
            raise
        if space.is_full(error):
            wait_or_fail(partition, lease, NotYet(space.IS_FULL, retry_after=SPACE_SECONDS))
            return
        log.exception("carrying failed")
        wait_or_fail(
            partition,
            lease,
            SystemDown(_("The hub itself failed: {error}. The log of the worker has the details."), error=logs.mask(repr(error))[:300]),
        )


def _unfit(run: Run, error: DefinitionError) -> Text:
    """That the version of the mapping no longer fits the entities. An undo is bound to the version that wrote, so that no other one helps it."""
    if run.undoes is None and not run.is_undo:
        return Text(_("The mapping no longer fits: {problem} Publish a version that does."), {"problem": error.text})
    said = _("The version of the mapping that wrote this no longer fits, so the hub cannot undo it: {problem} Correct the records in {system}.")
    return Text(said, {"problem": error.text, "system": run.target.system.name})


def measure(run: Run, open: Any) -> None:
    """What is fixed when a run starts: how many records to expect, up to where it reads, and whether it is a first load into an empty target."""
    source, target = run.source.as_schema(), run.target.as_schema()
    found: dict[str, Any] = {}
    settings = {**run.settings, **unchanged.begun(run)}
    first = Run.objects.live().writing_into(run.target).filter(first_load=True).exclude(pair=run.pair_id).first()
    if first is not None and not run.dry:
        raise NotYet(_("Waits until {name} has filled {entity} for the first time."), retry_after=5.0, name=first.name, entity=str(run.target))
    if source.capabilities.count and run.keys is None and not run.since_value:
        with open("source") as connector:
            found["expected_count"] = connector.count(source)
    shared = Pair.objects.exclude(pk=run.pair_id).filter(Q(a=run.target) | Q(b=run.target)).exists()  # another pair may be filling it just now
    restored = run.sync is not None and run.sync.restored_at is not None
    if target.capabilities.count and not run.keys_only and not shared and not restored and not Link.objects.live(run.pair_id).exists():
        with open("target") as connector:
            found["first_load"] = is_empty(connector, target)
        if found["first_load"] and run.sync is not None and not run.dry:  # no guard counts what fills an empty target
            settings["compare_first"] = run.sync.compare_first
    cursor = source.field(source.cursor_field or "")
    if run.keys is None and source.capabilities.upper_bound and cursor is not None:
        if cursor.type == FieldType.DATETIME:
            found["read_until"] = timezone.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        elif cursor.type in NUMBERS:
            with open("source") as connector:
                found["read_until"] = connector.newest(source) or ""
    if guards.counts_links(run):
        found["links_at_start"] = Link.objects.live(run.pair_id).count()
    Run.objects.filter(pk=run.pk).update(settings=settings, **found)


def is_empty(target: Connector, entity: base.Entity) -> bool:
    """Whether it holds nothing, told twice and by its listing too: what is taken for empty is filled without asking it for each record."""
    return all(target.count(entity) == 0 and not first_page(target, entity, entity.key).height for __ in range(2))


def opener(run: Run, lease: Lease) -> Any:
    """Connectors for the steps of this run, each of its own, with the lease as their deadline. They share what they know of the records' versions, so
    that what was changed between comparing and writing is not overwritten."""
    versions = {"source": Versions(), "target": Versions()}

    def open(which: str) -> AbstractContextManager[Connector]:
        entity = run.source if which == "source" else run.target
        return connect(entity.system, deadline=lambda: float("-inf") if lease.lost else lease.deadline, versions=versions[which])

    return open


def give_back(partition: Partition, lease: Lease) -> None:
    """Our time is over, but the work is not: the next worker may take it at once."""
    try:
        lease.fence(state=PartitionState.WAITING, not_before=None, sent_at=None)
    except LeaseLost:
        log.warning("stopped: the lease is lost")


def read_again(partition: Partition, lease: Lease, error: PositionExpired) -> None:
    """The source no longer knows where reading was to go on: from the start of the range. What was read is recognised as unchanged."""
    partition.refresh_from_db(fields=["start", "position", "restarts"])
    listed = partition.run.target if reconcile.is_listing(partition.position) else partition.run.source
    if partition.restarts >= RESTARTS_AT_MOST:
        fail(
            partition.run,
            lease,
            Text(
                _(
                    "{problem} Reading was begun anew {count} times and never ended. Let {system} keep its positions longer, or make its pages larger."
                ),
                {"problem": error.text, "count": partition.restarts, "system": listed.system.name},
            ),
        )
        return
    start = reconcile.start_of(partition)
    is_at_start = partition.position == start
    if is_at_start and not partition.run.since_value:
        wait_or_fail(partition, lease, error)
        return
    stages.say(partition.run, "{problem}", "warning", problem=error.text)
    if is_at_start:  # not even the cursor is known: everything is read
        Run.objects.filter(pk=partition.run_id).update(since_value="", since_key="", mode=Mode.FULL)
    try:
        lease.fence(position=start, read_done=False, restarts=F("restarts") + 1)
    except LeaseLost:
        log.warning("stopped: the lease is lost")
        return
    wait_or_fail(partition, lease, error)


def wait_or_fail(partition: Partition, lease: Lease, error: ConnectorError) -> None:
    """Give the partition back until another try makes sense, or fail the run after too many without progress."""
    run = partition.run
    partition.refresh_from_db(fields=["failures", "error"])
    wait = getattr(error, "retry_after", None)
    failures = partition.failures + (0 if isinstance(error, NotYet | SystemPausing) or resting(run) else 1)
    reason = texts.stored(error.text)
    if isinstance(error, SystemDown) and not isinstance(error, SystemBusy) and wait is not None and partition.error is not None:
        reason = partition.error  # nothing was asked, for the circuit is open: what opened it says more
    allowed = next((count for kind, count in TRIES.items() if isinstance(error, kind)), TRIES[BadAnswer])
    if failures >= allowed:
        fail(run, lease, Text(reason["template"], reason["values"]))
        return
    seconds = wait if wait is not None else min(WAIT_AT_MOST, 2.0 ** min(failures, 6))
    if partition.error != reason:  # a long wait is told once
        stages.say(run, _("{problem} Tried again in {seconds} s."), "warning", problem=error.text, seconds=round(seconds, 1))
    try:
        lease.fence(
            state=PartitionState.WAITING,
            not_before=timezone.now() + timedelta(seconds=seconds),
            sent_at=None,
            error=reason,
            failures=failures,
        )
    except LeaseLost:
        log.warning("stopped: the lease is over")


def resting(run: Run) -> bool:
    """Whether somebody has put one of the systems in maintenance: the run waits for as long as that takes."""
    places = (run.source.system_id, run.target.system_id)
    return System.objects.filter(pk__in=places, state=System.State.MAINTENANCE).exists()


def fail(run: Run, lease: Lease, reason: Text) -> None:
    """The run cannot go on without a person."""
    try:
        with transaction.atomic():  # at once: whoever sees the failed partition ends the run, and then it must say why
            Run.objects.filter(pk=run.pk, ended_at=None).update(error=texts.stored(reason))
            stages.say(run, "{problem}", "error", problem=reason)
            lease.fence(state=PartitionState.FAILED, error=texts.stored(reason))
    except LeaseLost:
        log.warning("stopped: the lease is over")
