"""Dividing a run into partitions, which several workers carry at the same time.

Every record of the source is in one part, so what is linked already is never met by two. What is not linked yet might be: records of two parts may
have the same match key. Their creates are claimed (see `claims`), but a first load claims nothing, so it is divided only where a record's match
keys hold its own key, as it is, and so cannot be another's.
"""

from __future__ import annotations

from django.db import transaction

from connectors.base import FieldType
from integration_hub.core.leases import Lease
from integration_hub.mappings.engine import CompiledMapping
from integration_hub.syncs import stages
from integration_hub.syncs.models import Partition, Run
from integration_hub.syncs.reading import wants_named
from integration_hub.syncs.work import Work

PART_ROWS = 250_000  # at least so many a part: taking one up costs some tenths of a second
MOST_PARTS = 16


def divide(work: Work, lease: Lease) -> None:
    """When a run begins: make this partition the first of several, where there is enough to read. The others wait for its named records."""
    run, partition = work.run, work.partition
    parts = min(MOST_PARTS, (run.expected_count or 0) // PART_ROWS) if may_divide(work) else 1
    if parts < 2:
        return
    with work.open("source") as source:
        starts = source.split(work.source, parts)
    if len(starts) < 2:
        return
    with transaction.atomic():
        run.parts = len(starts)
        Run.objects.filter(pk=run.pk).update(parts=run.parts)
        rest = enumerate(starts[1:], start=2)
        Partition.objects.bulk_create(Partition(run=run, number=number, start=start, position=start, wanted_done=True) for number, start in rest)
        partition.start = partition.position = starts[0]
        partition.wanted_done = not wants_named(work)
        lease.fence(start=partition.start, position=partition.position, wanted_done=partition.wanted_done)
    stages.feed()


def may_divide(work: Work) -> bool:
    """Whether parts of this run's source can be read side by side, and written so that no record is made twice."""
    run = work.run
    if run.keys is not None or run.keys_only or run.applies_id is not None or run.undoes is not None or run.since_value:
        return False
    if not work.source.capabilities.partitions:
        return False
    return not run.first_load or keeps_apart(work.mapping, work.source.key)


def keeps_apart(mapping: CompiledMapping, key: tuple[str, ...]) -> bool:
    """Whether no two source records can have the same match key: each alternative holds the whole key of the source, as it is."""
    as_it_is = {
        field.target: field.source
        for field in mapping.definition.fields
        if field.source is not None and not field.steps and _keeps(mapping, field.source, field.target)
    }
    return all(set(key) <= {as_it_is.get(name) for name in alternative} for alternative in mapping.definition.match)


def _keeps(mapping: CompiledMapping, source: str, target: str) -> bool:
    """Whether two values of the source field stay two in the target's: in its own type, or as text."""
    of, to = mapping.source.field(source), mapping.target.field(target)
    return of is not None and to is not None and (of.type == to.type or to.type == FieldType.TEXT)
