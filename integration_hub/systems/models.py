from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F
from django.db.models.functions import Now
from django.utils.functional import cached_property
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from integration_hub.core import texts
from integration_hub.core.fields import EncryptedJSONField

if TYPE_CHECKING:
    from connectors import base
    from integration_hub.accounts.actor import Actor


class SystemQuerySet(models.QuerySet["System"]):
    def visible_to(self, by: Actor) -> SystemQuerySet:
        return self if by.allows("systems.view") else self.none()

    def due(self) -> SystemQuerySet:
        """Those whose health is to be looked at now."""
        return self.filter(next_check_at__lte=Now())

    def untold(self) -> SystemQuerySet:
        """Those whose state is news to whoever asked for e-mail, for half a minute already: the message was lost."""
        return self.exclude(told_state=F("state")).filter(state_since__lte=Now() - timedelta(seconds=30))


class System(models.Model):
    """A registered external system: how it is spoken to, with which settings and credentials, and whether it answered last time."""

    class State(models.TextChoices):
        UNKNOWN = "unknown", _("Not checked yet")
        REACHABLE = "reachable", _("Reachable")
        UNREACHABLE = "unreachable", _("Unreachable")
        RECONNECT = "reconnect", _("Reconnect")  # its credential was revoked: a person must give the hub access again
        MAINTENANCE = "maintenance", _("Maintenance")

    name = models.CharField(_("name"), max_length=100, unique=True)
    slug = models.SlugField(_("slug"), max_length=100, unique=True, allow_unicode=True)
    connector = models.CharField(_("connector"), max_length=50)
    settings = models.JSONField(_("settings"), default=dict)  # as the connector's Settings model dumps them, less the secrets
    secrets = EncryptedJSONField(_("secrets"), default=dict)  # path in the settings ("authentication.password") → value
    read_only = models.BooleanField(_("read-only"), default=False, help_text=_("Nothing is ever written to this system."))
    owner = models.ForeignKey("accounts.User", null=True, blank=True, on_delete=models.SET_NULL, verbose_name=_("owner"))
    notes = models.TextField(_("notes"), blank=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    state = models.CharField(_("state"), max_length=20, choices=State, default=State.UNKNOWN)
    state_since = models.DateTimeField(_("since"), null=True)
    told_state = models.CharField(max_length=20, default=State.UNKNOWN)  # the last one told by e-mail
    error = models.JSONField(_("last error"), null=True)  # a text of core.texts; null while all is well
    last_answer_at = models.DateTimeField(_("last answer"), null=True)
    latency_ms = models.PositiveIntegerField(_("latency"), null=True)
    maintenance_until = models.DateTimeField(_("maintenance until"), null=True, blank=True)
    next_check_at = models.DateTimeField(_("next check"), null=True, default=None)
    check_interval_seconds = models.PositiveIntegerField(_("seconds between checks"), default=60)

    requests_per_second = models.FloatField(_("requests per second"), null=True, blank=True)
    requests_per_minute = models.PositiveIntegerField(_("requests per minute"), null=True, blank=True)
    requests_per_day = models.PositiveIntegerField(_("requests per day"), null=True, blank=True)
    in_flight = models.PositiveSmallIntegerField(_("requests in flight"), default=8)
    time_out_seconds = models.PositiveSmallIntegerField(_("time-out in seconds"), default=30)

    objects = SystemQuerySet.as_manager()

    class Meta:
        verbose_name = _("system")
        verbose_name_plural = _("systems")
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(condition=models.Q(in_flight__gte=1), name="system_has_requests_in_flight"),
            models.CheckConstraint(condition=models.Q(time_out_seconds__gte=1), name="system_has_a_time_out"),
            models.CheckConstraint(condition=models.Q(check_interval_seconds__gte=10), name="system_is_not_checked_all_the_time"),
            models.CheckConstraint(
                condition=models.Q(requests_per_second__isnull=True) | models.Q(requests_per_second__gt=0), name="system_allows_requests"
            ),
        ]
        indexes = [models.Index(fields=["next_check_at"], name="system_due")]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Tells, at its field, which of the constraints above people have broken."""
        problems = {}
        if self.check_interval_seconds is not None and self.check_interval_seconds < 10:
            problems["check_interval_seconds"] = gettext("A system is asked every 10 seconds at the most.")
        for limit in ("requests_per_second", "requests_per_minute", "requests_per_day"):
            if getattr(self, limit) is not None and getattr(self, limit) <= 0:
                problems[limit] = gettext("It is more than 0; leave it empty for no limit.")
        if problems:
            raise ValidationError(problems)

    @property
    def error_text(self) -> str:
        return texts.render(self.error)


class HealthCheck(models.Model):
    """One look at a system: did it answer, and how fast. Kept for a week."""

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="checks")
    at = models.DateTimeField(_("at"), auto_now_add=True)
    ok = models.BooleanField(_("answered"))
    latency_ms = models.PositiveIntegerField(_("latency"), null=True)
    error = models.JSONField(_("error"), null=True)

    class Meta:
        verbose_name = _("health check")
        verbose_name_plural = _("health checks")
        indexes = [models.Index(fields=["system", "-at"], name="health_of_a_system"), models.Index(fields=["at"], name="health_by_age")]

    def __str__(self) -> str:
        return f"{self.system_id} {self.at:%Y-%m-%d %H:%M:%S}"


class EntityQuerySet(models.QuerySet["Entity"]):
    def visible_to(self, by: Actor) -> EntityQuerySet:
        return self if by.allows("systems.view") else self.none()

    def selected(self) -> EntityQuerySet:
        return self.filter(selected=True)


class Entity(models.Model):
    """A kind of record in a system. `schema` is what the hub works with; `found_schema` what the system showed last, where that differs."""

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="entities", verbose_name=_("system"))
    name = models.CharField(_("name"), max_length=200)
    label = models.CharField(_("label"), max_length=200, blank=True)
    schema = models.JSONField(_("schema"))  # connectors.base.Entity
    found_schema = models.JSONField(_("found schema"), null=True)  # waits to be accepted; null: as `schema`
    found_at = models.DateTimeField(_("found at"), null=True)
    is_missing = models.BooleanField(_("missing"), default=False)  # the last discovery did not show it any more
    selected = models.BooleanField(_("selected"), default=False)  # offered for mappings
    record_count = models.BigIntegerField(_("records"), null=True)
    read_last_at = models.DateTimeField(_("read last"), null=True)

    objects = EntityQuerySet.as_manager()

    class Meta:
        verbose_name = _("entity")
        verbose_name_plural = _("entities")
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["system", "name"], name="entity_once_a_system")]

    def __str__(self) -> str:
        return f"{self.system.name} · {self.label or self.name}"

    def as_schema(self) -> base.Entity:
        """What the hub works with, as connectors take it."""
        from connectors.base import Entity as Schema

        return Schema.model_validate(self.schema)

    @cached_property
    def has_drift(self) -> bool:
        return self.is_missing or self.found_schema is not None


class Quota(models.Model):
    """What a system's requests have used of its limits: one row, changed by one conditional UPDATE a block of permits (see host.py)."""

    system = models.OneToOneField(System, on_delete=models.CASCADE, primary_key=True)
    draws = models.BigIntegerField(default=0)  # rises with each block: whoever read another number has lost the race
    free_at = models.FloatField(default=0)  # Unix time of the first slot that is not taken, under a limit per second
    minute = models.BigIntegerField(default=0)  # number of the minute since 1970 that `minute_used` counts
    minute_used = models.BigIntegerField(default=0)
    day = models.BigIntegerField(default=0)
    day_used = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.system_id}"


class Credential(models.Model):
    """The token a system gave the hub, and who is renewing it. `sealed` holds {"value", "refresh"}."""

    system = models.OneToOneField(System, on_delete=models.CASCADE, primary_key=True)
    sealed = EncryptedJSONField(null=True)
    obtained_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)  # null: the system does not say
    lease_number = models.BigIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("credential")
        verbose_name_plural = _("credentials")

    def __str__(self) -> str:
        return f"{self.system_id}"


class Circuit(models.Model):
    """Whether requests to a system make sense just now. Closed: all go through. Open: none until `open_until`, then one probe at a time.
    One that is closed may have an `open_until` too: the system has asked for a pause until then."""

    system = models.OneToOneField(System, on_delete=models.CASCADE, primary_key=True)
    failure_count = models.PositiveIntegerField(default=0)  # in a row, over all workers
    openings = models.PositiveIntegerField(default=0)  # in a row, each doubles the wait; 0: closed
    open_until = models.DateTimeField(null=True)
    probe_until = models.DateTimeField(null=True)  # somebody is trying it

    def __str__(self) -> str:
        return f"{self.system_id}"
