"""Several syncs of two systems in one pass: which entities belong together, by which mapping, and in which order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from integration_hub.accounts.actor import Actor
from integration_hub.core import texts
from integration_hub.mappings import services as mappings
from integration_hub.mappings.definition import DefinitionError
from integration_hub.mappings.models import Mapping
from integration_hub.mappings.suggest import follow_references, suggest_definition, suggest_entities, suggest_references
from integration_hub.syncs import services
from integration_hub.syncs.models import Pair, Sync
from integration_hub.syncs.states import Mode
from integration_hub.systems.models import Entity, System


@dataclass(frozen=True)
class Offer:
    """An entity of the source, the one of the target that it seems to belong to, and what is between the two already."""

    source: Entity
    target: Entity | None
    field_count: int  # suggested for a mapping between them
    references: list[str]  # other entities of the source that it refers to
    sync: Sync | None


def offers(source: System, target: System, *, by: Actor) -> list[Offer]:
    """What might be kept the same between two systems, for a person to choose from."""
    by.require("syncs.change")
    sources, targets = _selected(source), _selected(target)
    found = suggest_entities([each.as_schema() for each in sources], [each.as_schema() for each in targets])
    by_name = {each.name: each for each in targets}
    there = list(Sync.objects.filter(pair__in=Pair.objects.between(source, target)).select_related("pair__a", "pair__b"))
    offered = []
    for entity in sources:
        other = by_name.get(found.get(entity.name, ""))
        other = other if other != entity else None  # of one system to itself
        known = next((sync for sync in there if sync.source == entity and (other is None or sync.target == other)), None)
        count = len(suggest_definition(entity.as_schema(), other.as_schema())["fields"]) if other else 0
        refers_to = suggest_references(entity.as_schema(), [each.as_schema() for each in sources])
        offered.append(Offer(entity, other, count, sorted({*refers_to.values()} - {entity.name}), known))
    return offered


def _selected(system: System) -> list[Entity]:
    return list(Entity.objects.selected().filter(system=system).select_related("system").order_by("name"))


def create_together(
    chosen: Sequence[tuple[Entity, Entity]], *, by: Actor, group: str, interval_seconds: int | None = None, publish: bool = False
) -> list[Sync]:
    """A sync for each (source, target), all of one group, each behind those whose records its own refer to; all or none.

    A mapping between the two is taken where there is one; else it is suggested, its references followed, and published where that is wanted.
    Raises ValidationError.
    """
    by.require("syncs.change")
    if not chosen:
        raise ValidationError(_("Choose which entities belong together."))
    if not group.strip():
        raise ValidationError(_("Give the group a name."))
    made: dict[str, Sync] = {}
    with transaction.atomic():
        for (source, target), references in _in_order(chosen):
            mapping = _mapping(source, target, references, by=by, publish=publish)
            schema = source.as_schema()
            mode = Mode.INCREMENTAL if schema.cursor_field and schema.capabilities.incremental else Mode.FULL
            after = [made[name] for name in dict.fromkeys(references.values()) if name in made]
            made[source.name] = services.create_sync(
                by=by, source=source, target=target, name=_free_name(Sync, f"{source} → {target}"), mapping=mapping, mode=mode, group=group.strip(),
                interval_seconds=interval_seconds, after=after,
            )  # fmt: skip
    return list(made.values())


def _in_order(chosen: Sequence[tuple[Entity, Entity]]) -> Iterable[tuple[tuple[Entity, Entity], dict[str, str]]]:
    """With their references, each behind what it refers to; where two refer to each other, one of them has to come first."""
    source, target = chosen[0][0].system, chosen[0][1].system
    linked = {side.pk: side for pair in Pair.objects.between(source, target) for side in (pair.a, pair.b) if side.system_id == source.pk}
    schemas = [each.as_schema() for each in {**linked, **{each.pk: each for each, __ in chosen}}.values()]
    left = [(pair, suggest_references(pair[0].as_schema(), schemas)) for pair in chosen]
    while left:
        waiting = {pair[0].name for pair, __ in left}
        first = next((one for one in left if not (set(one[1].values()) - {one[0][0].name}) & waiting), left[0])
        left.remove(first)
        yield first


def _mapping(source: Entity, target: Entity, references: dict[str, str], *, by: Actor, publish: bool) -> Mapping:
    known: Mapping | None = Mapping.objects.filter(source=source, target=target).order_by("pk").first()
    if known is not None:
        return known
    definition = follow_references(suggest_definition(source.as_schema(), target.as_schema()), references)
    mapping = mappings.create_mapping(name=_free_name(Mapping, f"{source} → {target}"), source=source, target=target, definition=definition, by=by)
    if publish:
        try:
            mappings.publish_mapping(mapping, by=by)
        except DefinitionError as error:
            raise ValidationError(
                _("The suggested mapping {name} cannot be published yet: {problem}").format(name=mapping.name, problem=texts.render(error.text))
            ) from None
    return mapping


def _free_name(model: type[Sync] | type[Mapping], wanted: str) -> str:
    """The name, or with a number behind it where there is one already."""
    taken = set(model.objects.filter(name__startswith=wanted).values_list("name", flat=True))
    return next(name for name in (wanted, *(f"{wanted} {n}" for n in range(2, len(taken) + 3))) if name not in taken)
