"""Which syncs work with a system, an entity or a mapping, and how they stand."""

from __future__ import annotations

from django.db.models import Q
from django.utils.translation import gettext as _

from integration_hub.core.registry import Use
from integration_hub.mappings.models import Mapping
from integration_hub.syncs.freshness import standings_of
from integration_hub.syncs.models import Sync
from integration_hub.systems.models import Entity, System


def syncs_using(subject: object) -> list[Use]:
    if isinstance(subject, System):
        wanted = Q(pair__a__system=subject) | Q(pair__b__system=subject)
    elif isinstance(subject, Entity):
        wanted = Q(pair__a=subject) | Q(pair__b=subject)
    elif isinstance(subject, Mapping):
        wanted = Q(mapping=subject)
    else:
        return []
    found = list(Sync.objects.filter(wanted).select_related("pair", "owner").order_by("name"))
    return [
        Use(
            stands.sync.name,
            _("Sync"),
            stands.sync.get_absolute_url(),
            stands.state,
            str(stands.freshness.label),
            str(stands.sync.owner or ""),
            (stands.sync.pair.a_id, stands.sync.pair.b_id),
        )
        for stands in standings_of(found)
    ]
