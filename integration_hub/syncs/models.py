"""The tables of a sync, as its inside needs them: pairs with their links, runs with their partitions, change sets, open rows.

Nothing is written for a record that did not change. Per page there is a page row; what changes is a change set, one column file with an index row.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Exists, ExpressionWrapper, F, OuterRef, Q, Subquery, Sum, Value
from django.db.models.functions import Cast, Coalesce, Now
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from integration_hub.core.leases import Leased, LeasedQuerySet
from integration_hub.mappings.models import Mapping, MappingVersion
from integration_hub.syncs.states import (
    ENDED_WHOLE,
    LIVE,
    REJECTS,
    SYNC_MODES,
    ChangeSetState,
    Closed,
    DeletePolicy,
    Direction,
    LeftFilter,
    Mode,
    OpenState,
    PartitionState,
    RunState,
    Side,
    Trigger,
)
from integration_hub.systems.models import Entity, System

if TYPE_CHECKING:
    from integration_hub.accounts.actor import Actor


class VisibleQuerySet(models.QuerySet[Any]):
    permission = "syncs.view"

    def visible_to(self, by: Actor) -> Self:
        return self if by.allows(self.permission) else self.none()


class PairQuerySet(models.QuerySet[Any]):
    def between(self, one: System, other: System) -> Self:
        return self.filter(Q(a__system=one, b__system=other) | Q(a__system=other, b__system=one)).select_related("a", "b")


class Pair(models.Model):
    """Two entities that hold the same things. It owns the links; all syncs over it share them."""

    a = models.ForeignKey(Entity, models.PROTECT, related_name="pairs_as_a")
    b = models.ForeignKey(Entity, models.PROTECT, related_name="pairs_as_b")

    objects = PairQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["a", "b"], name="pair_once")]

    def __str__(self) -> str:
        return f"{self.a} ↔ {self.b}"

    def side(self, side: str) -> Entity:
        return self.a if side == Side.A else self.b


class Slot(models.Model):
    """The place of a field in the prints of its pair and side; given once and kept when the field goes."""

    pair = models.ForeignKey(Pair, models.CASCADE, related_name="slots")
    side = models.CharField(max_length=1, choices=Side)
    field = models.CharField(max_length=300)
    number = models.PositiveSmallIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["pair", "side", "field"], name="slot_of_a_field"),
            models.UniqueConstraint(fields=["pair", "side", "number"], name="slot_number"),
        ]

    def __str__(self) -> str:
        return f"{self.field} {self.number}"


# By the key they are asked for: the condition of the constraint that has its index, and of no other, else the planner may take that one.
LIVE_LINKS = {"a_key": "ended_at IS NULL AND NOT a_many", "b_key": "ended_at IS NULL AND NOT b_many"}


class LinkQuerySet(models.QuerySet["Link"]):
    def live(self, pair: Any) -> Self:
        """Those of a pair that have not ended, found by the index over a's keys."""
        return self.filter(pair=pair, ended_at=None, a_many=False)


