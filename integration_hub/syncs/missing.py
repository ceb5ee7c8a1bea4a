"""What a source no longer has, and whether that can be believed: nothing is deleted because of an answer that came back short."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from connectors.base import KEY
from integration_hub.core.keys import canonical_key
from integration_hub.syncs.mapping import passes, taken_beside
from integration_hub.syncs.matching import asked, look_up
from integration_hub.syncs.roster import LEFT, UNREADABLE, frame_of, read_nothing

if TYPE_CHECKING:
    from connectors.base import Connector
    from integration_hub.syncs.work import Work


def is_complete(work: Work, files: Iterable[str]) -> bool:
    """Whether what is in none of these rosters is missing: each such key is looked up once more; where the source cannot be asked for it, its order was
    stable and every key could be read."""
    can = work.source.capabilities
    return can.lookup_by_key or (can.stable_order and not any((frame_of(file, ["why"])["why"] == UNREADABLE).any() for file in files))


def second_look(work: Work, source: Connector, why: dict[str, str]) -> set[str]:
    """Which of these keys are there after all. One that left the filter must still be outside of it, and of those of the pair's other syncs; where the
    whole source came back empty, and so finds no record that it lists, its bare answer is taken: what follows from it is withheld."""
    if not work.source.capabilities.lookup_by_key or not why:
        return set()
    fields = sorted({*work.source.key, *work.filter_fields})
    if read_nothing(work.run):
        found = asked(source, work.source, KEY, sorted(why), work.source_fields)
    else:
        found = look_up(work, source, work.source, KEY, why, fields)
    keys, chosen = canonical_key(found, work.source.key).to_list(), (passes(work, found) | taken_beside(work, found)).to_list()
    return {key for key, is_chosen in zip(keys, chosen, strict=True) if is_chosen or why[key] != LEFT}
