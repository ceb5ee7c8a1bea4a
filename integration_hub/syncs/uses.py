"""Which syncs work with a system, an entity or a mapping, and how they stand."""

from __future__ import annotations

from django.db.models import Exists, OuterRef, Q
from django.urls import reverse
from django.utils.translation import gettext as _

from integration_hub.core.registry import Use
from integration_hub.mappings.models import Mapping
from integration_hub.syncs.freshness import Standing, standings_of
from integration_hub.syncs.models import Pair, Run, Sync
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
    return [_use(stands) for stands in standings_of(found)] + _histories(subject)


def _use(stands: Standing) -> Use:
    sync = stands.sync
    parts = (sync.pair.a_id, sync.pair.b_id)
    return Use(sync.name, _("Sync"), sync.get_absolute_url(), stands.state, str(stands.freshness.label), str(sync.owner or ""), parts)


def _histories(subject: object) -> list[Use]:
    """Pairs that no sync is left of: what they did is still told, until somebody has it forgotten on the pair's page."""
    if isinstance(subject, Mapping):
        wanted: Q | Exists = Exists(Run.objects.filter(pair=OuterRef("pk"), mapping_version__mapping=subject))
    else:
        of = "system" if isinstance(subject, System) else "pk"
        wanted = Q(**{f"a__{of}": subject.pk}) | Q(**{f"b__{of}": subject.pk})  # type: ignore[attr-defined]
    left = Pair.objects.filter(wanted, syncs=None).select_related("a__system", "b__system")
    parts = [(pair, reverse("syncs:pair", args=[pair.pk])) for pair in left]
    return [Use(_("the history of {pair}").format(pair=pair), _("Pair"), href, is_history=True, parts=(pair.a_id, pair.b_id)) for pair, href in parts]