class Link(models.Model):
    """This record there is that record here. A delete ends it, never removes it.

    Prints are eight bytes a slot: what was last agreed (`a_print`, `b_print`, for two-way) and last written to the target (`sent_print`).
    """

    # Without a constraint of the database, which would be checked by a query for each of the links that a portion makes; and without an index of its
    # own, which the planner would take for keys, too.
    pair = models.ForeignKey(Pair, models.CASCADE, related_name="links", db_constraint=False, db_index=False)
    a_key = models.CharField(max_length=500)
    b_key = models.CharField(max_length=500)
    part = models.CharField(max_length=200, default="")  # the declared key of an element, where one record becomes several
    a_many = models.BooleanField(default=False)  # the mapping's declared cardinality: one a may have several b
    b_many = models.BooleanField(default=False)
    a_print = models.BinaryField(null=True)
    b_print = models.BinaryField(null=True)
    sent_print = models.BinaryField(null=True)
    print_version = models.PositiveSmallIntegerField()
    change_set_id = models.BigIntegerField(null=True)  # its newest change; no constraint, for change sets age out
    change_row = models.PositiveIntegerField(null=True)
    made_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    objects = LinkQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["pair", "a_key", "part"], condition=Q(ended_at=None, a_many=False), name="link_of_an_a"),
            models.UniqueConstraint(fields=["pair", "b_key", "part"], condition=Q(ended_at=None, b_many=False), name="link_of_a_b"),
        ]
        indexes = [
            models.Index(fields=["pair", "a_key"], name="links_by_a", condition=Q(ended_at=None, a_many=True)),
            models.Index(fields=["pair", "b_key"], name="links_by_b", condition=Q(ended_at=None, b_many=True)),
            models.Index(fields=["pair", "a_key"], name="links_ended_of_a", condition=Q(ended_at__isnull=False)),  # of a record's story
            models.Index(fields=["pair", "b_key"], name="links_ended_of_b", condition=Q(ended_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.a_key} ↔ {self.b_key}"


class Claim(models.Model):
    """A match key of a create that is under way: until it is settled no other run creates a record with it in this entity."""

    entity = models.ForeignKey(Entity, models.CASCADE)
    match = models.CharField(max_length=32)  # a hash of the match fields and their value
    change_set = models.ForeignKey("ChangeSet", models.CASCADE, related_name="claims")
    row = models.PositiveIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["entity", "match"], name="claimed_once")]

    def __str__(self) -> str:
        return f"{self.change_set_id}/{self.row}"


class SyncQuerySet(VisibleQuerySet):
    def due(self) -> Self:
        return self.filter(next_due_at__lte=Now(), paused_at=None)

    def due_to_reconcile(self) -> Self:
        return self.filter(reconcile_due_at__lte=Now(), paused_at=None)

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
        """Those whose last run failed, unless they are paused; dry runs, runs over named records and cancelled ones say nothing of that."""
        last = Run.objects.decisive().filter(sync=OuterRef("pk")).values("state")[:1]
        failing: SyncQuerySet = self.filter(paused_at=None).annotate(last_state=Subquery(last)).filter(last_state=RunState.FAILED)
        return failing


class Sync(models.Model):
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
    reconcile_interval_seconds = models.PositiveIntegerField(_("reconcile every … seconds"), null=True, blank=True)
    reconcile_crontab = models.CharField(_("reconcile by crontab"), max_length=100, blank=True, default="")
    parked_days = models.PositiveSmallIntegerField(_("wait for links, days"), default=7, validators=[MinValueValidator(1), MaxValueValidator(365)])
    objective_seconds = models.PositiveIntegerField(_("at most behind, seconds"), null=True, blank=True)
    after = models.ManyToManyField("self", symmetrical=False, related_name="before", blank=True, verbose_name=_("runs after"))
    next_due_at = models.DateTimeField(null=True, db_index=True)
    reconcile_due_at = models.DateTimeField(null=True, db_index=True)
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

    @property
    def source_side(self) -> str:
        return Side.A if self.direction == Direction.A_TO_B else Side.B

    @property
    def target_side(self) -> str:
        return Side.B if self.direction == Direction.A_TO_B else Side.A

    @property
    def source(self) -> Entity:
        return self.pair.side(self.source_side)

    @property
    def target(self) -> Entity:
        return self.pair.side(self.target_side)


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


COUNTS = (
    "read",
    "absent",
    "filtered",
    "rejected",
    "parked",
    "duplicate",
    "produced",
    "missing",
    "unchanged",
    "created",
    "updated",
    "deleted",
    "kept",
    "withheld",
    "refused",
    "moved",
    "unknown",
    "not_sent",
)


class RunQuerySet(VisibleQuerySet):
    def live(self) -> Self:
        return self.filter(ended_at=None)

    def decisive(self) -> RunQuerySet:
        """Ended runs that say how their sync stands, newest first."""
        whole = self.filter(dry=False, keys__isnull=True, applies__isnull=True, state__in=(*ENDED_WHOLE, RunState.FAILED)).order_by("-pk")
        decisive: RunQuerySet = whole.exclude(trigger=Trigger.DECISION)
        return decisive

    def writing_into(self, target: Entity) -> RunQuerySet:
        """Runs that write to this entity, or have."""
        there = Q(direction=Direction.A_TO_B, pair__b=target) | Q(direction=Direction.B_TO_A, pair__a=target)
        runs: RunQuerySet = self.filter(there, dry=False)
        return runs

    def with_names(self) -> RunQuerySet:
        return self.select_related("sync", "pair__a__system", "pair__b__system", "mapping_version__mapping")


