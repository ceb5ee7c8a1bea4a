"""Reconcile runs that are due: beside the sync's own schedule, in its time zone, one of a pair at a time."""

from __future__ import annotations

import logging

from django.db import transaction
from django.db.models import Q

from integration_hub.accounts.actor import Actor
from integration_hub.syncs import schedule, services
from integration_hub.syncs.models import Sync
from integration_hub.syncs.services import NotPossible, PairBusy
from integration_hub.systems.models import System

log = logging.getLogger(__name__)

AT_ONCE = 50


def start_due_reconciles() -> None:
    """Start the reconcile run of every sync that is due to. One that finds its pair busy stays due; one that cannot run waits for its next time, and
    the sync's pages say why."""
    resting = Q(pair__a__system__state=System.State.MAINTENANCE) | Q(pair__b__system__state=System.State.MAINTENANCE)
    due = Sync.objects.due_to_reconcile().exclude(resting).select_related("pair__a__system", "pair__b__system", "mapping")
    for sync in due.order_by("reconcile_due_at")[:AT_ONCE]:
        still_due = Sync.objects.filter(pk=sync.pk, reconcile_due_at=sync.reconcile_due_at, paused_at=None)
        try:
            with transaction.atomic():
                if still_due.update(reconcile_due_at=schedule.next_reconcile(sync)):
                    services.start_run(sync, by=Actor.schedule(), reconcile=True, trigger="schedule")
        except PairBusy:
            continue  # the transaction is rolled back: it stays due
        except NotPossible as error:
            still_due.update(reconcile_due_at=schedule.next_reconcile(sync))
            log.warning("a due reconcile run cannot start: %s", error, extra={"sync": sync.pk})
        except Exception:  # one that is broken must not hold up the others; it stays due and is tried at the next sweep
            log.exception("a due reconcile run could not be started", extra={"sync": sync.pk})
