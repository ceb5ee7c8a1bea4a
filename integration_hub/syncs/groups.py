"""Groups: syncs that are run and paused together, by the name that they share."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from integration_hub.accounts.actor import Actor
from integration_hub.syncs import order, schedule, services
from integration_hub.syncs.models import Run, Sync
from integration_hub.syncs.services import NotPossible, PairBusy


@dataclass(frozen=True)
class Group:
    """Syncs of one group, each behind those that it runs after."""

    name: str
    syncs: list[Sync]

    @property
    def is_paused(self) -> bool:
        return all(sync.paused_at for sync in self.syncs)


def groups(by: Actor) -> list[Group]:
    """Every group that this actor may see, by name."""
    found = defaultdict(list)
    for sync in Sync.objects.visible_to(by).exclude(group="").with_names():
        found[sync.group].append(sync)
    return [Group(name, order.in_order(syncs)) for name, syncs in sorted(found.items())]


def group_named(name: str, by: Actor) -> Group | None:
    return next((group for group in groups(by) if group.name == name), None)


@dataclass(frozen=True)
class Started:
    """What became of a group that was to run: the runs that were started, and why some of its syncs could not."""

    runs: list[Run]
    refused: list[tuple[Sync, NotPossible]]


def run_group(group: Group, *, by: Actor) -> Started:
    """Run what is not paused, in order: the syncs that wait for none start now, the others are due and start behind those that they run after.

    Raises NotPossible where nothing can be run at all.
    """
    by.require("syncs.run")
    syncs = [sync for sync in group.syncs if sync.paused_at is None]
    now = timezone.now()
    for sync in syncs:
        sync.next_due_at = now
    runs, refused = [], list[tuple[Sync, NotPossible]]()
    with transaction.atomic():  # at once: the sweep must not start one before those that it runs after
        first = order.free_of(syncs)
        due = {sync.pk for sync in syncs if sync not in first}
        for sync in first:
            try:
                runs.append(services.start_run(sync, by=by, trigger="hand"))
                Sync.objects.filter(pk=sync.pk).update(next_due_at=schedule.next_due(sync))
            except PairBusy:
                due.add(sync.pk)
            except NotPossible as refusal:
                refused.append((sync, refusal))
        Sync.objects.filter(pk__in=due).update(next_due_at=now)
    if not runs and not due:
        raise refused[0][1] if refused else NotPossible(gettext_noop("Every sync of {group} is paused. Resume it first."), group=group.name)
    return Started(runs, refused)


def pause_group(group: Group, *, by: Actor) -> None:
    """No more runs by schedule of any of them. Runs that are going go on."""
    _each(services.pause_sync, group, by)


def resume_group(group: Group, *, by: Actor) -> None:
    _each(services.resume_sync, group, by)


def _each(act: Any, group: Group, by: Actor) -> None:
    with transaction.atomic():
        for sync in group.syncs:
            act(sync, by=by)
