from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, ClassVar

from django import forms
from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from integration_hub.accounts.actor import Actor
from integration_hub.accounts.models import User
from integration_hub.accounts.roles import PERMISSION_TEXTS, PERMISSIONS, Role

MAILS = ("mail_failed_runs", "mail_decisions", "mail_system_down")
LIVES = [("30", _("30 days")), ("90", _("90 days")), ("365", _("a year")), ("0", _("no end"))]


class ProfileForm(forms.ModelForm):
    class Meta:
        model = User
        fields = ("first_name", "last_name", "email", "language", *MAILS)
        help_texts: ClassVar = {"mail_failed_runs": _("Also books that do not balance, and drift that a reconcile run has found.")}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["language"] = forms.ChoiceField(
            label=_("language").capitalize(), required=False, choices=[("", _("as the browser asks for")), *settings.LANGUAGES]
        )

    def clean(self) -> dict[str, Any]:
        asked: dict[str, Any] = super().clean() or self.cleaned_data
        if not asked.get("email") and "email" not in self.errors and any(asked.get(name) for name in MAILS):
            self.add_error("email", _("Enter the address that these e-mails go to."))
        return asked


class PasswordForm(forms.Form):
    old_password = forms.CharField(label=_("Old password"), strip=False, widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}))
    new_password = forms.CharField(label=_("New password"), strip=False, widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}))
    again = forms.CharField(label=_("New password again"), strip=False, widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}))

    def clean_again(self) -> str:
        again: str = self.cleaned_data["again"]
        if again != self.cleaned_data.get("new_password"):
            raise forms.ValidationError(_("The two are not the same."))
        return again


class PersonForm(forms.ModelForm):
    """Role and password besides the profile. `password` empty keeps the old one of a person who is there already."""

    role = forms.ChoiceField(label=_("Role"), choices=Role.choices, initial=Role.VIEWER)
    password = forms.CharField(label=_("Password"), strip=False, required=False, widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}))

    class Meta:
        model = User
        fields = ("username", "first_name", "last_name", "email", "role", "is_active", "password")
        help_texts = {"username": "", "is_active": _("Switched off, a person cannot sign in, and their tokens open nothing.")}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            del self.fields["username"]  # a name is for good: the audit log names people by it
            self.fields["password"].help_text = _("Empty: stays as it is.")
        else:
            del self.fields["is_active"]
            self.fields["password"].required = True


class TokenForm(forms.Form):
    name = forms.CharField(label=_("Name"), max_length=100, help_text=_("What it is for."))
    life = forms.ChoiceField(label=_("Ends after"), choices=LIVES, initial="90")
    scopes = forms.MultipleChoiceField(label=_("May do"), widget=forms.CheckboxSelectMultiple, help_text=_("Never more than your own role."))

    def __init__(self, *args: Any, by: Actor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["scopes"].choices = [(name, PERMISSION_TEXTS[name]) for name in PERMISSIONS if by.allows(name)]  # type: ignore[attr-defined]

    @property
    def expires_at(self) -> datetime | None:
        days = int(self.cleaned_data["life"])
        return timezone.now() + timedelta(days=days) if days else None
