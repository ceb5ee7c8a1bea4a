"""What the systems add to the shell: navigation, palette, overview, and what the audit log says of them."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext

from integration_hub.core import overview
from integration_hub.core.pages import Badge
from integration_hub.core.palette import Hit
from integration_hub.core.parts import Act
from integration_hub.core.registry import uses_of
from integration_hub.systems.models import System

State = System.State
HUB_STATES = {
    State.REACHABLE: "ok",
    State.UNREACHABLE: "bad",
    State.RECONNECT: "bad",
    State.MAINTENANCE: "idle",
    State.UNKNOWN: "idle",
}
ICONS = {State.MAINTENANCE: "build_circle", State.RECONNECT: "link_off"}
TROUBLED = (State.UNREACHABLE, State.RECONNECT)

EVENTS = {
    "system.registered": gettext_noop("registered {subject}"),
    "system.changed": gettext_noop("changed {subject}"),
    "system.deleted": gettext_noop("deleted {subject}"),
    "system.discovered": gettext_noop("discovered the entities of {subject}"),
    "system.entities_selected": gettext_noop("picked the entities of {subject}"),
    "system.connected": gettext_noop("connected {subject}"),
    "system.maintenance_started": gettext_noop("put {subject} into maintenance"),
    "system.maintenance_ended": gettext_noop("ended the maintenance of {subject}"),
    "entity.schema_accepted": gettext_noop("accepted the changed fields of {subject}"),
}


def systems_badge(by: Any) -> Badge | None:
    count = System.objects.visible_to(by).filter(state__in=TROUBLED).count()
    return Badge(str(count), "bad") if count else None


def find_systems(by: Any, text: str) -> list[Hit]:
    found = System.objects.visible_to(by).filter(name__istartswith=text)[:8]
    return [Hit(system.name, _("Systems"), reverse("systems:detail", args=[system.slug]), "dns", str(system.get_state_display())) for system in found]


def strip(by: Any) -> list[overview.StripItem]:
    items = []
    for system in System.objects.visible_to(by)[:200]:
        note = _("{ms} ms").format(ms=system.latency_ms) if system.state == State.REACHABLE and system.latency_ms is not None else ""
        state, word = HUB_STATES[State(system.state)], str(system.get_state_display())
        href = reverse("systems:detail", args=[system.slug])
        items.append(overview.StripItem(system.name, href, state, word, note, ICONS.get(State(system.state), "")))
    return items


def problems(by: Any) -> list[overview.Problem]:
    found = []
    may_take = by.user_id is not None and by.allows("systems.check")
    for system in System.objects.visible_to(by).filter(state__in=TROUBLED).select_related("owner")[:50]:
        href = reverse("systems:detail", args=[system.slug])
        waiting = uses_of(system)
        holds = ngettext("{n} thing depends on it", "{n} things depend on it", len(waiting)).format(n=len(waiting)) if waiting else ""
        reconnect = system.state == State.RECONNECT
        cause = _("{system} must be connected again") if reconnect else _("{system} cannot be reached")
        found.append(
            overview.Problem(
                state="bad",
                cause=cause.format(system=system.name),
                detail=system.error_text,
                since=system.state_since or timezone.now(),
                act=Act(_("Reconnect") if reconnect else _("Look"), href=href),
                holds=holds,
                holds_note=", ".join(str(use) for use in waiting[:3]),
                who=str(system.owner or ""),
                take=Act(_("Take it"), post=reverse("systems:take", args=[system.slug]), quiet=True) if may_take and not system.owner else None,
            )
        )
    return found


def notes(by: Any) -> list[str]:
    counts = System.objects.visible_to(by).aggregate(all=Count("pk"), ok=Count("pk", filter=Q(state=State.REACHABLE)))
    return [_("{ok} of {all} systems answer.").format(**counts)] if counts["all"] else []


def steps(by: Any) -> list[overview.Step]:
    act = Act(_("Register a system"), href=reverse("systems:add")) if by.allows("systems.change") else None
    is_done = System.objects.visible_to(by)[:2].count() >= 2
    return [overview.Step(1, _("Register two systems"), _("The one that has the records, and the one that shall have them too."), act, is_done)]
