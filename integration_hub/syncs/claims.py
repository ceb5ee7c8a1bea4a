"""Claims: of two that would create one record in the same target at once, one does.

A pair has one writing run at a time, but several pairs may fill one entity, and several workers carry one run. Before creates are sent, their match
keys are claimed until the creates are settled; what another has claimed is left for the next run, which finds what became of it. A first load claims
nothing: it has its target for itself (`carrying.measure`), and is divided only where no two of its parts can mean the same record (`dividing`).
"""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import F, Q

from integration_hub.core import bulk
from integration_hub.core.leases import Lease
from integration_hub.syncs import changesets
from integration_hub.syncs.models import ChangeSet, Claim, Run
from integration_hub.syncs.work import Work

if TYPE_CHECKING:
    import polars as pl

COMPARED_WITHIN = timedelta(seconds=60)  # what was looked up this long before its change set was put down


def claim(work: Work, lease: Lease, change_set: ChangeSet, rows: pl.DataFrame) -> set[int]:
    """Claim the match keys of these creates, and of what is linked to a record that was found by one where other parts of the run are under way:
    the rows of which another holds one, which must not be sent."""
    if work.run.first_load:
        return set()
    new = rows["operation"] == "create"
    if work.run.parts > 1:
        new |= rows["found_by"].is_not_null()
    wanted = _hashes(rows.filter(new))
    if not wanted:
        return set()
    entity = work.run.target
    with transaction.atomic():
        claims = [Claim(entity=entity, match=match, change_set=change_set, row=row) for match, row in sorted(wanted.items())]
        Claim.objects.bulk_create(claims, batch_size=500, ignore_conflicts=True)
        lease.fence()
    held = bulk.fetch(Claim, ["match", "change_set"], key="match", values=list(wanted), entity=entity.pk)
    ours = set(ChangeSet.objects.filter(pk__in={holder for __, holder in held}, partition=work.partition).values_list("pk", flat=True))
    return {wanted[match] for match, holder in held if holder not in ours}


def _hashes(creates: pl.DataFrame) -> dict[str, int]:
    """Hash of each match key → row."""
    found: dict[str, int] = {}
    for fields, values in changesets.match_of(creates).items():
        for row, value in zip(creates["row"], values, strict=True):
            if value is not None:
                found[hashlib.blake2b(f"{fields}{value}".encode(errors="surrogatepass"), digest_size=16).hexdigest()] = row
    return found


def others_wrote(work: Work, change_set: ChangeSet) -> bool:
    """Whether a run of another pair, or another part of this one, may have created records in the target since this change set was compared with it. Of
    what is through by now nobody holds a claim any more."""
    compared_at = change_set.planned_at - COMPARED_WITHIN
    if work.run.parts > 1 and not work.run.first_load:
        beside = ChangeSet.objects.filter(run=work.run, created__gt=0).exclude(partition=work.partition)
        if beside.filter(Q(settled_at=None) | Q(settled_at__gte=compared_at)).exists():
            return True
    since = Q(ended_at=None) | Q(ended_at__gte=compared_at)
    return Run.objects.writing_into(work.run.target).filter(since).exclude(pair=work.run.pair_id).exists()


def release(change_set: ChangeSet, *, to: int) -> None:
    """Rows up to this one are settled."""
    Claim.objects.filter(change_set=change_set, row__lte=to).delete()


def release_unsent(run: Run) -> None:
    """The run is over: what it has on its way stays claimed until that is found out."""
    Claim.objects.filter(change_set__run=run, row__gte=F("change_set__sending_to")).delete()
