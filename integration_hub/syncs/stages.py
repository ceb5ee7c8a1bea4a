"""The stages of a run: comparing → writing → closing → its end. Each is entered by one conditional UPDATE; the sweep enters it where nobody did."""

from __future__ import annotations

import logging
from datetime import UTC, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Max, Q
from django.db.models.functions import Now
from django.utils import timezone

from connectors.base import FieldType, Text, _
from integration_hub.core import dispatch, outbox, texts
from integration_hub.core.models import Heartbeat
from integration_hub.syncs import changesets, claims, guards, openrows, restored, roster, tasks, unchanged, waiting
from integration_hub.syncs.books import books_of, differences_of
from integration_hub.syncs.models import ChangeSet, LogLine, PageRow, Partition, RecordDrift, Run, Sync, SyncCursor
from integration_hub.syncs.schedule import cursor_order
from integration_hub.syncs.states import ENDED_WHOLE, ChangeSetState, Mode, PartitionState, RunState

log = logging.getLogger(__name__)


def say(run: Run, template: str, /, level: str = "info", **values: Any) -> None:
    """A line in the run's log."""
    LogLine.objects.create(run=run, level=level, text=texts.stored(Text(template, values)))


def _first_words(run: Run) -> str:
    if run.keys_only:
        return _("reads the keys alone, to see what is gone")
    return _("compares both systems field by field, writes nothing") if run.reconciles else _("compares first, writes nothing yet")


def begin(run: Run) -> None:
    """The first worker has taken a part of it. At once: it starts to write; compared first, or dry: it compares."""
    compares = run.dry or run.keys_only or run.settings.get("compare_first", False)
    state = RunState.COMPARING if compares else RunState.WRITING
    if Run.objects.filter(pk=run.pk, state=RunState.QUEUED).update(state=state, started_at=timezone.now()):
        at_once = _("writes each page as soon as it is compared") if run.applies_id is None else _("writes what was approved")
        say(run, _first_words(run) if compares else at_once)
        if run.sync is not None and run.sync.restored_at is not None:
            say(run, _("the hub was restored from a backup: looks for each record that has no link before it creates it"), "warning")
    run.refresh_from_db()


def advance(run_id: int) -> None:
    """Move a run to its next stage, if its partitions allow it. Safe to call at any time, by anyone."""
    run = Run.objects.filter(pk=run_id, ended_at=None).select_related("sync").first()
    if run is None or (run.state == RunState.PAUSED and run.cancel_at is None):
        return
    states = set(run.partitions.values_list("state", flat=True))
    if run.cancel_at is not None:
        if PartitionState.LEASED not in states or not _held(run):
            close(run, RunState.CANCELLED)
    elif PartitionState.FAILED in states:
        if PartitionState.LEASED not in states or not _held(run):
            close(run, RunState.FAILED)
    elif run.state == RunState.COMPARING and states == {PartitionState.COMPARED}:
        if not run.dry and not run.keys_only:
            _start_writing(run)
        elif not _start_closing(run):
            close(run, RunState.SUCCEEDED)
    elif run.state == RunState.WRITING and states == {PartitionState.DONE}:
        if not _start_closing(run):
            close(run, RunState.SUCCEEDED)
    elif run.state == RunState.CLOSING and states <= {PartitionState.DONE, PartitionState.COMPARED}:
        close(run, RunState.SUCCEEDED)


def _held(run: Run) -> bool:
    return run.partitions.exclude(pk__in=Partition.objects.free().values("pk")).exists()


def _start_writing(run: Run) -> None:
    with transaction.atomic():
        if not Run.objects.filter(pk=run.pk, state=RunState.COMPARING).update(state=RunState.WRITING):
            return
        run.partitions.update(state=PartitionState.WAITING, sent_at=None, not_before=None)
        guards.withhold(run, "create", "update")
        say(run, _("everything is compared; writes now"))
    feed()


def _start_closing(run: Run) -> bool:
    """Have the first partition look for deletes and for rejects whose record is gone, where there may be some, and for what only the target has. False:
    there is nothing left to do but to end the run."""
    if not (roster.may_tell_deletes(run) or openrows.may_be_gone(run) or run.reconciles):
        return False
    with transaction.atomic():
        if Run.objects.filter(pk=run.pk, state=run.state).update(state=RunState.CLOSING):
            anew = {"state": PartitionState.WAITING, "sent_at": None, "not_before": None}
            run.partitions.filter(number=1).update(position=None, read_done=False, **anew)
            if roster.may_tell_deletes(run) or openrows.may_be_gone(run):
                say(run, _("looks for what was deleted in {system}"), system=run.source.system.name)
            if run.reconciles:
                say(run, _("lists what {system} has, and looks for what no link knows"), system=run.target.system.name)
    feed()
    return True


