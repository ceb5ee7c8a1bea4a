"""Requests and decisions: what waits for somebody to say yes or no. One model for all of them; what is asked and what follows is known by its kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from integration_hub.core import texts

if TYPE_CHECKING:
    from integration_hub.accounts.actor import Actor


class DecisionState(models.TextChoices):
    OPEN = "open", pgettext_lazy("a decision", "Open")
    ACCEPTED = "accepted", _("Accepted")
    REFUSED = "refused", pgettext_lazy("a decision", "Refused")
    LAPSED = "lapsed", _("No longer needed")


class DecisionQuerySet(models.QuerySet["Decision"]):
    def visible_to(self, by: Actor) -> Self:
        return self if by.allows("decisions.view") else self.none()

    def open(self) -> Self:
        return self.filter(state=DecisionState.OPEN)

    def about(self, subject: models.Model) -> Self:
        return self.filter(subject_type=subject._meta.label_lower, subject_id=str(subject.pk))


class Decision(models.Model):
    """Something that waits for a person's yes or no. Open, there is one for a part of a subject, however often it is asked; later it tells who said what."""

    kind = models.CharField(max_length=40)  # a name in `kinds`
    subject_type = models.CharField(max_length=100)
    subject_id = models.CharField(max_length=60)
    subject_name = models.CharField(max_length=300)  # as it was called then
    part = models.CharField(max_length=40, default="")  # of the subject, where more than one thing may be asked of it
    question = models.JSONField()  # a text
    count = models.PositiveBigIntegerField(default=0)  # records that wait for it
    about = models.JSONField(default=dict)  # what else its kind keeps
    state = models.CharField(max_length=10, choices=DecisionState, default=DecisionState.OPEN)
    asked_at = models.DateTimeField()
    asked_again_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True)
    decided_by = models.CharField(max_length=200, blank=True)
    decided_by_id = models.BigIntegerField(null=True)
    reason = models.TextField(blank=True)

    objects = DecisionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["kind", "subject_type", "subject_id", "part"], condition=Q(state="open"), name="one_open_decision"),
        ]
        indexes = [
            models.Index(fields=["state", "-id"], name="decisions_by_state"),
            models.Index(fields=["subject_type", "subject_id", "-id"], name="decisions_of_a_subject"),
        ]

    def __str__(self) -> str:
        return f"{self.subject_name}: {self.sentence}"

    def get_absolute_url(self) -> str:
        return reverse("decisions:detail", args=[self.pk])

    @property
    def is_open(self) -> bool:
        return self.state == DecisionState.OPEN

    @property
    def sentence(self) -> str:
        """What is asked, in the reader's language."""
        return texts.render(self.question)
