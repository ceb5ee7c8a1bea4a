"""The order of syncs: when several are due, each waits for those that it runs after, also for those that these run after.

It waits for one run of each: once that has ended which began after the sync was due, it goes on, however soon the other is due again. What is paused, or
rests with its system, holds up nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from integration_hub.syncs.models import WHOLE, Run, Sync
from integration_hub.syncs.states import RunState

Order = Mapping[int, set[int]]  # sync → those that it runs after


def order_now() -> Order:
    found: dict[int, set[int]] = {}
    for sync, other in Sync.after.through.objects.values_list("from_sync", "to_sync"):
        found.setdefault(sync, set()).add(other)
    return found


def all_before(sync: int, order: Order) -> set[int]:
    """Every sync that runs before this one, directly or not."""
    found: set[int] = set()
    left = list(order.get(sync, ()))
    while left:
        one = left.pop()
        if one not in found:
            found.add(one)
            left += order.get(one, ())
    return found


def check(sync: Sync, after: Iterable[Sync]) -> None:
    """Refuse a circle. Raises ValidationError. Nobody else may change the order meanwhile: the caller holds all syncs."""
    order = order_now()
    for other in after:
        if other == sync:
            raise ValidationError({"after": _("A sync cannot run after itself.")})
        if sync.pk in all_before(other.pk, order):
            raise ValidationError(
                {"after": _("{name} cannot run after {other}, which runs after {name} itself.").format(name=sync.name, other=other.name)}
            )


def free_of(due: Sequence[Sync]) -> list[Sync]:
    """Of the syncs that are due those that wait for no other."""
    order = order_now()
    if not order:
        return list(due)
    busy = _busy((sync.pk, sync.pair_id) for sync in due)
    return [sync for sync in due if not any(_holds_up(other, sync) for other in all_before(sync.pk, order) & busy)]


def held_up_by(sync: Sync) -> list[str]:
    """The names of those that a sync which is due waits for."""
    before = all_before(sync.pk, order_now())
    if not before:
        return []
    busy = _busy(Sync.objects.due().awake().values_list("pk", "pair_id"))
    others = Sync.objects.filter(pk__in=before & busy).order_by("name").values_list("pk", "name")
    return [name for other, name in others if _holds_up(other, sync)]


def _busy(due: Iterable[tuple[int, int]]) -> set[int]:
    """The syncs that are going, and of those that are due (sync, pair) those that can start."""
    live = Run.objects.live().filter(dry=False).values_list("sync_id", "pair_id", "state")
    held = {pair for __, pair, state in live if state == RunState.PAUSED}
    return {sync for sync, pair in due if pair not in held} | {sync for sync, __, state in live if sync and state != RunState.PAUSED}


def _holds_up(other: int, sync: Sync) -> bool:
    """Whether the other has not been through since the sync was due."""
    ended = Run.objects.filter(WHOLE, sync=other, dry=False, ended_at__isnull=False).order_by("-pk").first()
    return ended is None or sync.next_due_at is None or ended.made_at < sync.next_due_at


def in_order(syncs: Iterable[Sync]) -> list[Sync]:
    """These syncs, each behind those that it runs after."""
    order = order_now()
    return sorted(syncs, key=lambda sync: (len(all_before(sync.pk, order)), sync.name))
