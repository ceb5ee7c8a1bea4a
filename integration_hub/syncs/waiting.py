"""Parked records: each waits for one link, is taken up again when that is made, and becomes a reject when it has waited too long. And refused deletes,
which wait for others.

The commit that makes a link releases what waits for it. It does not see what another run is parking at that moment, and such a row may be locked by
that run; so each run looks again when it ends: for the records of its sync that wait for a link there is by now, and for all that wait for its pair.
Whichever of the two ends later finds the other's commit, so that nothing waits for a link that exists.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from connectors.base import Text, _
from integration_hub.core import bulk, texts
from integration_hub.syncs import openrows, order
from integration_hub.syncs.models import Link, OpenRow, OpenRowQuerySet, Run, Sync
from integration_hub.syncs.states import OpenState, Side
from integration_hub.syncs.work import Left, Work

AT_ONCE = 500
DELETE_TRIES = 10  # of a delete that the target refuses, before it takes a person
WAITED = _("Waited {days} days for {entity} {key} of {system}, which has no record in {target}. It goes on by itself once it has one.")


def release(pair_id: int, a_keys: Iterable[str], b_keys: Iterable[str], *, at: datetime) -> None:
    """Have what waits for the links of these keys taken up again, in the transaction that makes the links."""
    if not OpenRow.objects.open().filter(waits_pair=pair_id, replay_at=None).exists():
        return
    for side, keys in ((Side.A, a_keys), (Side.B, b_keys)):
        still = "closed_at IS NULL AND replay_at IS NULL"
        found = bulk.fetch(OpenRow, ["id"], key="waits_key", values=list(keys), where=still, waits_pair=pair_id, waits_side=side.value)
        _take_up((pk for (pk,) in found), at)


def release_linked(run: Run) -> None:
    """At the end of a run: what waits although its link is there by now, for its pair or among its sync's own records."""
    live = Link.objects.filter(pair=OuterRef("waits_pair"), part="", ended_at=None)
    by_a = Q(Exists(live.filter(a_key=OuterRef("waits_key"), a_many=False)), waits_side=Side.A)
    by_b = Q(Exists(live.filter(b_key=OuterRef("waits_key"), b_many=False)), waits_side=Side.B)
    for whose in (Q(waits_pair=run.pair_id), Q(sync=run.sync_id, waits_since__isnull=False)):
        rows = OpenRow.objects.open().filter(whose, replay_at=None)
        _take_up(list(rows.filter(by_a | by_b).values_list("pk", flat=True)), timezone.now())


def release_deletes(run: Run) -> None:
    """At the end of a run that has deleted some: what refers to a record goes before it, and so deletes that the target has refused are tried once more,
    of the run's own sync and of those that it runs after."""
    if run.sync_id is None:
        return
    names = Sync.objects.filter(pk__in={run.sync_id, *order.all_before(run.sync_id, order.order_now())}, paused_at=None)
    syncs = [sync.pk for sync in names.select_related("pair__a", "pair__b") if sync.target.system_id == run.target.system_id]
    rows = OpenRow.objects.open().filter(openrows.DELETES, sync__in=syncs, state=OpenState.REFUSED, replay_at=None, tries__lt=DELETE_TRIES)
    rows.update(replay_at=timezone.now())


def _take_up(pks: Iterable[int], at: datetime) -> None:
    """A row that is locked is being left by its run right now; that run looks again when it ends."""
    wanted = sorted(pks)
    for start in range(0, len(wanted), AT_ONCE):
        rows = OpenRow.objects.select_for_update(skip_locked=True).filter(pk__in=wanted[start : start + AT_ONCE])
        free = list(rows.order_by("pk").values_list("pk", flat=True))
        OpenRow.objects.filter(pk__in=free, replay_at=None).update(replay_at=at)


def released(work: Work) -> OpenRowQuerySet:
    """What this run has parked and its own writing has released since. The first of its partitions takes it up; what comes later is replayed, and
    so is what a run over named records releases, which reads each of these once."""
    rows: OpenRowQuerySet = OpenRow.objects.open().filter(sync=work.sync, side=work.run.source_side, run=work.run, replay_at__isnull=False)
    return rows.filter(state=OpenState.PARKED) if work.partition.number == 1 and work.run.keys is None else rows.none()


def in_circle(work: Work) -> frozenset[str]:
    """Keys of parked records that wait for one another in a circle, or for themselves: no order of writing frees them. The first of a run's partitions
    takes them up. Of what waits only those are looked at that others wait for too, for the rest goes on with them."""
    if work.partition.number != 1 or work.run.keys is not None:
        return frozenset()
    rows = OpenRow.objects.open().filter(sync=work.sync, side=work.run.source_side, state=OpenState.PARKED, replay_at=None)
    own = rows.filter(waits_pair=work.run.pair_id, waits_side=work.run.source_side)
    waited_for = own.filter(Exists(own.filter(waits_key=OuterRef("key"))), Exists(own.filter(key=OuterRef("waits_key"))))
    awaited = dict(waited_for.values_list("key", "waits_key").iterator())
    found: set[str] = set()
    seen: set[str] = set()
    for key in awaited:
        way: dict[str, None] = {}
        while key in awaited and key not in seen:
            seen.add(key)
            way[key] = None
            key = awaited[key]
        if key in way:
            found.update(list(way)[list(way).index(key) :])
    return frozenset(found)


def reject_overdue() -> None:
    """What has waited longer than its sync allows becomes a reject, so that a person sees it. It still goes on once its link is made."""
    waiting = OpenRow.objects.open().filter(waits_since__isnull=False)
    for sync in Sync.objects.filter(Exists(waiting.filter(sync=OuterRef("pk")))):
        long_ago = timezone.now() - timedelta(days=sync.parked_days)
        with transaction.atomic():
            overdue = waiting.filter(sync=sync, waits_since__lt=long_ago, replay_at=None).select_for_update(skip_locked=True)
            rows = list(overdue.order_by("waits_since")[:AT_ONCE])
            for row in rows:
                reason = Text(WAITED, {**row.reason["values"], "days": sync.parked_days})
                rejected = Left(row.key, OpenState.REJECTED, reason, {}, field=row.field, step=row.step, value=row.value)
                row.state, row.cause, row.reason, row.waits_since = rejected.state, openrows.cause_of(rejected), texts.stored(reason), None
            OpenRow.objects.bulk_update(rows, ["state", "cause", "reason", "waits_since"], batch_size=200)
