"""Runs with their partitions, pages and log, and the approvals that some of them write."""

from __future__ import annotations

from datetime import timedelta
from typing import Self

from django.db import models
from django.db.models import Count, Exists, ExpressionWrapper, F, Max, OuterRef, Q, Subquery, Sum
from django.db.models.functions import Coalesce, Now
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from integration_hub.approvals.models import Decision
from integration_hub.core.leases import Leased, LeasedQuerySet
from integration_hub.mappings.models import MappingVersion
from integration_hub.syncs.models.pairs import Directed, Pair
from integration_hub.syncs.models.syncs import Sync
from integration_hub.syncs.models.visible import VisibleQuerySet
from integration_hub.syncs.states import ENDED_WHOLE, LIVE, Direction, Mode, PartitionState, RunState, Trigger
from integration_hub.systems.models import Entity

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


# Runs over all records, or all that changed, by which their sync stands as it does.
WHOLE = Q(keys__isnull=True, applies__isnull=True, keys_only=False)


class RunQuerySet(VisibleQuerySet):
    def live(self) -> Self:
        return self.filter(ended_at=None)

    def decisive(self) -> RunQuerySet:
        """Ended runs that say how their sync stands, newest first."""
        whole: RunQuerySet = self.filter(WHOLE, dry=False, state__in=(*ENDED_WHOLE, RunState.FAILED))
        return whole.order_by("-pk")

    def writing_into(self, target: Entity) -> RunQuerySet:
        """Runs that write to this entity, or have."""
        there = Q(direction=Direction.A_TO_B, pair__b=target) | Q(direction=Direction.B_TO_A, pair__a=target)
        runs: RunQuerySet = self.filter(there, dry=False)
        return runs

    def with_names(self) -> RunQuerySet:
        return self.select_related("sync", "pair__a__system", "pair__b__system", "mapping_version__mapping")


class Run(Directed, models.Model):
    """One execution of a sync. It keeps the names it ran under, so that it can be read when the sync is gone."""

    sync = models.ForeignKey(Sync, models.SET_NULL, null=True, related_name="runs")
    pair = models.ForeignKey(Pair, models.PROTECT, related_name="runs")
    name = models.CharField(max_length=200)  # of the sync, then
    direction = models.CharField(max_length=10, choices=Direction)
    mode = models.CharField(max_length=20, choices=Mode)
    mapping_version = models.ForeignKey(MappingVersion, models.PROTECT, related_name="runs")
    settings = models.JSONField(default=dict)  # filter, compare_first, deletes, guards: as they were
    keys = models.JSONField(null=True)  # a run over these records only; null: all
    keys_only = models.BooleanField(default=False)  # reads the source's keys and nothing else, to see what is gone
    dry = models.BooleanField(default=False)
    applies = models.ForeignKey("PlanApproval", models.SET_NULL, null=True, related_name="runs")  # a run that writes what was approved
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
    def moves_cursor(self) -> bool:
        """Whether it reads all, or all that changed, and writes it: behind one that does not go through the next reads the same again."""
        return not self.dry and not self.keys_only and self.keys is None and self.applies_id is None

    @property
    def is_live(self) -> bool:
        return self.ended_at is None

    @property
    def reconciles(self) -> bool:
        """Whether it compares with the target itself instead of prints, and so finds drift. It always ends as a plan."""
        return self.mode == Mode.RECONCILE

    @property
    def is_undo(self) -> bool:
        """Whether it applies a plan that undoes: what it deletes is not gone in the source."""
        return self.applies is not None and self.applies.plan is not None and self.applies.plan.undoes is not None

    @property
    def mends_drift(self) -> bool:
        """Whether it applies the plan of a reconcile run: what it writes is read back."""
        return self.applies is not None and self.applies.plan is not None and self.applies.plan.reconciles

    def sums(self) -> dict[str, int]:
        """COUNTS of this run: of its partitions while it lives, as kept once it has ended."""
        if self.counts:
            return {name: self.counts.get(name, 0) for name in COUNTS}
        found = self.partitions.aggregate(**{name: Sum(f"{name}_count") for name in COUNTS})
        return {name: found[name] or 0 for name in COUNTS}


