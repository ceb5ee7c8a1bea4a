"""What can be done with syncs and runs, one function a use case; pages, API, commands and tasks call these alike."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Container, Sequence
from functools import partial
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import F, Max
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from connectors.base import Text
from integration_hub.accounts.actor import Actor
from integration_hub.approvals import services as approvals
from integration_hub.audit import services as audit
from integration_hub.core import storage, texts
from integration_hub.core.expressions.errors import ExpressionError
from integration_hub.mappings.models import MappingVersion
from integration_hub.syncs import agreed, drift, guards, lookback, order, policies, schedule, stages
from integration_hub.syncs.models import ChangeSet, OpenRow, OutcomeFile, PageRow, Pair, Partition, Run, Sync, SyncCursor
from integration_hub.syncs.states import ENDED_WHOLE, LIVE, Closed, Direction, Mode, OpenState, PartitionState, RunState, Trigger
from integration_hub.syncs.work import NO_KEY
from integration_hub.systems.models import Entity, System

log = logging.getLogger(__name__)

REPLAYED_AT_ONCE = 10_000


class PairBusy(Exception):
    """Another run of the pair is writing; `run` is it."""

    http_status = 409

    def __init__(self, run: Run) -> None:
        self.run = run
        super().__init__(_("Run {number} of {name} is still going on this pair. Wait for it, or cancel it.").format(number=run.pk, name=run.name))


class NotPossible(Exception):
    """It cannot be done as things are; `text` says why and what to do, and is translated where it is shown."""

    http_status = 409

    def __init__(self, template: str, /, **values: Any) -> None:
        self.text = Text(template, values)
        super().__init__(template)

    def __str__(self) -> str:
        return texts.render(self.text)


# --- runs -------------------------------------------------------------------------------------------------------------


def start_run(
    sync: Sync,
    *,
    by: Actor,
    dry: bool = False,
    full: bool = False,
    reconcile: bool = False,
    keys: Sequence[str] | None = None,
    keys_only: bool = False,
    trigger: str = "hand",
) -> Run:
    """Create a run and hand its partition to the workers once the transaction commits.

    `full` reads everything even where the sync is incremental; `reconcile` compares it with the target itself and leaves a plan; `keys` (canonical source
    keys) reads these records only; `keys_only` reads the keys of all records and nothing else, to see what is gone. Raises PairBusy while another run
    of the pair writes, or reconciles too; NotPossible where the sync cannot run as it is.
    """
    by.require("syncs.run", sync)
    version, dry = _published(sync), dry or reconcile
    if keys_only and keys is not None:
        raise NotPossible(gettext_noop("Read the keys of all records, or some records by their keys, not both."))
    if keys_only and (why := policies.why_no_rosters(sync)) is not None:
        raise NotPossible(why.template, **why.values)
    if not dry and sync.target.system.read_only:
        raise NotPossible(gettext_noop("{system} is read-only here. Allow writing on its page, or make a dry run."), system=sync.target.system)
    for system in (sync.source.system, sync.target.system):
        if system.state == System.State.MAINTENANCE:
            raise NotPossible(gettext_noop("{system} is in maintenance. Run it when that is over."), system=system)
    if reconcile:
        if (why := agreed.refusal(sync, keys, keys_only=keys_only)) is not None:
            raise NotPossible(why.template, **why.values)
        refuse_while_going(pair=sync.pair, dry=False)
    if keys is not None:
        keys = _checked_keys(sync, keys)
    begin = None
    if sync.mode == Mode.INCREMENTAL and not (full or reconcile or keys_only) and keys is None and sync.restored_at is None:
        cursor = SyncCursor.objects.filter(sync=sync, side=sync.source_side).first()
        begin = lookback.begins_at(sync, cursor) if cursor else None
    with transaction.atomic():
        if sync.refusal and not reconcile:  # that this one can start says nothing of those that write
            Sync.objects.filter(pk=sync.pk).update(refusal=None)
        return create_run(
            sync,
            version,
            by=by,
            keys=keys,
            keys_only=keys_only,
            mode=Mode.RECONCILE if reconcile else Mode.INCREMENTAL if begin else Mode.FULL,
            settings=settings_of(sync),
            dry=dry,
            trigger=trigger,
            since_value=begin[0] if begin else "",
            since_key=begin[1] if begin else "",
        )


def settings_of(sync: Sync) -> dict[str, Any]:
    """What a run keeps to, also when the sync is changed while it is going."""
    deletes = {"policy": sync.deletes, "field": sync.mark_field, "value": sync.mark_value, "left_filter": sync.left_filter}
    return {
        "filter": sync.filter,
        "compare_first": guards.compares_first(sync),
        "deletes": deletes,
        "guards": guards.limits_of(sync),
    }


def _published(sync: Sync) -> MappingVersion:
    version = sync.mapping.latest
    if version is None:
        raise NotPossible(gettext_noop("The mapping {name} has no published version yet. Publish it first."), name=sync.mapping)
    if (stop := drift.vanished(sync, version)) is not None:
        raise NotPossible(stop.template, **stop.values)
    return version


def create_run(sync: Sync, version: MappingVersion, *, by: Actor, keys: Sequence[str] | None, **chosen: Any) -> Run:
    """A run with its partition, which goes to the workers once the transaction commits."""
    try:
        with transaction.atomic():
            run = Run.objects.create(
                sync=sync,
                pair=sync.pair,
                name=sync.name,
                mapping_version=version,
                keys=keys,
                actor_kind=by.kind,
                actor_name=by.name,
                actor_id=by.user_id,
                **{"direction": sync.direction, "expected_count": len(keys) if keys is not None else None, **chosen},
            )
            audit.record("run.started", run, by=by)
            Partition.objects.create(run=run)
            transaction.on_commit(stages.feed, robust=True)
    except IntegrityError:
        refuse_while_going(pair=sync.pair, **({"mode": Mode.RECONCILE} if chosen.get("mode") == Mode.RECONCILE else {"dry": False}))
        raise
    return run


def refuse_while_going(**of: Any) -> None:
    """Raises PairBusy while such a run is going."""
    going = Run.objects.filter(ended_at=None, **of).first()
    if going is not None:
        raise PairBusy(going)


def _checked_keys(sync: Sync, keys: Sequence[str]) -> list[str]:
    wanted = list(dict.fromkeys(key for key in keys if key))
    if not wanted:
        raise NotPossible(gettext_noop("Name at least one record by its key."))
    if len(wanted) > 10_000:
        raise NotPossible(gettext_noop("At most 10,000 records can be named at once; these are {count}."), count=len(wanted))
    schema = sync.source.as_schema()
    if not schema.capabilities.lookup_by_key:
        raise NotPossible(gettext_noop("{entity} cannot be asked for single records, so a run cannot be limited to some."), entity=sync.source)
    return wanted


def cancel_run(run: Run, *, by: Actor) -> None:
    """Ask a run to stop at its next safe point. What is written stays; the next run goes on from the cursor.

    Asked again while it is stopping, it changes nothing. Raises NotPossible where the run has ended.
    """
    by.require("syncs.cancel", run)
    with transaction.atomic():
        if not Run.objects.filter(pk=run.pk, ended_at=None, cancel_at=None).update(cancel_at=timezone.now(), state=_unpaused(run)):
            run.refresh_from_db()
            if run.ended_at is not None:
                raise NotPossible(_("Run {number} has ended already: {state}.").format(number=run.pk, state=run.get_state_display()))
            return
        audit.record("run.cancelled", run, by=by)
        stages.say(run, gettext_noop("{name} asked to cancel it"), "warning", name=by.name)
        _advance_later(run)


def pause_run(run: Run, *, by: Actor) -> None:
    """Stop a run at its next safe point; it goes on from there when it is resumed."""
    by.require("syncs.cancel", run)
    with transaction.atomic():
        if not Run.objects.filter(pk=run.pk, state__in=LIVE, cancel_at=None).update(paused_from=F("state"), state=RunState.PAUSED):
            raise NotPossible(gettext_noop("Only a run that is going can be paused."))
        audit.record("run.paused", run, by=by)
        stages.say(run, gettext_noop("{name} paused it"), "warning", name=by.name)


def resume_run(run: Run, *, by: Actor) -> None:
    by.require("syncs.cancel", run)
    with transaction.atomic():
        if not Run.objects.filter(pk=run.pk, state=RunState.PAUSED).update(state=F("paused_from"), paused_from=""):
            raise NotPossible(gettext_noop("Only a paused run can be resumed."))
        audit.record("run.resumed", run, by=by)
        stages.say(run, gettext_noop("{name} resumed it"), name=by.name)
        run.partitions.filter(state=PartitionState.WAITING).update(sent_at=None)
        transaction.on_commit(stages.feed, robust=True)


def _unpaused(run: Run) -> Any:
    run.refresh_from_db()
    return run.paused_from if run.state == RunState.PAUSED else F("state")


def _advance_later(run: Run) -> None:
    from integration_hub.core import dispatch
    from integration_hub.syncs.tasks import advance_run

    dispatch.send(advance_run, run.pk, queue="interactive")


# --- syncs ------------------------------------------------------------------------------------------------------------

_CHANGEABLE = (
    "name", "group", "mapping", "direction", "mode", "filter", "lookback_seconds", "compare_first", "deletes", "mark_field", "mark_value",
    "left_filter", *guards.FIELDS, *schedule.fields(), *schedule.fields(schedule.ROSTER)[:2], *schedule.fields(schedule.RECONCILE)[:2],
    "parked_days", "objective_seconds", "owner", "notes",
)  # fmt: skip


def create_sync(*, by: Actor, source: Entity, target: Entity, after: Sequence[Sync] = (), **settings: Any) -> Sync:
    """Create a sync from `source` to `target`; the pair is shared with every sync between the two, in either direction. Raises ValidationError."""
    by.require("syncs.change")
    if source.pk == target.pk:  # it would read what it has written: without match keys each run creates everything once more
        said = _("{entity} is source and target here, but a sync goes between two. Choose a mapping from one entity to another.")
        raise ValidationError({"mapping": said.format(entity=source)})
    with transaction.atomic():
        pair = Pair.objects.filter(a=target, b=source).first()
        direction = Direction.B_TO_A if pair is not None else Direction.A_TO_B
        if pair is None:
            pair, __ = Pair.objects.get_or_create(a=source, b=target)
        sync = Sync(pair=pair, direction=direction, **settings)
        _check(sync)
        for prefix, due in schedule.SCHEDULES.items():
            setattr(sync, due, schedule.next_due(sync, prefix))
        sync.save()
        sync.after.set(after)
        audit.record("sync.created", sync, by=by, changes={name: [None, plain(getattr(sync, name))] for name in _CHANGEABLE})
    return sync


def change_sync(sync: Sync, *, by: Actor, after: Sequence[Sync] | None = None, **settings: Any) -> Sync:
    """Change a sync's settings. Raises ValidationError; a run that is going stays on what it began with."""
    by.require("syncs.change", sync)
    with transaction.atomic():
        changes = _change_order(sync, after) if after is not None else {}
        sync = Sync.objects.select_for_update().get(pk=sync.pk)
        before = {name: plain(getattr(sync, name)) for name in _CHANGEABLE}
        for name, value in settings.items():
            if name not in _CHANGEABLE:
                raise TypeError(f"A sync has no setting {name}.")
            setattr(sync, name, value)
        _check(sync)
        changes |= {name: [before[name], plain(getattr(sync, name))] for name in _CHANGEABLE if before[name] != plain(getattr(sync, name))}
        if not changes:
            return sync
        for prefix, due in schedule.SCHEDULES.items():
            if changes.keys() & set(schedule.fields(prefix)):
                setattr(sync, due, schedule.next_due(sync, prefix))
        sync.save()
        audit.record("sync.changed", sync, by=by, changes=changes)
    return sync


