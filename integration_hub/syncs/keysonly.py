"""A run over the keys alone: how an incremental sync sees what its source does not tell, the records that are gone.

Each page becomes a roster and nothing else: no record is mapped, compared or taken up by name, and no cursor is moved. The closing stage then does what
it does behind a full reading. In the books the records whose keys were met count as produced and left unchanged.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from django.utils import timezone

from integration_hub.core import bulk
from integration_hub.core.keys import canonical_key
from integration_hub.core.leases import Lease
from integration_hub.syncs import guards, refused, roster
from integration_hub.syncs.compare import Compared, MappedPage
from integration_hub.syncs.models import ChangeSet, OpenRow
from integration_hub.syncs.reading import joined
from integration_hub.syncs.work import Counts, Work, require_space

if TYPE_CHECKING:
    import polars as pl

    from connectors.base import Page

    Plan = Callable[..., ChangeSet | None]


def rostered(work: Work, lease: Lease, plan: Plan) -> None:
    """Put the source's keys down, page by page, until all are read or the turn is over."""
    with work.open("source") as source:
        pages = source.read(work.source, position=work.partition.position, keys_only=True)
        for number, page in enumerate(joined(pages), start=work.partition.page_number + 1):
            require_space()
            began, keys = timezone.now(), canonical_key(page.frame, work.source.key)
            if not work.run.dry:
                refused.end(work, [key for key in keys if key], None)
            plan(work, lease, Compared(_page(work, number, page, keys), None, passed=_back_again(work, keys)), began=began)
            if work.turn_is_over():
                return


def _page(work: Work, number: int, page: Page, keys: pl.Series) -> MappedPage:
    import numpy as np
    import polars as pl

    counts, nothing = Counts(read=len(keys), produced=len(keys), unchanged=len(keys)), pl.DataFrame()
    seen = roster.of_page(work, keys, [], page.deleted, wanted=False)
    return MappedPage(number, page.position, page.position is None, nothing, nothing, np.zeros((0, 0)), [], {}, counts, [], roster=seen)


def _back_again(work: Work, keys: pl.Series) -> list[str]:
    """Of these the ones whose delete is withheld: nothing has to be decided about what is there."""
    if work.run.dry or not guards.withheld_of(work.sync, "delete").exists():
        return []
    still = "closed_at IS NULL AND state = 'withheld' AND step = 'delete'"
    wanted = [key for key in keys if key]
    found = bulk.fetch(OpenRow, ["key"], key="key", values=wanted, where=still, sync=work.sync.pk, side=work.run.source_side)
    return [key for (key,) in found]
