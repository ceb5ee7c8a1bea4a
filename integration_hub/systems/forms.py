from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from integration_hub.systems.models import System


class SystemForm(forms.ModelForm):
    """What every system has, whatever its connector."""

    class Meta:
        model = System
        fields = ("name", "owner", "read_only", "requests_per_second", "requests_per_minute", "requests_per_day", "check_interval_seconds", "notes")
        widgets = {"notes": forms.Textarea(attrs={"rows": 3})}
        help_texts = {
            "requests_per_second": _("Empty: no limit. Holds over all workers together."),
            "requests_per_day": _("Counted from midnight UTC."),
        }

    def options(self) -> dict[str, Any]:
        """As the services take them."""
        return {name: value for name, value in self.cleaned_data.items() if name != "name"}


class MaintenanceForm(forms.Form):
    until = forms.DateTimeField(
        label=_("Until"),
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text=_("Empty: until somebody ends it. Nobody is told that it does not answer, and syncs wait."),
    )
