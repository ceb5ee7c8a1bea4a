"""What the mappings add to the shell: navigation, palette, overview, uses of an entity, and what the audit log says of them."""

from __future__ import annotations

from typing import Any

from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from integration_hub.core import overview
from integration_hub.core.pages import Actor
from integration_hub.core.palette import Hit
from integration_hub.core.parts import Act
from integration_hub.core.registry import Use
from integration_hub.mappings.models import Mapping, MappingVersion
from integration_hub.systems.models import Entity, System

EVENTS = {
    "mapping.created": gettext_noop("made the mapping {subject}"),
    "mapping.changed": gettext_noop("changed the draft of {subject}"),
    "mapping.renamed": gettext_noop("renamed the mapping {subject}"),
    "mapping.published": gettext_noop("published {subject}"),
    "mapping.deleted": gettext_noop("deleted the mapping {subject}"),
}


def find_mappings(by: Any, text: str) -> list[Hit]:
    found = Mapping.objects.visible_to(by).filter(name__istartswith=text).select_related("source__system", "target__system")[:8]
    return [Hit(one.name, _("Mappings"), one.get_absolute_url(), "conversion_path", f"{one.source} → {one.target}") for one in found]


def steps(by: Actor) -> list[overview.Step]:
    act = Act(_("Make a mapping"), href=reverse("mappings:add")) if by.allows("mappings.change") else None
    text = _("Say which entity is which. Fields are suggested by name, type and sample values; you confirm them on a real record.")
    return [overview.Step(2, _("Map what belongs together"), text, act, MappingVersion.objects.exists())]


def uses(subject: object) -> list[Use]:
    """The mappings that read or write an entity."""
    if isinstance(subject, Entity):
        found = Mapping.objects.filter(Q(source=subject) | Q(target=subject))
    elif isinstance(subject, System):
        found = Mapping.objects.filter(Q(source__system=subject) | Q(target__system=subject))
    else:
        return []
    return [Use(one.name, _("Mapping"), one.get_absolute_url()) for one in found]
