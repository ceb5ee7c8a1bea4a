from __future__ import annotations

from django import forms
from django.contrib.auth.forms import AuthenticationForm
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.utils.translation import gettext_lazy as _


class SignInForm(AuthenticationForm):
    """Everyone who is active may sign in; what they may do there is their role's."""

    error_messages = {
        "invalid_login": _("User name or password is not right. Mind capital letters; after several wrong tries the door stays shut for a while."),
        "inactive": _("This account is switched off. Ask an administrator."),
    }


def add_refusal(form: forms.BaseForm, refused: ValidationError) -> None:
    """Put what a service said at the fields of the form; one that the form has found something wrong with itself keeps that."""
    told: dict[str, list[str]] = refused.message_dict if hasattr(refused, "error_dict") else {str(NON_FIELD_ERRORS): refused.messages}
    for name in told.keys() - form.errors.keys():
        form.add_error(name if name in form.fields else None, told[name])
