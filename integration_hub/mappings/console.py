"""What the mappings add to the shell: palette and overview."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _

from integration_hub.core import overview
from integration_hub.core.pages import Actor
from integration_hub.core.palette import Hit
from integration_hub.core.parts import Act
from integration_hub.mappings.models import Mapping, MappingVersion


def find_mappings(by: Any, text: str) -> list[Hit]:
    found = Mapping.objects.visible_to(by).filter(name__istartswith=text).select_related("source__system", "target__system")[:8]
    return [Hit(one.name, _("Mappings"), one.get_absolute_url(), "conversion_path", f"{one.source} → {one.target}") for one in found]


def steps(by: Actor) -> list[overview.Step]:
    act = Act(_("Make a mapping"), href=reverse("mappings:add")) if by.allows("mappings.change") else None
    text = _("Say which entity is which. Fields are suggested by name, type and sample values; you confirm them on a real record.")
    return [overview.Step(2, _("Map what belongs together"), text, act, MappingVersion.objects.exists())]