def _change_order(sync: Sync, after: Sequence[Sync]) -> dict[str, list[str]]:
    """Set which syncs it runs after; what changed, for the audit log. All syncs are held, so that two who change at once make no circle."""
    list(Sync.objects.select_for_update().order_by("pk").values_list("pk", flat=True))
    before = set(sync.after.all())
    if before == set(after):
        return {}
    order.check(sync, after)
    sync.after.set(after)
    return {"after": [texts.listed(sorted(map(str, before))), texts.listed(sorted(map(str, after)))]}


def _check(sync: Sync) -> None:
    """Refuse what could not run, with all that is wrong with it."""
    if found := problems_of(sync):
        raise ValidationError(found)


def problems_of(sync: Sync) -> dict[str, list[str]]:
    """What is wrong with a sync, by field: names taken, a mapping between other entities, a schedule or filter that cannot be understood.

    The sync may be a draft, without a pair or a mapping yet: what rests on something that is missing or wrong itself is not judged.
    """
    found: dict[str, list[str]] = {}
    try:
        sync.full_clean(exclude=["pair", *schedule.SCHEDULES.values(), "paused_at", "restored_at", "last_success_at", "roster_read_at"])
    except ValidationError as error:
        found = error.message_dict
    problems = _problems_with_ends(sync, found) if hasattr(sync, "pair") else {}
    for prefix in schedule.SCHEDULES:
        if not found.keys() & set(schedule.fields(prefix)):
            problems = schedule.problems(sync, prefix) | problems
    return found | {name: [problem] for name, problem in problems.items()}


