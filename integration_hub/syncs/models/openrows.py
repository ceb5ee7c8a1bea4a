"""Records that runs had to leave, and the values that people mend in them."""

from __future__ import annotations

from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q

from integration_hub.mappings.models import MappingVersion
from integration_hub.syncs.models.pairs import Pair
from integration_hub.syncs.models.runs import Run
from integration_hub.syncs.models.syncs import Sync
from integration_hub.syncs.models.visible import VisibleQuerySet
from integration_hub.syncs.states import REJECTS, Closed, OpenState, Side

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
