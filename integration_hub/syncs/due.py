"""What is due is started: syncs, and beside them, by schedules of their own, their rosters and reconcile runs."""

from __future__ import annotations

import logging
from typing import Any

from django.db import transaction

from integration_hub.accounts.actor import Actor
from integration_hub.core import texts
from integration_hub.syncs import order, schedule
from integration_hub.syncs.models import Sync
from integration_hub.syncs.services import NotPossible, PairBusy, start_run

log = logging.getLogger(__name__)

AT_ONCE = 200


def start_due_syncs() -> None:
    """Start every sync that is due, each behind those that it runs after. One that finds its pair busy stays due; one that cannot run says so once and
    waits for its next time."""
    for sync in order.free_of(_due_syncs(""))[:AT_ONCE]:
        _start_due(sync, "")


def start_due_rosters() -> None:
    """Have the keys of every source read whose time has come. One that finds its pair busy stays due, and goes before the sync's next run."""
    for sync in _due_syncs(schedule.ROSTER)[:AT_ONCE]:
        _start_due(sync, schedule.ROSTER, keys_only=True)


def start_due_reconciles() -> None:
    """Start the reconcile run of every sync that is due to. One that finds its pair busy stays due; one that cannot run waits for its next time, and
    the sync's pages say why."""
    for sync in _due_syncs(schedule.RECONCILE)[:AT_ONCE]:
        _start_due(sync, schedule.RECONCILE, reconcile=True)


def _due_syncs(prefix: str) -> list[Sync]:
    """Those that are due by this schedule, the longest first, unless one of their systems rests."""
    due = Sync.objects.due(schedule.SCHEDULES[prefix]).awake()
    return list(due.select_related("pair__a__system", "pair__b__system", "mapping").order_by(schedule.SCHEDULES[prefix]))


def _start_due(sync: Sync, prefix: str, **how: Any) -> None:
    column, writes = schedule.SCHEDULES[prefix], prefix != schedule.RECONCILE  # that one reconciles, or cannot, says nothing of those that write
    still_due = Sync.objects.filter(pk=sync.pk, **{column: getattr(sync, column)})
    try:
        with transaction.atomic():
            if still_due.filter(paused_at=None).update(**{column: schedule.next_due(sync, prefix)}, **({"refusal": None} if writes else {})):
                start_run(sync, by=Actor.schedule(), trigger="schedule", **how)
    except PairBusy:
        return  # the transaction is rolled back: it stays due
    except NotPossible as error:
        refusal = {"refusal": texts.stored(error.text)} if writes else {}
        still_due.update(**{column: schedule.next_due(sync, prefix)}, **refusal)
        log.warning("a due sync cannot run: %s", error, extra={"sync": sync.pk, "column": column})
    except Exception:  # one that is broken must not hold up the others; it stays due and is tried at the next sweep
        log.exception("a due sync could not be started", extra={"sync": sync.pk, "column": column})