def _problems_with_ends(sync: Sync, known: Container[str]) -> dict[str, str]:
    """What of mapping, mode and filter does not go with the entities, except where that is `known` to be wrong anyway."""
    problems: dict[str, str] = {}
    schema = sync.source.as_schema()
    if "mapping" not in known and (sync.mapping.source_id, sync.mapping.target_id) != (sync.source.pk, sync.target.pk):
        problems["mapping"] = _("The mapping {name} goes from {source} to {target}, but this sync from {a} to {b}.").format(
            name=sync.mapping, source=sync.mapping.source, target=sync.mapping.target, a=sync.source, b=sync.target
        )
    if sync.mode == Mode.INCREMENTAL and not schema.capabilities.incremental:
        problems["mode"] = _("{entity} cannot be asked for what changed; choose Full.").format(entity=sync.source)
    if sync.filter and "filter" not in known:
        from integration_hub.core.expressions import language

        try:
            language.parse(sync.filter, {f.name: f.type for f in schema.fields})
        except ExpressionError as error:
            problems["filter"] = with_place(error)
    return problems | policies.problems(sync) | agreed.problems(sync)


def with_place(error: ExpressionError) -> str:
    said = texts.render(error.text)
    if error.line is None:
        return said
    return _("{problem} (line {line}, column {column})").format(problem=said, line=error.line, column=error.column)


def plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def pause_sync(sync: Sync, *, by: Actor) -> None:
    """No more runs by schedule, until it is resumed. A run that is going goes on."""
    by.require("syncs.cancel", sync)
    with transaction.atomic():
        if Sync.objects.filter(pk=sync.pk, paused_at=None).update(paused_at=timezone.now()):
            audit.record("sync.paused", sync, by=by)


def resume_sync(sync: Sync, *, by: Actor) -> None:
    """Runs by schedule go on; however many were missed, the sync runs once."""
    by.require("syncs.cancel", sync)
    with transaction.atomic():
        if Sync.objects.filter(pk=sync.pk).exclude(paused_at=None).update(paused_at=None):
            audit.record("sync.resumed", sync, by=by)


def take_sync(sync: Sync, *, by: Actor) -> None:
    """Look after a sync that nobody has. Raises NotPossible where somebody was quicker."""
    by.require("syncs.run", sync)
    with transaction.atomic():
        if not Sync.objects.filter(pk=sync.pk, owner=None).update(owner=by.user_id):
            raise NotPossible(gettext_noop("Somebody has {name} already."), name=sync.name)
        audit.record("sync.changed", sync, by=by, changes={"owner": [None, by.name]})


def delete_sync(sync: Sync, *, by: Actor, forget: bool = False) -> None:
    """Delete a sync with its open rows. Its runs stay readable and links stay with the pair, unless `forget` deletes that too (see delete_pair).

    Refused while a run is going.
    """
    by.require("syncs.delete", sync)
    with transaction.atomic():
        refuse_while_going(sync=sync)
        audit.record("sync.deleted", sync, by=by)
        approvals.withdraw(guards.KIND, sync)
        sync.delete()
        if forget:
            delete_pair(sync.pair, by=by)


