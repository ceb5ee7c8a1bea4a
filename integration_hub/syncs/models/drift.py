"""What reconcile runs have found."""

from __future__ import annotations

from typing import Self

from django.db import models
from django.db.models import F, OuterRef, Subquery

from integration_hub.syncs.models.runs import Run
from integration_hub.syncs.models.syncs import Sync
from integration_hub.syncs.states import ENDED_WHOLE, Mode


class RecordDriftQuerySet(models.QuerySet["RecordDrift"]):
    def of(self, sync: Sync) -> Self:
        """What the reconcile runs of a sync that went through have found, newest first."""
        found: Self = self.filter(run__sync=sync, run__mode=Mode.RECONCILE, run__state__in=ENDED_WHOLE).order_by("-run")
        return found

    def open(self) -> Self:
        """What the last reconcile run of each sync has found, where its plan has not mended all of it since."""
        runs = Run.objects.filter(sync=OuterRef("pk"), mode=Mode.RECONCILE, state__in=ENDED_WHOLE).order_by("-pk").values("pk")
        newest = Sync.objects.annotate(newest=Subquery(runs[:1])).values("newest")  # from the syncs, which are few, not from their runs
        return self.filter(run__in=newest, mended__lt=F("differing") + F("gone") + F("missing") + F("surplus"))


class RecordDrift(models.Model):
    """How far the records of a target had drifted when a reconcile run compared both sides: small, so that it makes a trend and outlives the changes.

    (That the schema of an entity is another is no drift of records; see syncs/drift.py.)
    """

    run = models.OneToOneField(Run, models.CASCADE, related_name="drift")
    differing = models.PositiveIntegerField()  # records of the target that hold something else than was agreed, or than the source would send
    gone = models.PositiveIntegerField()  # linked ones that the target no longer has
    missing = models.PositiveIntegerField()  # records of the source that never arrived
    surplus = models.PositiveIntegerField()  # records of the target whose source record is deleted, where deletes are followed
    due = models.PositiveIntegerField()  # changed in the source alone, and read by the next run anyway: no drift
    mended = models.PositiveIntegerField(default=0)  # of all these but those that are due, since then, by the plan of the run
    fields = models.JSONField()  # field of the target → of how many differing records
    unlinked = models.PositiveIntegerField(null=True)  # records of the target that no link knows; null: it could not be listed
    unlinked_keys = models.JSONField(default=list)  # of some of them

    objects = RecordDriftQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.run_id}: {self.total}"

    @property
    def total(self) -> int:
        """Records to mend. What no link knows is told and left alone, so it does not count."""
        return self.differing + self.gone + self.missing + self.surplus

    @property
    def left(self) -> int:
        """Records that are still to be mended, as far as is known until the next reconcile run."""
        return self.total - self.mended

    @property
    def is_mended(self) -> bool:
        """Whether its plan has mended all of it."""
        return bool(self.total) and not self.left
