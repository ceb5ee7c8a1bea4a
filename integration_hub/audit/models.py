from django.db import models
from django.utils.translation import gettext_lazy as _


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
