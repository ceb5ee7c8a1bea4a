"""Syncs, and how far each has read."""

from __future__ import annotations

from datetime import timedelta
from typing import Self

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import ExpressionWrapper, F, OuterRef, Q, Subquery, Value
from django.db.models.functions import Cast, Coalesce, Now
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from integration_hub.mappings.models import Mapping
from integration_hub.syncs.models.pairs import Directed, Pair
from integration_hub.syncs.models.visible import VisibleQuerySet
from integration_hub.syncs.states import SYNC_MODES, DeletePolicy, Direction, LeftFilter, Mode, RunState, Side
from integration_hub.systems.models import System


class SyncQuerySet(VisibleQuerySet):
    def due(self, by: str = "next_due_at") -> Self:
        """Those whose time has come, by this column; see `schedule.SCHEDULES`."""
        return self.filter(paused_at=None, **{f"{by}__lte": Now()})

    def awake(self) -> Self:
        """Those of which neither system rests."""
        return self.exclude(Q(pair__a__system__state=System.State.MAINTENANCE) | Q(pair__b__system__state=System.State.MAINTENANCE))

    def with_names(self) -> SyncQuerySet:
        """With all that a sentence about a sync names, in one query."""
        return self.select_related("pair__a__system", "pair__b__system", "mapping", "owner")

    def late(self) -> SyncQuerySet:
        """Those further behind than their objective, unless they are paused. One that never succeeded is as old as it is."""
        objective = ExpressionWrapper(Cast("objective_seconds", models.IntegerField()) * Value(timedelta(seconds=1)), models.DurationField())
        allowed = ExpressionWrapper(Coalesce(F("last_success_at"), F("made_at")) + objective, models.DateTimeField())
        late: SyncQuerySet = self.filter(paused_at=None, objective_seconds__isnull=False).annotate(fresh_until=allowed).filter(fresh_until__lt=Now())
        return late

    def failing(self) -> SyncQuerySet:
        """Those whose last run failed, or whose books do not balance, unless they are paused; dry runs, runs over named records and cancelled ones
        say nothing of that."""
        from integration_hub.syncs.models.runs import Run  # which know their syncs

        last = Run.objects.decisive().filter(sync=OuterRef("pk"))
        told = self.filter(paused_at=None).annotate(
            last_state=Subquery(last.values("state")[:1]), last_balanced=Subquery(last.values("balanced")[:1])
        )
        failing: SyncQuerySet = told.filter(Q(last_state=RunState.FAILED) | Q(last_balanced=False))
        return failing


class Sync(Directed, models.Model):
    """A pair, a direction, a mapping, a mode, a schedule and policies: what an administrator runs and watches."""

    name = models.CharField(_("name"), max_length=200, unique=True)
    group = models.CharField(_("group"), max_length=200, blank=True, default="", db_index=True)  # run and paused together
    pair = models.ForeignKey(Pair, models.PROTECT, related_name="syncs")
    direction = models.CharField(_("direction"), max_length=10, choices=Direction, default=Direction.A_TO_B)
    mapping = models.ForeignKey(Mapping, models.PROTECT, related_name="syncs", verbose_name=_("mapping"))
    mode = models.CharField(_("mode"), max_length=20, choices=SYNC_MODES, default=Mode.INCREMENTAL)
    filter = models.TextField(_("filter"), blank=True)  # an expression over the source's fields; only what it is true for is taken
    lookback_seconds = models.PositiveIntegerField(_("read again, seconds"), default=60)
    compare_first = models.BooleanField(_("compare all before writing"), default=False)
    deletes = models.CharField(_("when a record is deleted in the source"), max_length=10, choices=DeletePolicy, default=DeletePolicy.IGNORE)
    mark_field = models.CharField(_("field of the mark"), max_length=300, blank=True, default="")
    mark_value = models.CharField(_("value of the mark"), max_length=200, blank=True, default="")
    left_filter = models.CharField(_("when a record leaves the filter"), max_length=10, choices=LeftFilter, default=LeftFilter.KEEP)
    # What one run may do without asking: so many, or so many percent of the links that the pair has when it begins. Null: any number.
    most_creates = models.PositiveIntegerField(_("creates without asking"), null=True, blank=True)
    most_creates_percent = models.PositiveSmallIntegerField(_("creates without asking, %"), null=True, blank=True)
    most_updates = models.PositiveIntegerField(_("updates without asking"), null=True, blank=True)
    most_updates_percent = models.PositiveSmallIntegerField(_("updates without asking, %"), null=True, blank=True)
    most_deletes = models.PositiveIntegerField(_("deletes without asking"), null=True, blank=True)
    most_deletes_percent = models.PositiveSmallIntegerField(_("deletes without asking, %"), null=True, blank=True, default=20)
    interval_seconds = models.PositiveIntegerField(_("every … seconds"), null=True, blank=True)
    crontab = models.CharField(_("crontab"), max_length=100, blank=True)
    time_zone = models.CharField(_("time zone"), max_length=60, default="UTC")
    # When an incremental sync reads the source's keys alone, to see what is gone. Both empty: never.
    roster_interval_seconds = models.PositiveIntegerField(_("look for deletes every … seconds"), null=True, blank=True)
    roster_crontab = models.CharField(_("look for deletes, crontab"), max_length=100, blank=True, default="")
    reconcile_interval_seconds = models.PositiveIntegerField(_("reconcile every … seconds"), null=True, blank=True)
    reconcile_crontab = models.CharField(_("reconcile by crontab"), max_length=100, blank=True, default="")
    parked_days = models.PositiveSmallIntegerField(_("wait for links, days"), default=7, validators=[MinValueValidator(1), MaxValueValidator(365)])
    objective_seconds = models.PositiveIntegerField(_("at most behind, seconds"), null=True, blank=True)
    after = models.ManyToManyField("self", symmetrical=False, related_name="before", blank=True, verbose_name=_("runs after"))
    next_due_at = models.DateTimeField(null=True, db_index=True)
    roster_due_at = models.DateTimeField(null=True, db_index=True)
    reconcile_due_at = models.DateTimeField(null=True, db_index=True)
    roster_read_at = models.DateTimeField(null=True)  # when the last run over the keys alone that succeeded had begun to read
    paused_at = models.DateTimeField(null=True)
    refusal = models.JSONField(null=True, blank=True)  # a text: why it could not be started when it was due; null once it could
    restored_at = models.DateTimeField(null=True)  # a backup was put back, and no run over everything went through since
    last_success_at = models.DateTimeField(null=True)  # when the last run that succeeded had begun to read
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("owner"))
    notes = models.TextField(_("notes"), blank=True)
    made_at = models.DateTimeField(auto_now_add=True)

    objects = SyncQuerySet.as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("syncs:detail", args=[self.pk])


class SyncCursor(models.Model):
    """How far a sync has read a side: the greatest (value, key) that was read up to where the run began; or, as `value`, a text of the system's own."""

    sync = models.ForeignKey(Sync, models.CASCADE, related_name="cursors")
    side = models.CharField(max_length=1, choices=Side)
    value = models.TextField()
    key = models.CharField(max_length=500)
    moved_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["sync", "side"], name="cursor_once")]

    def __str__(self) -> str:
        return f"{self.value}, {self.key}"
