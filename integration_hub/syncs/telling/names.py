"""What syncs, runs and their parts are called."""

from __future__ import annotations

from typing import Any

from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext as _

from integration_hub.core.parts import Link
from integration_hub.core.templatetags.hub import interval
from integration_hub.mappings.models import MappingVersion
from integration_hub.syncs import schedule
from integration_hub.syncs.models import Run, Sync
from integration_hub.syncs.states import Mode, Trigger
from integration_hub.systems.models import Entity

Words = tuple[str, list[str | Link], bool]  # of a verdict: its sentence, what comes next, and whether that is asked of somebody


def href(name: str, *args: Any) -> str:
    """The address of a page of another app; "" where it has none."""
    try:
        return reverse(name, args=args)
    except NoReverseMatch:
        return ""


def entity_name(entity: Entity) -> str:
    return _("{entity} of {system}").format(entity=entity.label or entity.name, system=entity.system.name)


def from_to(thing: Sync | Run) -> str:
    return f"{entity_name(thing.source)} → {entity_name(thing.target)}"


def schedule_words(sync: Sync, prefix: str = "") -> str:
    every, crontab, zone = (getattr(sync, name) for name in schedule.fields(prefix))
    if every:
        return interval(every)
    if crontab:
        return _("by crontab {crontab} ({zone})").format(crontab=crontab, zone=zone)
    return _("by hand only")


def mode_words(mode: str) -> str:
    if mode == Mode.RECONCILE:
        return _("both systems, field by field")
    return _("changes only") if mode == Mode.INCREMENTAL else _("everything each time")


def version_words(version: MappingVersion) -> str:
    return _("{mapping} v{number}").format(mapping=version.mapping.name, number=version.number)


def started_by(run: Run) -> str:
    if run.trigger == Trigger.SCHEDULE:
        return _("by schedule")
    if run.trigger == Trigger.REPLAY:
        return _("replay by {name}").format(name=run.actor_name)
    return _("by {name}").format(name=run.actor_name)
