"""The tables of a sync, as its inside needs them: pairs with their links, runs with their partitions, change sets, open rows.

Nothing is written for a record that did not change. Per page there is a page row; what changes is a change set, one column file with an index row.
"""

from integration_hub.syncs.models.changesets import ChangeSet, Claim, OutcomeFile
from integration_hub.syncs.models.drift import RecordDrift
from integration_hub.syncs.models.openrows import NOBODY, Mend, OpenRow, OpenRowQuerySet
from integration_hub.syncs.models.pairs import Link, LinkQuerySet, Pair, PairQuerySet, Slot
from integration_hub.syncs.models.runs import (
    COUNTS,
    SEND_AGAIN_AFTER,
    TURN_SECONDS,
    WHOLE,
    LogLine,
    PageRow,
    Partition,
    PartitionQuerySet,
    PlanApproval,
    Run,
    RunQuerySet,
)
from integration_hub.syncs.models.syncs import Sync, SyncCursor, SyncQuerySet
from integration_hub.syncs.models.visible import VisibleQuerySet

__all__ = [
    "COUNTS",
    "NOBODY",
    "SEND_AGAIN_AFTER",
    "TURN_SECONDS",
    "WHOLE",
    "ChangeSet",
    "Claim",
    "Link",
    "LinkQuerySet",
    "LogLine",
    "Mend",
    "OpenRow",
    "OpenRowQuerySet",
    "OutcomeFile",
    "PageRow",
    "Pair",
    "PairQuerySet",
    "Partition",
    "PartitionQuerySet",
    "PlanApproval",
    "RecordDrift",
    "Run",
    "RunQuerySet",
    "Slot",
    "Sync",
    "SyncCursor",
    "SyncQuerySet",
    "VisibleQuerySet",
]
