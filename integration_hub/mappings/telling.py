"""What the mappings tell the rest of the hub: what uses an entity, and how the audit log puts what was done."""

from __future__ import annotations

from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from integration_hub.core.registry import Use
from integration_hub.mappings.models import Mapping
from integration_hub.systems.models import Entity, System

EVENTS = {
    "mapping.created": gettext_noop("made the mapping {subject}"),
    "mapping.changed": gettext_noop("changed the draft of the mapping {subject}"),
    "mapping.published": gettext_noop("published the mapping {subject}"),
    "mapping.deleted": gettext_noop("deleted the mapping {subject}"),
}


def uses(subject: object) -> list[Use]:
    """The mappings from or to an entity, or any entity of a system."""
    if isinstance(subject, Entity):
        found = Mapping.objects.filter(Q(source=subject) | Q(target=subject))
    elif isinstance(subject, System):
        found = Mapping.objects.filter(Q(source__system=subject) | Q(target__system=subject))
    else:
        return []
    return [Use(mapping.name, _("Mapping"), mapping.get_absolute_url()) for mapping in found.distinct()]
