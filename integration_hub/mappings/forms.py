from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from integration_hub.accounts.actor import Actor
from integration_hub.systems.models import Entity


class EntityChoice(forms.ModelChoiceField):
    def label_from_instance(self, entity: Any) -> str:
        return f"{entity.system.name} · {entity.label or entity.name}"


class PairForm(forms.Form):
    """Which entity is mapped to which."""

    source = EntityChoice(label=_("Source"), queryset=Entity.objects.none(), help_text=_("Where the records are."))
    target = EntityChoice(label=_("Target"), queryset=Entity.objects.none(), help_text=_("Where they shall be too."))

    def __init__(self, *args: Any, by: Actor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offered = Entity.objects.visible_to(by).selected().select_related("system").order_by("system__name", "name")
        for name in ("source", "target"):
            self.fields[name].queryset = offered  # type: ignore[attr-defined]
            self.fields[name].empty_label = _("Choose an entity")  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        chosen = super().clean() or {}
        if chosen.get("source") and chosen.get("source") == chosen.get("target"):
            self.add_error("target", _("An entity cannot be mapped to itself."))
        return chosen