class Run(models.Model):
    """One execution of a sync. It keeps the names it ran under, so that it can be read when the sync is gone."""

    sync = models.ForeignKey(Sync, models.SET_NULL, null=True, related_name="runs")
    pair = models.ForeignKey(Pair, models.PROTECT, related_name="runs")
    name = models.CharField(max_length=200)  # of the sync, then
    direction = models.CharField(max_length=10, choices=Direction)
    mode = models.CharField(max_length=20, choices=Mode)
    mapping_version = models.ForeignKey(MappingVersion, models.PROTECT, related_name="runs")
    settings = models.JSONField(default=dict)  # filter, compare_first, deletes, guards: as they were
    keys = models.JSONField(null=True)  # a run over these records only; null: all
    dry = models.BooleanField(default=False)
    applies = models.ForeignKey("PlanApproval", models.SET_NULL, null=True, related_name="runs")  # a run that writes what was approved of a plan
    undoes = models.JSONField(null=True)  # of a plan that undoes: {"runs": their numbers, "keys": of the source, null: all}
    first_load = models.BooleanField(default=False)  # no links, and the target counted empty at the start
    trigger = models.CharField(max_length=20, choices=Trigger)
    actor_kind = models.CharField(max_length=20)
    actor_name = models.CharField(max_length=200)
    actor_id = models.BigIntegerField(null=True)
    state = models.CharField(max_length=20, choices=RunState, default=RunState.QUEUED)
    paused_from = models.CharField(max_length=20, blank=True)
    cancel_at = models.DateTimeField(null=True)  # when somebody asked for it
    since_value = models.TextField(blank=True)  # the cursor it starts from
    since_key = models.CharField(max_length=500, blank=True)
    read_until = models.CharField(max_length=200, blank=True)  # the bound, fixed at the start: of an incremental reading, and of the cursor
    links_at_start = models.PositiveBigIntegerField(null=True)  # live ones of the pair, where a guard counts in percent
    withheld = models.JSONField(default=list)  # create, update, delete: what a guard holds back
    expected_count = models.PositiveBigIntegerField(null=True)  # records the source said it has
    parts = models.PositiveSmallIntegerField(default=1)  # partitions it is divided into, once it has begun
    error = models.JSONField(null=True)  # a text
    balanced = models.BooleanField(null=True)  # whether the books came out
    changes_kept = models.BooleanField(default=True)  # False: its change sets were removed, for they were too old (syncs/retention.py)
    changes_size = models.PositiveBigIntegerField(null=True)  # bytes of its change sets, measured after its end; 0 once they are removed
    counts = models.JSONField(default=dict)  # the sums of its partitions, once it has ended
    made_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    objects = RunQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["pair"], condition=Q(ended_at=None, dry=False), name="one_writing_run_of_a_pair"),
            models.UniqueConstraint(fields=["pair"], condition=Q(ended_at=None, mode=Mode.RECONCILE), name="one_reconcile_run_of_a_pair"),
        ]
        indexes = [
            models.Index(fields=["sync", "-id"], name="runs_of_a_sync"),
            models.Index(fields=["sync", "-id"], name="runs_that_reconcile", condition=Q(mode=Mode.RECONCILE)),
            models.Index(fields=["state", "-id"], name="runs_by_state"),
            models.Index(fields=["trigger", "-id"], name="runs_by_trigger"),
            models.Index(fields=["made_at"], name="runs_by_time"),
            models.Index(fields=["ended_at"], name="runs_by_end"),
            models.Index(fields=["ended_at", "changes_size"], name="runs_with_changes", condition=Q(changes_size__gt=0)),
            models.Index(fields=["id"], name="runs_to_measure", condition=Q(changes_size=None, ended_at__isnull=False)),
            models.Index(fields=["id"], condition=Q(ended_at=None), name="runs_live"),
        ]

    def __str__(self) -> str:
        return _("Run {number} of {name}").format(number=self.pk, name=self.name)

    def get_absolute_url(self) -> str:
        return reverse("runs:detail", args=[self.pk])

    @property
    def is_live(self) -> bool:
        return self.ended_at is None

    @property
    def source_side(self) -> str:
        return Side.A if self.direction == Direction.A_TO_B else Side.B

    @property
    def target_side(self) -> str:
        return Side.B if self.direction == Direction.A_TO_B else Side.A

    @property
    def source(self) -> Entity:
        return self.pair.side(self.source_side)

    @property
    def target(self) -> Entity:
        return self.pair.side(self.target_side)

    @property
    def reconciles(self) -> bool:
        """Whether it compares with the target itself instead of prints, and so finds drift. It always ends as a plan."""
        return self.mode == Mode.RECONCILE

    @property
    def is_undo(self) -> bool:
        """Whether it applies a plan that undoes: what it deletes is not gone in the source."""
        return self.applies is not None and self.applies.plan.undoes is not None

    @property
    def mends_drift(self) -> bool:
        """Whether it applies the plan of a reconcile run: what it writes is read back."""
        return self.applies is not None and self.applies.plan.reconciles

    def sums(self) -> dict[str, int]:
        """COUNTS of this run: of its partitions while it lives, as kept once it has ended."""
        if self.counts:
            return {name: self.counts.get(name, 0) for name in COUNTS}
        found = self.partitions.aggregate(**{name: Sum(f"{name}_count") for name in COUNTS})
        return {name: found[name] or 0 for name in COUNTS}


