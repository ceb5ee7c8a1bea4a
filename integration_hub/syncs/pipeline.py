"""The inside of a sync: six steps in one straight line.

    read → map → compare → write → record → next

Each step is a generator over the one before, and closes it however it ends; `ahead` lets the next page be read, mapped and compared while this one
is written. Recording is always in order. A position is never taken from memory: after any end, reading goes on behind the last page that was planned,
and writing goes on from the change sets that are not settled, taken from their files.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from integration_hub.core.ahead import ahead
from integration_hub.core.leases import Lease
from integration_hub.syncs import applying, changesets, guards, keysonly, openrows, refused, roster, undoing, waiting
from integration_hub.syncs.compare import Compared, MappedPage, compare
from integration_hub.syncs.gathering import gathered
from integration_hub.syncs.mapping import map_page
from integration_hub.syncs.models import ChangeSet, PageRow
from integration_hub.syncs.reading import read
from integration_hub.syncs.record import record
from integration_hub.syncs.seen import Seen
from integration_hub.syncs.states import ChangeSetState, RunState
from integration_hub.syncs.work import Counts, InFlight, Work, require_space
from integration_hub.syncs.write import FRESH_SECONDS, PlannedSet, sent

if TYPE_CHECKING:
    from connectors.base import Page


def carry(work: Work, lease: Lease) -> bool:
    """Do a partition's work in the run's stage until it is done or its turn is over. True: done."""
    if work.run.state == RunState.COMPARING:
        if work.run.undoes is not None:
            undoing.planned(work, lease, plan)
        elif work.run.keys_only:
            keysonly.rostered(work, lease, plan)
        else:
            for __ in compared(work, lease, ahead(gathered(work, mapped(work, read(work))))):
                pass
        work.partition.refresh_from_db()
        return work.partition.read_done
    tried: set[str] = set()
    while True:  # a record parked on one that this run has written since is read again, generation by generation; so is what waits for one another
        write(work, lease)
        work.partition.refresh_from_db()
        if not work.partition.read_done or unsettled(work).exists():
            return False
        if work.run.applies_id is not None:
            return True
        work.in_circle = frozenset()
        if not waiting.released(work).exists():
            work.in_circle = waiting.in_circle(work) - tried
            tried |= work.in_circle
            if not work.in_circle:
                return True
        if work.turn_is_over():
            return False


def write(work: Work, lease: Lease, sets: Generator[PlannedSet] | None = None) -> None:
    """Send change sets and settle them, portion by portion: these, or all that there is to write."""
    work.in_flight = InFlight()
    with closing(ahead(sent(work, lease, sets if sets is not None else to_write(work, lease)))) as portions:
        try:
            for portion in portions:
                record(work, lease, portion)
                del portion
        finally:
            work.in_flight.abort()


def to_write(work: Work, lease: Lease) -> Generator[PlannedSet]:
    """First what an earlier holder left, then what is read now, each page as soon as it is compared."""
    yield from taken_up(work)
    if work.run.applies is not None:
        if not work.partition.read_done:
            yield from ahead(applying.approved(work, lease, plan))
    elif not work.partition.read_done or goes_on(work):
        yield from ahead(compared(work, lease, ahead(gathered(work, mapped(work, read(work))))))


def goes_on(work: Work) -> bool:
    """Whether there is more to take behind the end of the source. Not told before all that was taken up is recorded, for that may be these very records."""
    work.in_flight.wait_for_all()
    return bool(work.in_circle) or waiting.released(work).exists()


def mapped(work: Work, pages: Generator[tuple[Page, int | None]]) -> Generator[MappedPage]:
    """Each page of source records as the target's records, with what was filtered out, doubled or rejected."""
    with closing(pages):
        for number, (page, asked) in enumerate(pages, start=work.partition.page_number + 1):
            yield map_page(work, page, number=number, asked=asked)


