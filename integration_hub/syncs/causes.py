"""Open rows grouped by what went wrong: rows of one sync with one cause are cleared together.

The groups are found by jumping from cause to cause in the index, and each is counted no further than the cap, so that a million open rows cost as
much as ten thousand. The SQL is the same on every database.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from django.db import connection

from integration_hub.syncs.freshness import CAP
from integration_hub.syncs.models import OpenRow, OpenRowQuerySet, Run, Sync

MOST = 100  # groups on a page


@dataclass(frozen=True)
class Cause:
    """One group: how many (capped), its newest row as the example, its oldest for since when."""

    sync_id: int
    cause: str
    count: int
    example: OpenRow
    oldest: OpenRow
    run: Run | None = None  # where only one run's rows are meant
    assigned: str = ""  # where only those of a person are: as `assigned_to` of the query set has it

    @property
    def is_replayed(self) -> bool:
        return self.example.replay_at is not None and self.oldest.replay_at is not None

    @property
    def rows(self) -> OpenRowQuerySet:
        rows = OpenRow.objects.open().filter(sync=self.sync_id, cause=self.cause)
        rows = rows.assigned_to(self.assigned)
        return rows.filter(run=self.run) if self.run else rows


_GROUPS = """
WITH RECURSIVE causes(sync_id, cause) AS (
    SELECT s.id, (SELECT MIN(o.cause) FROM syncs_openrow o WHERE o.sync_id = s.id AND o.closed_at IS NULL)
    FROM syncs_sync s WHERE {which}
    UNION ALL
    SELECT c.sync_id, (SELECT MIN(o.cause) FROM syncs_openrow o WHERE o.sync_id = c.sync_id AND o.closed_at IS NULL AND o.cause > c.cause)
    FROM causes c WHERE c.cause IS NOT NULL
)
SELECT c.sync_id, c.cause,
    (SELECT COUNT(*) FROM (SELECT 1 FROM syncs_openrow o WHERE o.sync_id = c.sync_id AND o.cause = c.cause AND o.closed_at IS NULL LIMIT %s) capped),
    (SELECT MAX(o.id) FROM syncs_openrow o WHERE o.sync_id = c.sync_id AND o.cause = c.cause AND o.closed_at IS NULL),
    (SELECT MIN(o.id) FROM syncs_openrow o WHERE o.sync_id = c.sync_id AND o.cause = c.cause AND o.closed_at IS NULL)
FROM causes c WHERE c.cause IS NOT NULL
"""


def causes_of(sync: Sync | None = None, run: Run | None = None, *, states: tuple[str, ...] = (), field: str = "", assigned: str = "") -> list[Cause]:
    """The groups, the largest first: of all syncs, of one, those of a run or of a person. State and field are the same within a group."""
    if run is None and not assigned:
        found = _in_index(sync)
    else:
        rows = OpenRow.objects.open().assigned_to(assigned)
        rows = rows.filter(sync=sync) if sync is not None else rows
        found = _among(rows.filter(run=run) if run is not None else rows)
    examples = OpenRow.objects.select_related("sync", "assigned_to").in_bulk({newest for *__, newest, ___ in found})
    firsts = OpenRow.objects.only("first_at", "replay_at").in_bulk({oldest for *__, oldest in found})
    groups = [
        Cause(sync_id, cause, count, examples[newest], firsts[oldest], run, assigned)
        for sync_id, cause, count, newest, oldest in found
        if newest in examples and oldest in firsts  # closed in this very moment: gone
    ]
    chosen = [g for g in groups if (not states or g.example.state in states) and (not field or g.example.field == field)]
    return sorted(chosen, key=lambda group: (-group.count, group.oldest.pk))


def _in_index(sync: Sync | None) -> list[tuple[int, str, int, int, int]]:
    which, parameters = ("s.id = %s", [sync.pk]) if sync is not None else ("1 = 1", [])
    with connection.cursor() as cursor:
        cursor.execute(_GROUPS.format(which=which), [*parameters, CAP + 1])
        return list(cursor.fetchall())


def _among(rows: OpenRowQuerySet) -> list[tuple[int, str, int, int, int]]:
    """Those of a run, or of a person, lie together in an index of their own; no more than the cap of them are looked at."""
    counts: Counter[tuple[int, str]] = Counter()
    ends: dict[tuple[int, str], tuple[int, int]] = {}
    for pk, sync_id, cause in rows.order_by("pk").values_list("pk", "sync_id", "cause")[: CAP + 1]:
        counts[sync_id, cause] += 1
        ends[sync_id, cause] = (pk, ends.get((sync_id, cause), (pk, pk))[1])
    return [(sync_id, cause, count, *ends[sync_id, cause]) for (sync_id, cause), count in counts.items()]