class PlanApproval(models.Model):
    """What was approved of a plan, by whom and why. A plan is a dry run, or one that undoes others; it is approved once and applied by a run."""

    plan = models.OneToOneField(Run, models.CASCADE, related_name="approval")
    digest = models.CharField(max_length=64)  # of mapping version, settings and change sets, as they were approved
    operations = models.JSONField(default=list)  # only these; empty: all
    rule = models.TextField(blank=True)  # an expression over the changes; only those it is true for
    except_keys = models.JSONField(default=list)  # of the source: never these
    approved_count = models.PositiveBigIntegerField()  # changes
    reason = models.TextField()
    actor_kind = models.CharField(max_length=20)
    actor_name = models.CharField(max_length=200)
    actor_id = models.BigIntegerField(null=True)
    at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return str(self.plan)


class RecordDriftQuerySet(models.QuerySet["RecordDrift"]):
    def of(self, sync: Sync) -> Self:
        """What the reconcile runs of a sync that went through have found, newest first."""
        found: Self = self.filter(run__sync=sync, run__state__in=ENDED_WHOLE).order_by("-run").annotate(mended=Exists(self._mending()))
        return found

    def open(self) -> Self:
        """What the last reconcile run of each sync has found and no plan has mended since."""
        whole = self.filter(run__state__in=ENDED_WHOLE, run__sync__isnull=False)
        newer = RecordDrift.objects.filter(run__sync=OuterRef("run__sync"), run__state__in=ENDED_WHOLE, run__gt=OuterRef("run"))
        any_at_all = Q(differing__gt=0) | Q(gone__gt=0) | Q(missing__gt=0) | Q(surplus__gt=0)
        return whole.filter(any_at_all).filter(~Exists(newer)).filter(~Exists(self._mending()))

    def _mending(self) -> RunQuerySet:
        return Run.objects.filter(applies__plan=OuterRef("run"), state__in=ENDED_WHOLE)


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
    def is_mended(self) -> bool:
        """Whether what was approved of its plan is written."""
        if "mended" in self.__dict__:  # asked for a whole list at once
            return bool(self.__dict__["mended"])
        return Run.objects.filter(applies__plan=self.run_id, state__in=ENDED_WHOLE).exists()


SEND_AGAIN_AFTER = timedelta(seconds=15)


