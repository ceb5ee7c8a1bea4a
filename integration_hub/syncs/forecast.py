"""Whether records that were left would pass now: their kept source records, through the mapping as it is published now. Nothing is asked or written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from connectors.base import Page, SettingsError
from integration_hub.core.expressions.errors import ExpressionError
from integration_hub.core.keys import canonical_key
from integration_hub.mappings.definition import DefinitionError
from integration_hub.syncs import mends
from integration_hub.syncs.mapping import map_page
from integration_hub.syncs.models import OpenRow
from integration_hub.syncs.reading import kept_page
from integration_hub.syncs.states import OpenState
from integration_hub.syncs.trace import FieldSteps, rehearsal, steps_of

MOST = 200


@dataclass(frozen=True)
class Forecast:
    """`passing` of `tried` records would be mapped now. `decided_here`: the mapping had rejected them, so that is the whole question."""

    passing: int
    tried: int
    decided_here: bool
    steps: Sequence[FieldSteps]  # of the first of them


def forecast(rows: Sequence[OpenRow]) -> Forecast | None:
    """For open rows of one sync and one cause, at most MOST of them; None where the sync's mapping cannot be used as it is."""
    rows = list(rows[:MOST])
    version = rows[0].sync.mapping.latest if rows else None
    if version is None:
        return None
    try:
        work = rehearsal(rows[0].sync, version)
        page = kept_page(work, rows)
        mapped = map_page(work, page, number=1, asked=len(rows))
    except (DefinitionError, ExpressionError, SettingsError):
        return None
    one = _one(page)
    only_here = rows[0].state in (OpenState.REJECTED, OpenState.PARKED) and rows[0].step != "match"
    return Forecast(
        len(rows) - mapped.counts.rejected - mapped.counts.parked,
        len(rows),
        only_here,
        steps_of(work, mends.mended(work, one, canonical_key(one.frame, work.source.key))),
    )


def _one(page: Page) -> Page:
    return Page(page.frame.head(1), None, [misfit for misfit in page.misfits if misfit.row == 0])