def delete_pair(pair: Pair, *, by: Actor) -> None:
    """Delete a pair that no sync is left of, with its links and the history of its runs. Raises PairBusy while a run is going,
    NotPossible while a sync works on it."""
    by.require("syncs.delete", pair)
    with transaction.atomic():
        if names := list(pair.syncs.order_by("name").values_list("name", flat=True)[:5]):
            raise NotPossible(gettext_noop("The links of {pair} are those of {syncs} too. Delete these first."), pair=pair, syncs=texts.listed(names))
        refuse_while_going(pair=pair)
        files = [*ChangeSet.objects.filter(run__pair=pair).exclude(file="").values_list("file", flat=True)]
        files += OutcomeFile.objects.filter(change_set__run__pair=pair).exclude(file="").values_list("file", flat=True)
        for name in ("roster", "agreed"):
            files += PageRow.objects.filter(partition__run__pair=pair).exclude(**{name: ""}).values_list(name, flat=True)
        audit.record("pair.deleted", pair, by=by)
        Run.objects.filter(pair=pair).delete()
        pair.delete()
        transaction.on_commit(partial(storage.remove, files))


def set_cursor(sync: Sync, *, by: Actor, value: str, note: str, key: str = "") -> None:
    """Set the cursor back (or forward): the next incremental run reads from there. "" removes it, so that everything is read.

    `note` is the reason, which the audit log keeps. Raises ValidationError by field, PairBusy while a run of the sync is going, which would
    move the cursor when it ends.
    """
    by.require("syncs.change", sync)
    problems: dict[str, list[str]] = {}
    if not note.strip():
        problems["note"] = [_("Say why the cursor is set.")]
    try:
        value = schedule.cursor_value(sync, value) if value else ""
    except ValidationError as error:
        problems |= error.message_dict
    if problems:
        raise ValidationError(problems)
    with transaction.atomic():
        refuse_while_going(sync=sync, dry=False)
        known = SyncCursor.objects.filter(sync=sync, side=sync.source_side).first()
        before = str(known) if known else None
        if value:
            SyncCursor.objects.update_or_create(sync=sync, side=sync.source_side, defaults={"value": value, "key": key})
        elif known:
            known.delete()
        audit.record("sync.cursor_set", sync, by=by, changes={"cursor": [before, f"{value}, {key}" if value else None]}, note=note)


# --- open rows --------------------------------------------------------------------------------------------------------


