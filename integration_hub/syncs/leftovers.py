"""What an earlier run of the pair left on its way when it failed or was cancelled: found out before anything else is written.

What arrived gets its link; what did not will be read again, for the cursor has not moved past it. Nothing is sent again, but for creates under
an idempotency key, which tells what became of them.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from django.db.models import F

from connectors.base import Connector, SystemDown, _
from integration_hub.core.expressions.errors import ExpressionError
from integration_hub.core.leases import Lease
from integration_hub.mappings.definition import DefinitionError
from integration_hub.syncs import changesets, claims, guards, stages
from integration_hub.syncs.models import ChangeSet, Run
from integration_hub.syncs.record import record_leftover
from integration_hub.syncs.states import ChangeSetState
from integration_hub.syncs.work import Work, prepare
from integration_hub.syncs.write import Portion, answers, found_out, wait_for_arrival, without, write

Opener = Callable[[str], AbstractContextManager[Connector]]


def settle_leftovers(work: Work, lease: Lease, opener: Callable[[Run, Lease], Opener]) -> None:
    """Settle every change set of the pair's ended runs that is still marked as sending, each under the mapping and direction it was planned with.

    A run that plans writes to no system, so it leaves them; but what is to be undone must be known.
    """
    if work.run.dry and work.run.undoes is None:
        return
    left = ChangeSet.objects.filter(run__pair=work.run.pair_id, run__ended_at__isnull=False, state=ChangeSetState.SENDING).order_by("pk")
    for change_set in left.select_related("run__sync", "run__pair", "run__mapping_version", "partition"):
        run = change_set.run
        if run.sync is None:  # deleted since: nobody is left to tell
            drop(change_set)
            continue
        try:
            its_work = prepare(run, change_set.partition, opener(run, lease), seconds=0)
        except (DefinitionError, ExpressionError):  # its mapping or filter no longer fits the entities, so what it meant can no longer be compared
            drop(change_set)
            continue
        if not settle_leftover(its_work, lease, change_set, may_send=not work.run.dry):
            text = _("what became of {count} records that run {run} had sent is found out by the next run that writes: it is not undone")
            stages.say(work.run, text, "warning", count=change_set.sending_to - change_set.settled, run=run.pk)
            continue
        stages.say(
            work.run,
            _("found out what became of {count} records that run {run} had sent"),
            count=change_set.sending_to - change_set.settled,
            run=run.pk,
        )


def drop(change_set: ChangeSet) -> None:
    """What became of it can no longer be found out."""
    ChangeSet.objects.filter(pk=change_set.pk).update(state=ChangeSetState.DROPPED, settled=F("sending_to"))
    claims.release(change_set, to=change_set.rows)


def settle_leftover(work: Work, lease: Lease, change_set: ChangeSet, *, may_send: bool) -> bool:
    """False: it is left as it was, for it takes a request that writes to find out."""
    wait_for_arrival(work, change_set)
    first, last = change_set.settled, change_set.sending_to - 1
    rows = changesets.frame_of(change_set).slice(first, last - first + 1)
    rows = without(rows, guards.withheld_rows(change_set.run, change_set, rows, sent_at=change_set.sent_at) | set(change_set.moved_rows))
    with work.open("target") as target:
        known = answers(change_set, rows)
        unknown = without(rows, set(known))
        outcomes, not_there = found_out(work, target, unknown.filter(~unknown["operation"].is_in(changesets.WRITE_NOTHING)))
        outcomes.update(known)
        repeated = rows.filter(rows["row"].is_in(not_there) & (rows["operation"] == "create"))
        if work.target.capabilities.idempotency_key and repeated.height:  # under its key a create that arrived is told, not made twice
            if not may_send:
                return False
            done = write(work, target, change_set, repeated)
            if done.open:
                raise done.stop or SystemDown(_("{system} stopped taking records."), system=work.system)
            outcomes.update(done.each())
            not_there = [row for row in not_there if row not in outcomes]
    record_leftover(work, lease, Portion(change_set, rows, first, last, outcomes), set(not_there))
    return True
