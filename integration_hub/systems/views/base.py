"""What the pages about one system share."""

from __future__ import annotations

from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _

from connectors.registry import UnknownConnector, connector_class
from integration_hub.core.pages import HubPage
from integration_hub.core.parts import Link
from integration_hub.systems.models import System
from integration_hub.systems.settings_form import title_of_part


class OfSystem(HubPage):
    """A page about one system, whose slug is in the address."""

    permission = "systems.view"
    nav = "systems"

    @property
    def system(self) -> System:
        if not hasattr(self, "_system"):
            self._system = get_object_or_404(System.objects.visible_to(self.by).select_related("owner"), slug=self.kwargs["slug"])
        return self._system

    def get_title(self) -> str:
        return self.system.name

    def get_crumbs(self) -> list[Link]:
        return [Link(_("Systems"), reverse("systems:list"))]

    def url(self, name: str) -> str:
        return reverse(f"systems:{name}", args=[self.system.slug])


class UnderSystem(OfSystem):
    """A page below a system's own."""

    def get_crumbs(self) -> list[Link]:
        return [*super().get_crumbs(), Link(self.system.name, self.url("detail"))]


def kind_of_credential(system: System) -> str:
    """What the form of its settings calls the way we prove who we are; "" where there is none."""
    auth = system.settings.get("auth")
    if not isinstance(auth, dict) or auth.get("type", "none") == "none":
        return ""
    try:
        return title_of_part(connector_class(system.connector).Settings, "auth", system.settings)
    except (UnknownConnector, ImportError):
        return ""


def title_of(system: System) -> str:
    try:
        return _(connector_class(system.connector).title)
    except (UnknownConnector, ImportError):
        return system.connector
