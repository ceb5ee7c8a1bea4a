from __future__ import annotations

from django.contrib.auth.forms import AuthenticationForm
from django.utils.translation import gettext_lazy as _


class SignInForm(AuthenticationForm):
    """Everyone who is active may sign in; what they may do there is their role's."""

    error_messages = {
        "invalid_login": _("User name or password is not right. Mind capital letters; after several wrong tries the door stays shut for a while."),
        "inactive": _("This account is switched off. Ask an administrator."),
    }