class PartitionQuerySet(LeasedQuerySet):
    def to_carry(self) -> Self:
        """Partitions that a worker may take now. Named records are those of every part, so the others wait until the first is done with them."""
        busy_with_named = Partition.objects.filter(run=OuterRef("run"), number=1, wanted_done=False)
        waiting = Q(state=PartitionState.WAITING, not_before=None) | Q(state=PartitionState.WAITING, not_before__lte=Now())
        lost = Q(state=PartitionState.LEASED)
        free = self.free().filter(waiting | lost, run__state__in=LIVE, run__cancel_at=None, run__error__isnull=True)
        return free.filter(Q(number=1) | ~Exists(busy_with_named))

    def in_hand(self) -> Self:
        """Partitions that a worker holds, or that a message is under way for."""
        sent = Q(state=PartitionState.WAITING, sent_at__gte=Now() - SEND_AGAIN_AFTER)
        return self.filter(Q(lease_until__gt=Now()) | sent)

    def to_send(self) -> Self:
        """Of these, the ones that no message may be under way for: never sent, sent a while ago and not taken, or their lease was lost since, or given
        back in the middle of the work.

        A message may be lost with the worker that had just fetched it, so the while is short enough for the work to go on within half a minute;
        one that is sent twice does nothing.
        """
        left = Q(sent_at__lt=F("lease_until")) | Q(state=PartitionState.LEASED, lease_until=None)
        return self.to_carry().filter(Q(sent_at=None) | Q(sent_at__lt=Now() - SEND_AGAIN_AFTER) | left)


class Partition(Leased):
    """The part of a run that one worker carries, with its position: where reading goes on. Writing goes on from its unsettled change sets."""

    run = models.ForeignKey(Run, models.CASCADE, related_name="partitions")
    number = models.PositiveIntegerField(default=1)
    state = models.CharField(max_length=20, choices=PartitionState, default=PartitionState.WAITING)
    start = models.JSONField(null=True)  # the connector's position from which this part of the source is read; null: from the beginning
    position = models.JSONField(null=True)  # behind the last page that was compared
    wanted_done = models.BooleanField(default=False)  # the named records are compared
    read_done = models.BooleanField(default=False)
    page_number = models.PositiveIntegerField(default=0)  # of the last page that was compared
    not_before = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)  # to a worker
    failures = models.PositiveSmallIntegerField(default=0)  # in a row, since the last progress
    restarts = models.PositiveSmallIntegerField(default=0)  # of reading, from the start of its range, because the source no longer knew the position
    error = models.JSONField(null=True)  # the last, a text
    busy_seconds = models.FloatField(default=0)  # under leases that were given back
    read_count = models.PositiveBigIntegerField(default=0)
    absent_count = models.PositiveBigIntegerField(default=0)
    filtered_count = models.PositiveBigIntegerField(default=0)
    rejected_count = models.PositiveBigIntegerField(default=0)
    parked_count = models.PositiveBigIntegerField(default=0)
    duplicate_count = models.PositiveBigIntegerField(default=0)
    produced_count = models.PositiveBigIntegerField(default=0)
    missing_count = models.PositiveBigIntegerField(default=0)
    unchanged_count = models.PositiveBigIntegerField(default=0)
    created_count = models.PositiveBigIntegerField(default=0)
    updated_count = models.PositiveBigIntegerField(default=0)
    deleted_count = models.PositiveBigIntegerField(default=0)
    kept_count = models.PositiveBigIntegerField(default=0)
    withheld_count = models.PositiveBigIntegerField(default=0)
    refused_count = models.PositiveBigIntegerField(default=0)
    moved_count = models.PositiveBigIntegerField(default=0)
    unknown_count = models.PositiveBigIntegerField(default=0)
    not_sent_count = models.PositiveBigIntegerField(default=0)

    objects = PartitionQuerySet.as_manager()  # type: ignore[misc]  # the abstract model's manager is an instance for mypy

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "number"], name="partition_number")]
        indexes = [
            models.Index(fields=["state", "not_before"], name="partitions_to_carry", condition=Q(state__in=["waiting", "leased"])),
        ]

    def __str__(self) -> str:
        return f"{self.run_id}/{self.number}"


