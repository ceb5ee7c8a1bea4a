from django.contrib.auth.models import AbstractUser, UserManager
from django.db import models
from django.utils.translation import gettext_lazy as _

from integration_hub.accounts.roles import Role


class User(AbstractUser):
    """A person who may sign in. The role says what they may do; Django's groups and single permissions are not used."""

    role = models.CharField(_("role"), max_length=20, choices=Role, default=Role.VIEWER)

    objects = UserManager()

    class Meta(AbstractUser.Meta):
        pass
