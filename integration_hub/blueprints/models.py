from __future__ import annotations

from django.db import models


class Placed(models.Model):
    """An object that a blueprint put here, and how it was then, so that what people changed since is never overwritten or taken away."""

    blueprint = models.CharField(max_length=50)
    section = models.CharField(max_length=50)
    name = models.CharField(max_length=200)  # in the blueprint
    object_id = models.BigIntegerField()
    state_hash = models.CharField(max_length=64)  # of what an export says of it
    placed_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["blueprint", "section", "name"], name="placed_once")]

    def __str__(self) -> str:
        return f"{self.blueprint} {self.section} {self.name}"
