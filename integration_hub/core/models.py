from django.db import models


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
