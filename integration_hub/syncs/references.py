"""References between records: in which pair the links are that a mapping's references ask for, whichever side of it the source is.

A reference names an entity of the source's system, so it means the same in another hub. The pair is the one between that entity and something of the
target's system; where there are several, the reference also names the target's entity.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Q

from connectors.base import SettingsError, _
from integration_hub.syncs.models import Link, Pair
from integration_hub.syncs.states import Side
from integration_hub.systems.models import Entity, System


@dataclass(frozen=True)
class Reference:
    """Where a reference's links are: in which pair, and on which side of it the keys that it holds."""

    pair: Pair
    side: str

    @property
    def entity(self) -> Entity:
        return self.pair.side(self.side)

    @property
    def other(self) -> Entity:
        return self.pair.side(Side.B if self.side == Side.A else Side.A)


class References:
    """The references from one system to another, as `mappings.engine.Links`; each pair is looked for once, and only when it is asked for."""

    def __init__(self, source: System, target: System) -> None:
        self.source, self.target = source, target
        self._found: dict[tuple[str, str], Reference] = {}

    def __call__(self, entity: str, target: str, keys: Sequence[str]) -> Mapping[str, str]:
        """Of these keys the linked ones, with the target's key; one query. Raises SettingsError where there is no pair to look in, or more than one."""
        reference = self.reference(entity, target)
        here, there = ("a_key", "b_key") if reference.side == Side.A else ("b_key", "a_key")
        return dict(zip(*Link.objects.columns(here, there, pair=reference.pair.pk, keys=keys, part=""), strict=True))

    def reference(self, entity: str, target: str) -> Reference:
        """Raises SettingsError where there is no such pair, or more than one."""
        place = entity, target
        if place not in self._found:
            self._found[place] = self._find(entity, target)
        return self._found[place]

    def _find(self, entity: str, target: str) -> Reference:
        as_a = Q(a__system=self.source, a__name=entity, b__system=self.target, **({"b__name": target} if target else {}))
        as_b = Q(b__system=self.source, b__name=entity, a__system=self.target, **({"a__name": target} if target else {}))
        pairs = Pair.objects.select_related("a__system", "b__system").order_by("pk")
        found = [Reference(pair, Side.A) for pair in pairs.filter(as_a)] + [Reference(pair, Side.B) for pair in pairs.filter(as_b)]
        if not found:
            raise SettingsError(
                _("A reference points to {entity} of {source}, of which nothing is linked with {target}. Make a sync of it first."),
                entity=entity, source=self.source.name, target=self.target.name,
            )  # fmt: skip
        if len(found) > 1:
            raise SettingsError(
                _("A reference points to {entity} of {source}, which is linked with {names} of {target}. Say in the mapping which one is meant."),
                entity=entity, source=self.source.name, target=self.target.name, names=", ".join(each.other.name for each in found),
            )  # fmt: skip
        return found[0]
