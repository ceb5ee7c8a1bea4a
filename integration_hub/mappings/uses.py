"""Which mappings work with a system or an entity."""

from __future__ import annotations

from django.db.models import Q
from django.urls import NoReverseMatch
from django.utils.translation import gettext as _

from integration_hub.core.registry import Use
from integration_hub.mappings.models import Mapping
from integration_hub.systems.models import Entity, System


def mappings_using(subject: object) -> list[Use]:
    if isinstance(subject, System):
        found = Mapping.objects.filter(Q(source__system=subject) | Q(target__system=subject))
    elif isinstance(subject, Entity):
        found = Mapping.objects.filter(Q(source=subject) | Q(target=subject))
    else:
        return []
    return [
        Use(mapping.name, _("Mapping"), _href(mapping), owner=mapping.changed_by, parts=(mapping.source_id, mapping.target_id))
        for mapping in found.order_by("name")
    ]


def _href(mapping: Mapping) -> str:
    try:
        return mapping.get_absolute_url()
    except NoReverseMatch:  # the hub runs without its pages
        return ""