def feed() -> None:
    """Hand partitions to the workers, in fair order: as many as they can take up at once, so that none waits behind others in the queue, and what comes
    next is chosen when a slot is free. Outside of a transaction: what it marks as sent must be seen by whoever takes it.

    What may be lost is sent again only while there are workers; else messages would gather until one comes.
    """
    slots = Heartbeat.objects.slots("bulk")
    for __ in range(max(1, slots) - Partition.objects.in_hand().count()):
        waiting = Partition.objects.to_send() if slots else Partition.objects.unsent()
        first = waiting.in_fair_order().first()
        if first is None:
            return
        newest = Partition.objects.filter(run__ended_at=None).aggregate(number=Max("sending"))["number"] + 1
        mine = Partition.objects.free().filter(pk=first.pk, sending=first.sending)
        if mine.update(sending=newest, sent_at=Now(), state=PartitionState.WAITING):
            dispatch.send(tasks.carry_partition, first.pk, newest)


def close(run: Run, state: str) -> None:
    """End a run: drop what was not sent, count, move the cursor, tell. One transaction; who comes second finds it done."""
    with transaction.atomic():
        if not Run.objects.filter(pk=run.pk, ended_at=None).update(state=RunState.CLOSING):
            return
        # A worker that slept through its lease must not commit into a run that has ended: its number is taken from it.
        run.partitions.update(lease_number=F("lease_number") + 1, lease_until=None, lease_holder="")
        if not run.dry:
            _drop_unsent(run)
            waiting.release_linked(run)
            openrows.close_unlinked(run)
        books = books_of(run, ended=True)
        counts = books.counts
        if counts["deleted"] and not run.dry:
            waiting.release_deletes(run)
        waits = guards.ask(run)  # whatever came of it: what it withheld, and what it no longer withholds
        if state == RunState.SUCCEEDED and waits:
            state = RunState.AWAITING_DECISION
        elif state == RunState.SUCCEEDED and (counts["rejected"] + counts["refused"] + counts["unknown"] + counts["moved"]):
            state = RunState.WITH_REJECTS
        now = timezone.now()
        Run.objects.filter(pk=run.pk).update(state=state, ended_at=now, counts=counts, balanced=books.balance, cancel_at=run.cancel_at)
        if not books.balance:
            say(run, _("the books do not balance"), "error")
            for told in differences_of(run, books, ended=True):
                say(run, told.template, "error", **told.values)
            outbox.emit("run.unbalanced", f"runs/{run.pk}", sync=run.sync_id, name=run.name)
        if state in ENDED_WHOLE and not run.dry and books.balance:
            _finish(run)
        _say_counts(run, state, counts)
        if state in ENDED_WHOLE and any(found.total for found in RecordDrift.objects.filter(run=run)):
            outbox.emit("drift.found", f"runs/{run.pk}", sync=run.sync_id, name=run.name)
        outbox.emit(f"run.{state}", f"runs/{run.pk}", sync=run.sync_id, name=run.name, balanced=books.balance)
    if not run.dry:
        unchanged.forget(run)
    changesets.sweep_orphans(run.pk)


def _say_counts(run: Run, state: str, counts: dict[str, int]) -> None:
    level = {RunState.FAILED: "error", RunState.WITH_REJECTS: "warning", RunState.AWAITING_DECISION: "warning", RunState.CANCELLED: "warning"}.get(
        RunState(state), "info"
    )
    told: dict[str, Any] = {name: counts[name] for name in ("read", "created", "updated", "deleted", "unchanged", "withheld", "rejected", "refused")}
    said = _("{read} read, {created} created, {updated} updated, {unchanged} unchanged, {rejected} rejected, {refused} refused")
    if told["deleted"] or told["withheld"]:
        said = _(
            "{read} read, {created} created, {updated} updated, {deleted} deleted, {unchanged} unchanged, {withheld} withheld, {rejected} rejected, "
            "{refused} refused"
        )
    say(run, said, level, **told)


