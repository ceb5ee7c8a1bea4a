"""What an earlier run of the pair left on its way when it failed or was cancelled: found out before anything else is written.

Nothing is sent again here. What arrived gets its link; what did not will be read again, for the cursor has not moved past it.
"""

from __future__ import annotations

from connectors.base import _
from integration_hub.core.leases import Lease
from integration_hub.syncs import changesets, stages
from integration_hub.syncs.models import ChangeSet
from integration_hub.syncs.record import record_leftover
from integration_hub.syncs.states import ChangeSetState
from integration_hub.syncs.work import Work
from integration_hub.syncs.write import Portion, found_out


def settle_leftovers(work: Work, lease: Lease) -> None:
    """Settle every change set of the pair's ended runs that is still marked as sending."""
    if work.run.dry:
        return
    left = ChangeSet.objects.filter(run__pair=work.run.pair_id, run__ended_at__isnull=False, state=ChangeSetState.SENDING).order_by("pk")
    for change_set in left.select_related("run"):
        with work.open("target") as target:
            changes = changesets.frame_of(change_set)
            first, last = change_set.settled, change_set.sending_to - 1
            rows = changes.slice(first, last - first + 1)
            outcomes, not_there = found_out(work, target, rows.filter(rows["operation"] != "adopt"))
        record_leftover(work, lease, Portion(change_set, rows, first, last, outcomes), set(not_there))
        stages.say(work.run, _("found out what became of {count} records that run {run} had sent"), count=rows.height, run=change_set.run_id)