def replay_rejects(rows: Any, *, by: Actor) -> int:
    """Have open rows (a queryset) taken up by the next run of their syncs, which is started now, unless one is going that will meet them.

    Returns how many. The source record is read anew where the source can be asked for it.
    """
    by.require("rejects.resolve")
    now = timezone.now()
    with transaction.atomic():
        pks = list(rows.open().filter(replay_at=None).exclude(state=OpenState.WITHHELD).values_list("pk", "sync_id"))
        count, of_sync = 0, Counter(sync_id for __, sync_id in pks)
        for start in range(0, len(pks), 500):
            some = [pk for pk, __ in pks[start : start + 500]]
            count += OpenRow.objects.filter(pk__in=some).update(replay_at=now, again=True)
        syncs = list(Sync.objects.filter(pk__in=rows.values("sync_id").distinct()))
        for sync in syncs:
            if of_sync[sync.pk]:
                audit.record("rejects.replayed", sync, by=by, note=str(of_sync[sync.pk]))
    for sync in syncs:
        waiting = OpenRow.objects.open().filter(sync=sync, replay_at__isnull=False)
        keys = list(waiting.values_list("key", flat=True)[:REPLAYED_AT_ONCE])
        try:
            if keys:
                _start_replay(sync, keys, by=by, released=waiting.filter(state=OpenState.PARKED).exclude(replay_at=now).exists())
        except (PairBusy, NotPossible) as error:
            log.info("the next run takes the replayed rows up: %s", error, extra={"sync": sync.pk})
    return count


def _start_replay(sync: Sync, keys: list[str], *, by: Actor, released: bool) -> Run:
    """A run over the replayed records only; they may be read from their open rows, so the source need not know single records. `released`: some were
    parked until their link was made, so that no guard has counted them yet; else somebody has looked at them all."""
    version = _published(sync)
    refuse_while_going(pair=sync.pair, dry=False)
    settings = settings_of(sync) if released else {**settings_of(sync), "compare_first": False, "guards": {}}
    return create_run(sync, version, by=by, keys=keys, mode=Mode.FULL, settings=settings, trigger="replay")


def start_waiting_replays() -> None:
    """Start what was asked to be replayed while a run was going that had read too far to meet it. Each is tried once; then the next run takes it up."""
    waiting = OpenRow.objects.open().filter(replay_at__isnull=False).exclude(key__regex=NO_KEY)
    waiting = waiting.exclude(state=OpenState.PARKED, sync__paused_at__isnull=False)  # released by a link, not asked for by a person
    for sync_id, asked_at in waiting.values_list("sync").annotate(asked_at=Max("replay_at")):
        newest = Run.objects.filter(sync=sync_id, dry=False).order_by("-pk").first()
        if newest is None or newest.ended_at is None or (newest.made_at >= asked_at and not _left_some(newest)):
            continue
        rows = waiting.filter(sync=sync_id).order_by("pk")
        keys, released = list(rows.values_list("key", flat=True)[:REPLAYED_AT_ONCE]), rows.filter(state=OpenState.PARKED).exists()
        try:
            _start_replay(Sync.objects.get(pk=sync_id), keys, by=Actor.schedule(), released=released)
        except (PairBusy, NotPossible) as error:
            log.info("the next run takes the replayed rows up: %s", error, extra={"sync": sync_id})


def _left_some(run: Run) -> bool:
    """Whether a replay went through but could not take all that waited."""
    return run.state in ENDED_WHOLE and run.trigger == Trigger.REPLAY and len(run.keys or ()) == REPLAYED_AT_ONCE


def dismiss_rejects(rows: Any, *, by: Actor, note: str) -> int:
    """Close open rows (a queryset) without doing anything about them; the reason is kept. Returns how many."""
    by.require("rejects.resolve")
    if not note.strip():
        raise ValidationError({"note": _("Say why these records may be left.")})
    with transaction.atomic():
        pks = list(rows.open().exclude(state=OpenState.WITHHELD).values_list("pk", "sync_id"))
        now = timezone.now()
        for start in range(0, len(pks), 500):
            some = [pk for pk, __ in pks[start : start + 500]]
            OpenRow.objects.filter(pk__in=some).update(closed_at=now, closed_as=Closed.DISMISSED, closed_by=by.name, closed_note=note)
        of_sync = Counter(sync_id for __, sync_id in pks)
        for sync in Sync.objects.filter(pk__in=of_sync):
            audit.record("rejects.dismissed", sync, by=by, note=f"{of_sync[sync.pk]}: {note}")
    return len(pks)
