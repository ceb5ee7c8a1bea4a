from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, ClassVar

from django.conf import settings
from django.contrib.auth.models import AbstractUser, UserManager
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from integration_hub.accounts.roles import Role

if TYPE_CHECKING:
    from integration_hub.accounts.actor import Actor


class PersonManager(UserManager["User"]):
    def create_superuser(self, username: str, email: str | None = None, password: str | None = None, **more: object) -> User:
        """`manage.py createsuperuser` makes an administrator."""
        return super().create_superuser(username, email, password, **{"role": Role.ADMINISTRATOR, **more})


class User(AbstractUser):
    """A person who may sign in. The role says what they may do; Django's groups and single permissions are not used."""

    role = models.CharField(_("role"), max_length=20, choices=Role, default=Role.VIEWER)
    language = models.CharField(_("language"), max_length=10, choices=settings.LANGUAGES, blank=True, help_text=_("Empty: as the browser asks for."))
    mail_failed_runs = models.BooleanField(_("failed runs by e-mail"), default=False)
    mail_decisions = models.BooleanField(_("decisions to be made by e-mail"), default=False)
    mail_system_down = models.BooleanField(_("systems that go down by e-mail"), default=False)

    objects: ClassVar[PersonManager] = PersonManager()

    class Meta(AbstractUser.Meta):
        pass

    def __str__(self) -> str:
        return self.get_full_name() or self.username


class TokenQuerySet(models.QuerySet["Token"]):
    def live(self) -> TokenQuerySet:
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=Now()), revoked_at=None, user__is_active=True)

    def expired(self) -> TokenQuerySet:
        return self.filter(expires_at__lte=Now(), revoked_at=None)

    def visible_to(self, by: Actor) -> TokenQuerySet:
        """One's own; administrators and auditors see all."""
        if by.allows("accounts.view"):
            return self
        return self.filter(user_id=by.user_id) if by.allows("tokens.own") and by.user_id else self.none()


class Token(models.Model):
    """A key to the API: its owner's permissions, narrowed to `scopes`. Only its hash is kept; the key itself is shown once, when it is made."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="tokens", verbose_name=_("owner"))
    name = models.CharField(_("name"), max_length=100)
    prefix = models.CharField(_("begins with"), max_length=12)
    key_hash = models.CharField(max_length=64, unique=True)  # SHA-256; the key has 256 bits of chance, so that no slow hash is needed
    scopes = models.JSONField(_("permissions"), default=list)  # names of roles.PERMISSIONS
    created_at = models.DateTimeField(pgettext_lazy("time", "created"), auto_now_add=True)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    last_used_at = models.DateTimeField(_("last used"), null=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True)

    objects = TokenQuerySet.as_manager()

    class Meta:
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @property
    def is_live(self) -> bool:
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > timezone.now())

    def note_use(self, now: datetime) -> None:
        """Remember that it was used, at most once a minute."""
        if self.last_used_at is None or now - self.last_used_at > timedelta(minutes=1):
            Token.objects.filter(pk=self.pk).update(last_used_at=now)


class MailQuerySet(models.QuerySet["Mail"]):
    def due(self) -> MailQuerySet:
        return self.filter(next_try_at__lte=Now(), sent_at=None)

    def failing(self) -> MailQuerySet:
        """Tried, and not sent."""
        return self.filter(sent_at=None).exclude(error="")


class Mail(models.Model):
    """A mail to one person: written with what it tells of, sent after the commit, tried again while the mail server is away (accounts/mail.py)."""

    person = models.ForeignKey(User, on_delete=models.CASCADE, related_name="mails")
    about = models.CharField(max_length=200)  # what it tells of: run.failed/12
    subject = models.JSONField()  # as core.texts stores sentences: the reader's language is that of the sending
    lines = models.JSONField()
    path = models.CharField(max_length=300, blank=True)  # the page to look at
    written_at = models.DateTimeField(auto_now_add=True)
    tries = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True)  # not before: somebody is sending it until then, or the last try failed
    sent_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=200, blank=True)  # of the last try

    objects = MailQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["person", "about"], name="mail_once")]
        indexes = [
            models.Index(fields=["next_try_at"], condition=Q(sent_at=None), name="mail_due"),
            models.Index(fields=["written_at"], name="mail_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.about} to {self.person_id}"
