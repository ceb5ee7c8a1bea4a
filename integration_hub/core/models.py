from __future__ import annotations

import uuid
from datetime import timedelta

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from integration_hub.core.leases import Leased, LeasedQuerySet


class Installation(models.Model):
    """Which hub this database is of: one row, whose key the storage folder carries too (core/installation.py)."""

    key = models.UUIDField(default=uuid.uuid4, editable=False)

    def __str__(self) -> str:
        return str(self.key)


class HeartbeatQuerySet(models.QuerySet["Heartbeat"]):
    LOST_AFTER = timedelta(seconds=20)

    def alive(self) -> HeartbeatQuerySet:
        """Those seen lately, by the database's clock."""
        return self.filter(seen_at__gt=Now() - self.LOST_AFTER)

    def slots(self, queue: str) -> int:
        """How many tasks of this queue the living workers can do at once."""
        return sum(slots for queues, slots in self.alive().values_list("queues", "slots") if queue in queues)

    def working(self) -> HeartbeatQuerySet:
        """Living workers that take up work."""
        return self.alive().exclude(queues=[])


class Heartbeat(models.Model):
    """A worker or scheduler that says every few seconds that it lives (core/heartbeat.py)."""

    class Kind(models.TextChoices):
        WORKER = "worker", _("Worker")
        SCHEDULER = "scheduler", _("Scheduler")

    name = models.CharField(max_length=200, unique=True)
    kind = models.CharField(max_length=20, choices=Kind)
    host = models.CharField(max_length=200)
    queues = models.JSONField(default=list)  # none while it may take up no work
    slots = models.PositiveSmallIntegerField(default=0)  # how many tasks a worker does at once
    version = models.CharField(max_length=40)
    seen_at = models.DateTimeField()

    objects = HeartbeatQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name


class Message(models.Model):
    """A happening in the outbox: written with what it tells of, told to those who listen after the commit, at least once."""

    type = models.CharField(max_length=100)  # a dotted past: run.failed
    subject = models.CharField(max_length=200)  # runs/12
    facts = models.JSONField(default=dict)  # names and ids, never secrets
    at = models.DateTimeField(auto_now_add=True)
    not_before = models.DateTimeField(null=True)  # somebody is telling it until then, or the last try failed
    handled_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["id"], condition=models.Q(handled_at=None), name="message_waiting")]

    def __str__(self) -> str:
        return f"{self.type} {self.subject}"


class BackupQuerySet(LeasedQuerySet):
    def going(self) -> BackupQuerySet:
        return self.filter(ended_at=None, lease_until__gt=Now())


class Backup(Leased):
    """A backup that was made, or is being made: while its lease is held no stored file is removed (core/storage.py)."""

    file = models.CharField(max_length=500)
    started_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)
    size = models.PositiveBigIntegerField(null=True)  # bytes

    objects = BackupQuerySet.as_manager()  # type: ignore[misc]  # the abstract model's manager is an instance for mypy

    def __str__(self) -> str:
        return self.file


class IdempotencyKey(models.Model):
    """A launch through the API and its answer, kept for a day: sent again under the same key it gets the same answer and has no second effect."""

    owner = models.CharField(max_length=50)  # keys of one person never meet those of another
    key = models.CharField(max_length=200)
    method = models.CharField(max_length=10)
    path = models.CharField(max_length=500)
    body_hash = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(default=0)
    answer = models.JSONField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["owner", "key"], name="idempotency_key_once")]
        indexes = [models.Index(fields=["created_at"], name="idempotency_key_by_age")]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"
