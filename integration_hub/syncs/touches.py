"""Which syncs a new version of a mapping will touch, and how many records they have linked."""

from __future__ import annotations

from typing import Any

from integration_hub.core.paging import CAP
from integration_hub.mappings.models import Mapping
from integration_hub.mappings.touches import Touched
from integration_hub.syncs.freshness import standings_of
from integration_hub.syncs.models import Link, Sync
from integration_hub.syncs.telling.names import schedule_words


def syncs_touched(mapping: Mapping, by: Any) -> list[Touched]:
    """The syncs by this mapping that `by` may see."""
    found = list(Sync.objects.visible_to(by).filter(mapping=mapping).select_related("pair", "owner").order_by("name")[:200])
    return [
        Touched(
            name=stands.sync.name,
            href=stands.sync.get_absolute_url(),
            state=stands.state,
            word=str(stands.freshness.label),
            schedule=schedule_words(stands.sync),
            linked_count=Link.objects.live(stands.sync.pair)[: CAP + 1].count(),
        )
        for stands in standings_of(found)
    ]
