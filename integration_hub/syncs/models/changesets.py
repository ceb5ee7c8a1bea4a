"""Change sets with their outcomes, and the match keys that they claim while they are under way."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from integration_hub.syncs.models.runs import Partition, Run
from integration_hub.syncs.states import ChangeSetState
from integration_hub.systems.models import Entity


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
    creates_refused = models.PositiveIntegerField(default=0)  # of these, those that somebody had refused when they were planned (see refused.py)
    updates_refused = models.PositiveIntegerField(default=0)
    deletes_refused = models.PositiveIntegerField(default=0)
    settled = models.PositiveIntegerField(default=0)
    sending_to = models.PositiveIntegerField(default=0)  # rows settled…sending_to are on their way
    moved_rows = models.JSONField(default=list)  # of those that are on their way, the ones that were not sent
    answered = models.JSONField(default=dict)  # and row → target key of those that the target has said it took, behind one of which it has not
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
    digest = models.CharField(
        max_length=64, blank=True, default=""
    )  # of a plan's: SHA-256 of its bytes, so that nobody has to read them to approve it
    key_hashes = models.BinaryField(null=True)  # of a plan's: those of its source keys, eight bytes each, so that nobody has to read it to find one
    sends = models.JSONField(default=dict)  # of a plan's: create and update → field of the target → in how many of them it is sent
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
