from __future__ import annotations

from django.db import models
from django.db.models import Exists, OuterRef
from django.utils.translation import gettext_lazy as _


class EntryQuerySet(models.QuerySet["Entry"]):
    def unsealed(self, *, above: int = 0, up_to: int | None = None) -> EntryQuerySet:
        """Entries that are not in the chain yet, of these numbers. The seals are limited too, else a database may read all of them."""
        numbers = {"gt": above} if up_to is None else {"gt": above, "lte": up_to}
        seals = Seal.objects.filter(entry_id=OuterRef("pk"), **{f"entry_id__{name}": number for name, number in numbers.items()})
        return self.filter(~Exists(seals), **{f"pk__{name}": number for name, number in numbers.items()})


class Entry(models.Model):
    """One thing that somebody did: a change of configuration, a launch, a decision. Never changed; outlives what it tells of."""

    at = models.DateTimeField(_("at"), auto_now_add=True)
    event = models.CharField(_("event"), max_length=100)  # a dotted past: run.started
    actor_kind = models.CharField(max_length=20)
    actor_name = models.CharField(_("who"), max_length=200)
    actor_id = models.BigIntegerField(null=True)  # of the user behind it
    subject_type = models.CharField(max_length=100)
    subject_id = models.CharField(max_length=100)
    subject_name = models.CharField(_("what"), max_length=300)
    changes = models.JSONField(_("changes"), default=dict)  # field → [before, after]; of a secret only that it changed
    note = models.TextField(_("note"), blank=True)

    objects = EntryQuerySet.as_manager()

    class Meta:
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit log")
        indexes = [
            models.Index(fields=["subject_type", "subject_id", "-id"], name="audit_of_a_subject"),
            models.Index(fields=["actor_id", "-id"], name="audit_of_a_person"),
            models.Index(fields=["event", "-id"], name="audit_of_an_event"),
            models.Index(fields=["-id"], condition=~models.Q(event="run.started"), name="audit_but_launches"),
        ]

    def __str__(self) -> str:
        return f"{self.actor_name} {self.event} {self.subject_name}"


class Seal(models.Model):
    """One place of the chain that holds the audit log together: which entry it seals, and two digests (sealing.py). Never changed."""

    place = models.PositiveBigIntegerField(primary_key=True)  # 1, 2, 3 …: the order of sealing
    entry_id = models.BigIntegerField()  # no foreign key: it must be seen when the entry is gone
    content = models.CharField(max_length=64)  # SHA-256 of the entry
    digest = models.CharField(max_length=64)  # SHA-256 of this place and the digest of the one before

    class Meta:
        constraints = [models.UniqueConstraint(fields=["entry_id"], name="entry_sealed_once")]

    def __str__(self) -> str:
        return f"{self.place}:{self.digest}"


class Sealing(models.Model):
    """How far the sweep that seals has come: one row."""

    looked_up_to = models.BigIntegerField(default=0)  # number of an entry: up to it the log was looked through for late ones
    told_head = models.CharField(max_length=100, blank=True)  # PLACE:DIGEST, the last that the hub wrote into its own log
    told_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.told_head

    @classmethod
    def the(cls) -> Sealing:
        row, __ = cls.objects.get_or_create(pk=1)
        return row