def compared(work: Work, lease: Lease, pages: Generator[MappedPage]) -> Generator[PlannedSet]:
    """Each page's change set, put down as planned together with the position behind it and what it leaves open."""
    seen = seen_before(work)
    writes = work.run.state != RunState.COMPARING  # where nothing is written yet, nothing can be waited for; writing looks again
    with closing(pages), work.open("target") as target:
        for page in pages:
            require_space()
            met = seen.meets(page) if seen is not None else None
            if writes and met is None:
                work.in_flight.wait_for(keys_of(page))
            elif writes and met is not None and met.any:
                work.in_flight.wait_for_all()
            began, result = timezone.now(), compare(work, page, target, met)
            while writes and work.in_flight.wait_for(key for key in result.held if key.startswith("t")):
                began, result = (
                    timezone.now(),
                    compare(work, page, target, met),
                )  # what it found there has just been written for another record
            if writes and result.changes is not None:
                work.in_flight.hold(page.number, result.held)
            change_set, changes = plan(work, lease, result, began=began), result.changes
            del page, met, result  # what the changes were found by need not be in memory while they are written
            if change_set is not None and changes is not None:
                yield PlannedSet(change_set, changes)


def seen_before(work: Work) -> Seen | None:
    """In a first load, what it has met so far, so that nothing else need be looked up. Not after a break: others may have written to the target."""
    if not work.run.first_load:
        return None
    newest = work.partition.pages.order_by("-number").values_list("at", flat=True).first()
    if newest is not None and (timezone.now() - newest).total_seconds() > FRESH_SECONDS:
        return None
    return Seen.of(work.partition)


def keys_of(page: MappedPage) -> Iterator[str]:
    """What this page may touch, in the form in which it is held."""
    yield from (f"s{key}" for key in page.keys)
    yield from changesets.held(page.match)


def plan(work: Work, lease: Lease, result: Compared, *, began: datetime) -> ChangeSet | None:
    """One commit: change set, page row, open rows, counters and the position behind the page. The files are on the disk before it."""
    page, counts, changes = result.page, result.page.counts, result.changes
    place = {}
    if changes is not None:
        content = changesets.written(changes)
        place = changesets.placed(content, work.run.pk) | (changesets.told_of_plan(changes, content) if work.run.dry else {})
    seen, agreed = (roster.placed(frame, work.run.pk) if frame is not None else "" for frame in (page.roster, result.agreed))
    with transaction.atomic():
        change_set = None
        if changes is not None:
            change_set = ChangeSet.objects.create(
                run=work.run,
                partition=work.partition,
                page=page.number,
                rows=changes.height,
                creates=int((changes["operation"] == "create").sum()),
                updates=int((changes["operation"] == "update").sum()),
                deletes=int(changes["operation"].is_in(changesets.DELETES).sum()),
                planned_at=began,
                **refused.counts_of(work.run, changes),
                **place,
            )
            guards.count_again(work.run, change_set)
        PageRow.objects.create(
            partition=work.partition,
            number=page.number,
            last_value=page.last_value,
            last_key=page.last_key,
            roster=seen,
            agreed=agreed,
            **{n: getattr(counts, n) for n in _PAGE_COUNTS},
        )
        openrows.leave(work.sync, work.run, work.run.source_side, [left for left in page.left if not left.goes_on])
        if not work.run.dry:
            openrows.close(work.sync, work.run.source_side, result.passed)
            refused.end(work, page.keys, changes)
        going_on = [left for left in page.left if left.goes_on]
        openrows.leave(work.sync, work.run, work.run.source_side, going_on, change_set_id=change_set.pk if change_set is not None else None)
        position = {} if page.wanted else {"position": page.position, "read_done": page.last, "wanted_done": True}
        lease.fence(
            page_number=page.number,
            failures=0,
            **position,
            **{f"{name}_count": F(f"{name}_count") + count for name in _PAGE_COUNTS if (count := getattr(counts, name))},
        )
    return change_set


_PAGE_COUNTS = tuple(field.name for field in fields(Counts))


def unsettled(work: Work):  # type: ignore[no-untyped-def]
    return work.partition.change_sets.filter(state__in=(ChangeSetState.PLANNED, ChangeSetState.SENDING)).order_by("pk")


def taken_up(work: Work) -> Generator[PlannedSet]:
    """The change sets that were planned before and are not settled, from their files; later pages wait for what they touch."""
    for pk in list(unsettled(work).values_list("pk", flat=True)):
        change_set = ChangeSet.objects.get(pk=pk)
        changes = changesets.frame_of(change_set)
        touched = changesets.touched(changes)
        work.in_flight.wait_for(touched)  # of two that were compared before either was written, the second must see what became of the first
        work.in_flight.hold(change_set.page, touched)
        yield PlannedSet(change_set, changes)