class PageRow(models.Model):
    """What became of one page's records before writing; the In half of the books, page by page."""

    partition = models.ForeignKey(Partition, models.CASCADE, related_name="pages")
    number = models.PositiveIntegerField()
    read = models.PositiveIntegerField()
    absent = models.PositiveIntegerField(default=0)  # asked for by name, and not there
    filtered = models.PositiveIntegerField(default=0)
    rejected = models.PositiveIntegerField(default=0)
    parked = models.PositiveIntegerField(default=0)
    duplicate = models.PositiveIntegerField(default=0)
    produced = models.PositiveIntegerField(default=0)
    missing = models.PositiveIntegerField(default=0)  # links whose record is deleted in the source, or taken for that
    kept = models.PositiveIntegerField(default=0)  # of these, the ones that are there at the second look
    unchanged = models.PositiveIntegerField(default=0)
    refused = models.PositiveIntegerField(default=0)  # in comparing, before anything was sent
    moved = models.PositiveIntegerField(default=0)
    unknown = models.PositiveIntegerField(default=0)
    last_value = models.TextField(blank=True)  # the greatest (cursor field, key) on it, or the system's own cursor behind it
    last_key = models.CharField(max_length=500, blank=True)
    roster = models.CharField(max_length=200, blank=True)  # file of the keys it saw, while the run lives; see `roster`
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["partition", "number"], name="page_number")]

    def __str__(self) -> str:
        return f"{self.partition_id}/{self.number}"


class ChangeSet(models.Model):
    """What a page would change or did change: one column file, or its bytes here where they are few. Rows 0…rows-1; the first `settled` are settled."""

    run = models.ForeignKey(Run, models.CASCADE, related_name="change_sets")
    partition = models.ForeignKey(Partition, models.CASCADE, related_name="change_sets")
    page = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=ChangeSetState, default=ChangeSetState.PLANNED)
    rows = models.PositiveIntegerField()
    creates = models.PositiveIntegerField()
    updates = models.PositiveIntegerField()
    deletes = models.PositiveIntegerField(default=0)
    settled = models.PositiveIntegerField(default=0)
    sending_to = models.PositiveIntegerField(default=0)  # rows settled…sending_to are on their way
    moved_rows = models.JSONField(default=list)  # of those that are on their way, the ones that were not sent
    sent_at = models.DateTimeField(null=True)
    created = models.PositiveIntegerField(default=0)
    updated = models.PositiveIntegerField(default=0)
    deleted = models.PositiveIntegerField(default=0)
    withheld = models.PositiveIntegerField(default=0)
    unchanged = models.PositiveIntegerField(default=0)  # found as they should be when they were written
    refused = models.PositiveIntegerField(default=0)
    moved = models.PositiveIntegerField(default=0)
    unknown = models.PositiveIntegerField(default=0)
    not_sent = models.PositiveIntegerField(default=0)
    file = models.CharField(max_length=200, blank=True)
    content = models.BinaryField(null=True)
    planned_at = models.DateTimeField()  # when comparing began
    settled_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["partition", "page"], name="change_set_of_a_page")]
        indexes = [
            models.Index(fields=["run", "id"], name="change_sets_of_a_run"),
            models.Index(fields=["partition", "id"], name="change_sets_unsettled", condition=Q(state__in=["planned", "sending"])),
        ]

    def __str__(self) -> str:
        return f"{self.run_id}/{self.page}"


class OutcomeFile(models.Model):
    """What became of rows first…last of a change set, where it was not as planned or the target gave keys or values back."""

    change_set = models.ForeignKey(ChangeSet, models.CASCADE, related_name="outcome_files")
    first = models.PositiveIntegerField()
    last = models.PositiveIntegerField()
    file = models.CharField(max_length=200, blank=True)
    content = models.BinaryField(null=True)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["change_set", "first"], name="outcomes_once")]

    def __str__(self) -> str:
        return f"{self.change_set_id}: {self.first}-{self.last}"


NOBODY = "nobody"


class OpenRowQuerySet(VisibleQuerySet):
    permission = "rejects.view"

    def open(self) -> Self:
        return self.filter(closed_at=None)

    def assigned_to(self, whose: str) -> Self:
        """Those of the person with this number; "nobody": of none, "": of anybody."""
        return self.filter(assigned_to=None if whose == NOBODY else whose) if whose else self

    def rejects(self) -> Self:
        return self.open().filter(state__in=REJECTS)