def _drop_unsent(run: Run) -> None:
    """What was planned and not sent is not sent any more. What is on its way stays: the pair's next run finds out what became of it."""
    ChangeSet.objects.filter(run=run, state=ChangeSetState.PLANNED).update(state=ChangeSetState.DROPPED, not_sent=F("rows") - F("settled"))
    ChangeSet.objects.filter(run=run, state=ChangeSetState.SENDING, sending_to=F("settled")).update(
        state=ChangeSetState.DROPPED, not_sent=F("rows") - F("settled")
    )
    for change_set in ChangeSet.objects.filter(run=run, state=ChangeSetState.SENDING, sending_to__gt=F("settled")):
        on_its_way = change_set.sending_to - change_set.settled
        ChangeSet.objects.filter(pk=change_set.pk).update(not_sent=F("rows") - F("sending_to"), unknown=F("unknown") + on_its_way)
        Partition.objects.filter(pk=change_set.partition_id).update(unknown_count=F("unknown_count") + on_its_way)
    claims.release_unsent(run)


def _finish(run: Run) -> None:
    """A run that went through moves the cursor to the greatest that was read up to its bound, and the sync is as fresh as the run's beginning."""
    sync = run.sync
    if sync is None:
        return
    if run.keys_only:
        Sync.objects.filter(pk=sync.pk).update(roster_read_at=run.started_at)
    elif run.keys is None and run.applies_id is None:
        if run.mode == Mode.FULL:
            restored.went_through(run)
        openrows.close_without_key(run)
        Sync.objects.filter(pk=sync.pk).update(last_success_at=run.started_at)
        source = run.source.as_schema()
        field = source.field(source.cursor_field or "")
        rows = PageRow.objects.filter(partition__run=run).exclude(last_value="").values_list("last_value", "last_key").distinct()
        if source.cursor_field and (unreadable := openrows.unreadable_keys(run)):
            _keep_cursor(run, unreadable)
        elif source.capabilities.own_cursor:
            _move_cursor(run, rows.order_by("-number").first())
        elif field is not None:
            newest = bounded(run, field.type, max(rows, key=lambda row: cursor_order(field.type, *row), default=None))
            known = SyncCursor.objects.filter(sync=sync, side=run.source_side).first()
            if newest is not None and (
                run.mode == Mode.FULL or known is None or cursor_order(field.type, *newest) > cursor_order(field.type, known.value, known.key)
            ):
                _move_cursor(run, newest)


def bounded(run: Run, kind: FieldType, newest: tuple[str, str] | None) -> tuple[str, str] | None:
    """The greatest (value, key) that was read, but nothing from after the run's beginning: others that changed since then may have been read before.

    A moment is then taken back to its whole minute and a date to the day before, for a system may keep no finer ones and live in any time zone.
    """
    if newest is None or run.started_at is None:
        return newest
    began = run.started_at.astimezone(UTC)
    bound = run.read_until
    if kind == FieldType.DATETIME:
        bound = bound or began.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    elif kind == FieldType.DATE:
        bound = (began - timedelta(days=1)).date().isoformat()
    if not bound or cursor_order(kind, newest[0], "") <= cursor_order(kind, bound, ""):
        return newest
    return (f"{bound[:16]}:00.000000Z" if kind == FieldType.DATETIME else bound, "")


def _keep_cursor(run: Run, unreadable: int) -> None:
    """The next run begins where this one did."""
    if not run.since_value:
        SyncCursor.objects.filter(sync=run.sync, side=run.source_side).delete()
    say(run, _("{count} records have no readable key, so nobody can ask for them: the next run reads from the same place again"), count=unreadable)


def _move_cursor(run: Run, newest: tuple[str, str] | None) -> None:
    if newest is not None:
        SyncCursor.objects.update_or_create(sync=run.sync, side=run.source_side, defaults={"value": newest[0], "key": newest[1][:500]})


def sweep() -> None:
    """Send again what lost its worker or was never taken; move runs on."""
    feed()
    idle = Run.objects.filter(ended_at=None).exclude(state=RunState.PAUSED, cancel_at=None)
    ready = idle.filter(
        Q(cancel_at__isnull=False) | Q(error__isnull=False) | ~Q(partitions__state__in=(PartitionState.WAITING, PartitionState.LEASED))
    )
    for run_id in ready.values_list("pk", flat=True).distinct()[:200]:
        try:
            advance(run_id)
        except Exception:  # one that is broken must not hold up the others; it is tried again at the next sweep
            log.exception("a run could not be moved on", extra={"run": run_id})
