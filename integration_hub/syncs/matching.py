"""Asking a system what it has, and finding the target's record of a source record by its match keys.

What is not found is created, called gone or closed, so a first no is not believed: a system that answers with nothing, although it has the record, would
get a twin of it. Such answers come from systems that restart, build their search index anew or hide an error of their own behind an empty list.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from connectors.base import KEY, BadAnswer, Connector, Entity, _
from integration_hub.core.keys import canonical_key
from integration_hub.syncs.models import Link
from integration_hub.syncs.prints import field_hashes
from integration_hub.syncs.work import Work

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    from integration_hub.mappings.match import MatchKeys


class HoldsNothing(BadAnswer):
    """A system says that it holds nothing at all, although some of its records are linked: it may be so, and a single answer does not tell."""


LOOKUP_AT_ONCE = 500
WITNESSES = 2  # records that the system lists, and so must find


def look_up(work: Work, system: Connector, entity: Entity, by: str, values: Iterable[str], fields: Iterable[str]) -> pl.DataFrame:
    """The records whose field `by`, or key, is one of these canonical texts, with these fields, the key and `by`.

    What is not found is asked for once more, beside records that the system lists. Raises BadAnswer where it finds none of those either, or lists one of
    what it does not find.
    """
    wanted = set(values)
    by_fields = list(entity.key) if by == KEY else [by]
    names = [f.name for f in entity.fields if f.name in {*fields, *entity.key, *by_fields}]
    found = asked(system, entity, by, sorted(wanted), names)
    missing = wanted - set(canonical_key(found, by_fields))
    if not missing:
        return found
    listed = _listed(work, system, entity, by_fields)
    others = [value for value in listed if value not in wanted]
    witnesses = {value: listed[value] for value in [*others[: WITNESSES - 1], *others[-1:]]}
    again = asked(system, entity, by, [*sorted(missing), *witnesses], names)
    keys = canonical_key(again, entity.key)
    listed = listed or _listed(work, system, entity, by_fields)  # that there is nothing at all is believed no sooner than that there is not this
    seen = set(keys)
    if entity.capabilities.own_cursor:  # its list is a log, in which a later entry may take an earlier one back
        listed = {}
    denied = {value: key for value, key in listed.items() if value in missing and key not in seen}
    if witnesses and not keys.is_in(list(witnesses.values())).any():
        denied |= witnesses
    if denied:
        value, key = next(iter(denied.items()))
        raise BadAnswer(
            _("{system} lists {entity} {key} but does not find it by {field} = {value}, so what it does not find cannot be taken for missing."),
            system=system.host.system,
            entity=entity.label or entity.name,
            key=key,
            field=", ".join(by_fields),
            value=value,
        )
    known = [*canonical_key(found, entity.key), *witnesses.values()]
    return found.vstack(again.filter(~keys.is_in(known)))


def asked(system: Connector, entity: Entity, by: str, values: Sequence[str], names: Sequence[str]) -> pl.DataFrame:
    import polars as pl

    found = [system.lookup(entity, by, values[start : start + LOOKUP_AT_ONCE], names) for start in range(0, len(values), LOOKUP_AT_ONCE)]
    if not found:
        return pl.DataFrame(schema=entity.frame_schema(names))
    return pl.concat(found).unique(list(entity.key), maintain_order=True)  # told twice is there once


def _listed(work: Work, system: Connector, entity: Entity, by: Sequence[str]) -> dict[str, str]:
    """Value of `by` → key of the records on the first page of the entity. Raises BadAnswer where there are none although there are links, or although
    it counts some."""
    page = first_page(system, entity, [*by, *entity.key])
    if not page.height:
        names = {"system": system.host.system, "entity": entity.label or entity.name}
        if Link.objects.live(work.run.pair_id).exists():
            raise HoldsNothing(_("{system} says that it has no {entity} at all, although some are linked here."), **names)
        if entity.capabilities.count and (count := system.count(entity)):
            raise BadAnswer(_("{system} lists no {entity} at all, although it counts {count}."), count=count, **names)
    return {value: key for value, key in zip(canonical_key(page, by), canonical_key(page, entity.key), strict=True) if value and key}


def first_page(system: Connector, entity: Entity, fields: Iterable[str]) -> pl.DataFrame:
    """What the system lists first."""
    with closing(system.read(entity, fields=list(set(fields)))) as pages:  # type: ignore[type-var]  # a generator, whatever the protocol calls it
        return next(pages).frame


@dataclass(frozen=True, slots=True)
class Match:
    """A record of the target that has a match key of a source record: its key, its place in a frame of the target's records, the prints of the
    mapping's fields, and by which alternative and value it was found."""

    key: str
    frame: pl.DataFrame
    place: int
    hashes: np.ndarray
    fields: str
    value: str


def find_matches(work: Work, target: Connector, frame: pl.DataFrame, keys: MatchKeys, rows: Iterable[int]) -> dict[int, list[Match]]:
    """Row → the target's records with its match key: by the first alternative that finds any. A row that the target cannot be asked for is not in it.

    `frame` holds the target's values of the rows, `keys` their match keys. Asked for in bulk, once for each alternative.
    """
    result: dict[int, list[Match]] = {}
    left = list(rows)
    for names, values in keys.items():
        fields = json.loads(names)
        by = lookup_field(work.target, fields)
        group = [row for row in left if values[row] is not None] if by is not None else []
        if by is None or not group:
            continue
        asked = canonical_key(frame, fields if by == KEY else [by])
        found = look_up(work, target, work.target, by, (asked[row] for row in group), {*work.fields, *fields})
        at: dict[str, list[Match]] = {}
        hashes = field_hashes(found, work.fields)
        for place, (value, key) in enumerate(zip(canonical_key(found, fields), canonical_key(found, work.target.key), strict=True)):
            at.setdefault(value, []).append(Match(key, found, place, hashes[place], names, value))
        result.update({row: at.get(values[row] or "", []) for row in group})
        left = [row for row in left if not result.get(row)]
    return result


def lookup_field(target: Entity, fields: list[str]) -> str | None:
    """By what the target can be asked for records with these match fields: its key, or one of the fields; None where it can't be asked."""
    if tuple(fields) == tuple(target.key) and target.capabilities.lookup_by_key:
        return KEY
    return next((name for name in fields if name in target.capabilities.lookup_by), None)
