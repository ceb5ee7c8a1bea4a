"""After a backup was put back: the systems have moved on since it was made, and nothing here says how far.

So whatever the backup had planned may have been sent since: it is settled as if it were on its way. No run is a first load any more, so each record
without a link is looked for before it is created. The next run of each sync reads everything; until it went through, what cannot be looked for is
left to a person, for it may have been created since.
"""

from __future__ import annotations

from django.db.models import F
from django.utils import timezone

from integration_hub.syncs.models import ChangeSet, OpenRow, Partition, Run, Sync
from integration_hub.syncs.states import ChangeSetState, OpenState, PartitionState


def take_up() -> None:
    """Mark what a backup put back, in the caller's transaction."""
    now = timezone.now()
    Sync.objects.update(restored_at=now)
    OpenRow.objects.open().filter(state=OpenState.UNKNOWN).update(replay_at=None)  # may have been replayed since
    live = Run.objects.filter(ended_at=None)
    live.update(first_load=False)
    partitions = Partition.objects.filter(run__in=live)
    partitions.update(lease_number=F("lease_number") + 1, lease_until=None, lease_holder="", lost_leases=0, sent_at=None, not_before=None)
    partitions.filter(state=PartitionState.LEASED).update(state=PartitionState.WAITING)
    unsettled = ChangeSet.objects.filter(run__dry=False, state__in=(ChangeSetState.PLANNED, ChangeSetState.SENDING))
    unsettled.filter(run__in=live).update(state=ChangeSetState.SENDING, sending_to=F("rows"), sent_at=now)


def went_through(run: Run) -> None:
    """A run over everything has succeeded: what was created after the backup is linked again, or waits for a person."""
    if run.sync_id is not None:
        Sync.objects.filter(pk=run.sync_id).update(restored_at=None)