class OpenRow(models.Model):
    """A record that a run had to leave, with its reason and source record, until it is replayed, dismissed or closed by a later pass."""

    sync = models.ForeignKey(Sync, models.CASCADE, related_name="open_rows")
    side = models.CharField(max_length=1, choices=Side)
    key = models.CharField(max_length=500)
    part = models.CharField(max_length=200, default="")
    state = models.CharField(max_length=10, choices=OpenState)
    again = models.BooleanField(default=False)  # every run takes it up again; else only a change of source, mapping or a person
    cause = models.CharField(max_length=64)  # groups rows: a hash of what went wrong where
    reason = models.JSONField()  # a text
    field = models.CharField(max_length=300, blank=True)
    step = models.CharField(max_length=100, blank=True)
    value = models.CharField(max_length=200, blank=True)
    record = models.BinaryField()  # the source record, compressed JSON
    source_print = models.BinaryField(null=True)  # to see that the source changed
    run = models.ForeignKey(Run, models.SET_NULL, null=True, related_name="open_rows")  # that met it last
    mapping_version = models.ForeignKey(MappingVersion, models.PROTECT, related_name="+")
    change_set_id = models.BigIntegerField(null=True)
    change_row = models.PositiveIntegerField(null=True)
    tries = models.PositiveIntegerField(default=1)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    replay_at = models.DateTimeField(null=True)  # a replay was asked for and has not come round yet
    waits_pair = models.ForeignKey(Pair, models.SET_NULL, null=True, related_name="waiting")  # where the link is to be made that it waits for:
    waits_side = models.CharField(max_length=1, choices=Side, blank=True, default="")  # on this side,
    waits_key = models.CharField(max_length=500, blank=True, default="")  # under this key
    waits_since = models.DateTimeField(null=True)  # null: it does not wait, or has waited too long
    assigned_to = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", db_index=False)
    assigned_note = models.TextField(blank=True, default="")  # what is asked of them
    closed_at = models.DateTimeField(null=True)
    closed_as = models.CharField(max_length=12, choices=Closed, blank=True)
    closed_by = models.CharField(max_length=200, blank=True)
    closed_note = models.TextField(blank=True)

    objects = OpenRowQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["sync", "side", "key", "part"], condition=Q(closed_at=None), name="one_open_row_of_a_record")]
        indexes = [
            models.Index(fields=["sync", "cause", "id"], name="open_rows_by_cause", condition=Q(closed_at=None)),
            models.Index(fields=["cause", "-last_at"], name="open_rows_newest", condition=Q(closed_at=None)),
            models.Index(fields=["run", "id"], name="open_rows_of_a_run"),
            models.Index(fields=["sync", "key"], name="open_rows_dismissed", condition=Q(closed_as="dismissed")),
            models.Index(fields=["-closed_at", "-id"], name="open_rows_closed", condition=Q(closed_at__isnull=False)),
            models.Index(fields=["sync", "replay_at"], name="open_rows_to_replay", condition=Q(closed_at=None, replay_at__isnull=False)),
            models.Index(
                fields=["waits_pair", "waits_side", "waits_key"], name="open_rows_by_link", condition=Q(closed_at=None, waits_pair__isnull=False)
            ),
            models.Index(fields=["sync", "waits_since"], name="open_rows_that_wait", condition=Q(closed_at=None, waits_since__isnull=False)),
            models.Index(fields=["assigned_to", "id"], name="open_rows_of_a_person", condition=Q(closed_at=None, assigned_to__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.key} {self.state}"


class Mend(models.Model):
    """Values that a person put in the place of a source record's. They are used instead of these, by every run, until that record changes."""

    sync = models.ForeignKey(Sync, models.CASCADE, related_name="mends")
    side = models.CharField(max_length=1, choices=Side)
    key = models.CharField(max_length=500)
    values = models.JSONField()  # field → [as the source has it, as it is taken], texts; null: no value
    record = models.BinaryField()  # the source record that was mended, compressed JSON
    by = models.CharField(max_length=200)
    at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["sync", "side", "key"], name="one_mend_of_a_record")]

    def __str__(self) -> str:
        return f"{self.key} {', '.join(self.values)}"


class LogLine(models.Model):
    """One line of a run's log, for people."""

    run = models.ForeignKey(Run, models.CASCADE, related_name="log")
    at = models.DateTimeField(auto_now_add=True)
    level = models.CharField(max_length=10, default="info")
    text = models.JSONField()

    class Meta:
        indexes = [models.Index(fields=["run", "id"], name="log_of_a_run")]

    def __str__(self) -> str:
        return str(self.text)
