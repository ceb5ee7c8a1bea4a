from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import models
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from integration_hub.systems.models import Entity

if TYPE_CHECKING:
    from integration_hub.accounts.actor import Actor


class MappingQuerySet(models.QuerySet["Mapping"]):
    def visible_to(self, by: Actor) -> MappingQuerySet:
        return self if by.allows("mappings.view") else self.none()


class Mapping(models.Model):
    """From one entity to another: the draft that people edit. What runs use are its published versions."""

    name = models.CharField(_("name"), max_length=200, unique=True)
    source = models.ForeignKey(Entity, models.PROTECT, related_name="mappings_from", verbose_name=_("source"))
    target = models.ForeignKey(Entity, models.PROTECT, related_name="mappings_to", verbose_name=_("target"))
    draft = models.JSONField(_("draft"), default=dict)  # a Definition of mappings/definition.py
    changed_at = models.DateTimeField(_("changed at"), auto_now=True)
    changed_by = models.CharField(_("changed by"), max_length=200, blank=True)

    objects = MappingQuerySet.as_manager()

    class Meta:
        verbose_name = _("mapping")
        verbose_name_plural = _("mappings")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("mappings:detail", args=[self.pk])

    @property
    def latest(self) -> MappingVersion | None:
        """The version that runs use now; None before the first is published."""
        return self.versions.order_by("-number").first()


class MappingVersionQuerySet(models.QuerySet["MappingVersion"]):
    def newest_number(self) -> models.Subquery:
        """Of the mapping of the query around it; null before the first version."""
        return models.Subquery(self.filter(mapping=models.OuterRef("pk")).order_by("-number").values("number")[:1])


class MappingVersion(models.Model):
    """A published mapping; it never changes, and a run records the one it used."""

    mapping = models.ForeignKey(Mapping, models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    definition = models.JSONField()
    source_schema = models.JSONField()  # connectors.base.Entity, as they were accepted then
    target_schema = models.JSONField()
    published_at = models.DateTimeField(auto_now_add=True)
    published_by = models.CharField(max_length=200)

    objects = MappingVersionQuerySet.as_manager()

    class Meta:
        verbose_name = _("mapping version")
        verbose_name_plural = _("mapping versions")
        ordering = ["-number"]
        constraints = [models.UniqueConstraint(fields=["mapping", "number"], name="mapping_version_number")]

    def __str__(self) -> str:
        return f"{self.mapping} v{self.number}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self.pk is not None:
            raise TypeError("A published version never changes; publish another one.")
        super().save(*args, **kwargs)