class PlanApproval(models.Model):
    """What was approved of changes that are planned, by whom and why; a run writes it. Either of a plan, which is a dry run, or one that undoes others,
    and is approved once; or all that a guard has withheld, where a decision was to accept it."""

    plan = models.OneToOneField(Run, models.CASCADE, null=True, related_name="approval")
    decision = models.OneToOneField(Decision, models.CASCADE, null=True, related_name="+")
    digest = models.CharField(max_length=64, blank=True)  # of a plan: its mapping version, settings and change sets, as they were approved
    operations = models.JSONField(default=list)  # only these; empty: all
    rule = models.TextField(blank=True)  # an expression over the changes; only those it is true for
    except_keys = models.JSONField(default=list)  # of the source: never these
    approved_count = models.PositiveBigIntegerField()  # changes
    is_counted = models.BooleanField(default=True)  # False: there may be more, for counting them all would have taken too long
    reason = models.TextField()
    actor_kind = models.CharField(max_length=20)
    actor_name = models.CharField(max_length=200)
    actor_id = models.BigIntegerField(null=True)
    at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return str(self.plan or self.decision)


SEND_AGAIN_AFTER = timedelta(seconds=15)
TURN_SECONDS = 30.0  # for which a worker carries a partition before others get their turn
_UNSENT = Q(sent_at=None) | Q(sent_at__lt=F("lease_until")) | Q(state=PartitionState.LEASED, lease_until=None)


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
        sent = Partition.objects.to_carry().filter(state=PartitionState.WAITING, sent_at__gte=Now() - SEND_AGAIN_AFTER)
        held = Q(state__in=(PartitionState.WAITING, PartitionState.LEASED), lease_until__gt=Now())
        return self.filter(held | Q(pk__in=sent.values("pk")), run__ended_at=None)

    def unsent(self) -> Self:
        """Partitions to carry that no message is under way for: never sent, or their lease was lost since, or given back in the middle of the work."""
        return self.to_carry().filter(_UNSENT)

    def to_send(self) -> Self:
        """With those that were sent a while ago and not taken. No more are sent than there are slots, so one that is not taken by then is lost, with
        the worker that had just fetched it or with the broker; the while is short enough for the work to go on within half a minute."""
        return self.to_carry().filter(_UNSENT | Q(sent_at__lt=Now() - SEND_AGAIN_AFTER))

    def in_fair_order(self) -> Self:
        """First what was in the hands of a worker that is gone: its turn was cut short. Then those of the run that has the fewest under way; of such runs,
        one that has not worked for as long as a turn goes before the others, lest what is short wait for all that is long; then the run whose last turn
        is the longest ago."""
        of_run = Partition.objects.filter(run=OuterRef("run")).order_by().values("run")
        in_hand = Partition.objects.in_hand().filter(run=OuterRef("run")).order_by().values("run")
        under_way = in_hand.annotate(count=Count("pk")).values("count")
        return self.annotate(
            was_lost=ExpressionWrapper(Q(state=PartitionState.LEASED), models.BooleanField()),
            under_way=Coalesce(Subquery(under_way), 0),
            is_long=Exists(of_run.annotate(busy=Sum("busy_seconds")).filter(busy__gte=TURN_SECONDS)),
            last=Subquery(of_run.annotate(last=Max("sending")).values("last")),
        ).order_by("-was_lost", "under_way", "is_long", "last", "sending", "number")


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
    sending = models.PositiveBigIntegerField(
        default=0
    )  # of its newest message, which alone is taken; rises over all partitions, in the order of their turns
    sent_at = models.DateTimeField(null=True)  # to a worker; null: its turn is over, or has yet to come
    failures = models.PositiveSmallIntegerField(default=0)  # in a row, since the last progress
    restarts = models.PositiveSmallIntegerField(default=0)  # of reading, from the start of its range, because the source no longer knew the position
    error = models.JSONField(null=True)  # the last, a text
    busy_seconds = models.FloatField(default=0)  # in turns that came to their end
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
    agreed = models.CharField(max_length=200, blank=True)  # file of the prints of what is as it should be; see `unchanged`
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["partition", "number"], name="page_number")]
        indexes = [models.Index(fields=["partition"], name="pages_with_prints", condition=~Q(agreed=""))]

    def __str__(self) -> str:
        return f"{self.partition_id}/{self.number}"


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
