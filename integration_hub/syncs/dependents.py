"""What the syncs tell the rest of the hub: which of them use a system, an entity or a mapping, and how the audit log puts what was done."""

from __future__ import annotations

from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from integration_hub.core.registry import Use
from integration_hub.mappings.models import Mapping
from integration_hub.syncs.models import Sync
from integration_hub.systems.models import Entity, System

EVENTS = {
    "sync.created": gettext_noop("made the sync {subject}"),
    "sync.changed": gettext_noop("changed the sync {subject}"),
    "sync.paused": gettext_noop("paused the sync {subject}"),
    "sync.resumed": gettext_noop("resumed the sync {subject}"),
    "sync.deleted": gettext_noop("deleted the sync {subject}"),
    "sync.cursor_set": gettext_noop("set the cursor of {subject}"),
    "run.started": gettext_noop("started {subject}"),
    "run.paused": gettext_noop("paused {subject}"),
    "run.resumed": gettext_noop("resumed {subject}"),
    "run.cancelled": gettext_noop("cancelled {subject}"),
    "rejects.replayed": gettext_noop("replayed rejects of {subject}"),
    "rejects.dismissed": gettext_noop("dismissed rejects of {subject}"),
    "rejects.exported": gettext_noop("exported rejects of {subject}"),
}


def uses(subject: object) -> list[Use]:
    """The syncs over a mapping, an entity, or any entity of a system."""
    if isinstance(subject, Mapping):
        found = Sync.objects.filter(mapping=subject)
    elif isinstance(subject, Entity):
        found = Sync.objects.filter(Q(pair__a=subject) | Q(pair__b=subject))
    elif isinstance(subject, System):
        found = Sync.objects.filter(Q(pair__a__system=subject) | Q(pair__b__system=subject))
    else:
        return []
    return [_use(sync) for sync in found.select_related("owner").distinct()]


def _use(sync: Sync) -> Use:
    state, word = ("idle", _("Paused")) if sync.paused_at else ("ok", _("Active"))
    return Use(sync.name, _("Sync"), sync.get_absolute_url(), state, word, str(sync.owner or ""))
