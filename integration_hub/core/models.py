from __future__ import annotations

from datetime import timedelta

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class HeartbeatQuerySet(models.QuerySet["Heartbeat"]):
    LOST_AFTER = timedelta(seconds=20)

    def alive(self) -> HeartbeatQuerySet:
        """Those seen lately, by the database's clock."""
        return self.filter(seen_at__gt=Now() - self.LOST_AFTER)


class Heartbeat(models.Model):
    """A worker or scheduler that says every few seconds that it lives (core/heartbeat.py)."""

    class Kind(models.TextChoices):
        WORKER = "worker", _("Worker")
        SCHEDULER = "scheduler", _("Scheduler")

    name = models.CharField(max_length=200, unique=True)
    kind = models.CharField(max_length=20, choices=Kind)
    host = models.CharField(max_length=200)
    queues = models.JSONField(default=list)
    version = models.CharField(max_length=40)
    seen_at = models.DateTimeField()

    objects = HeartbeatQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name
