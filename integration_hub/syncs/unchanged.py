"""What a full run agreed on, page by page, so that the next one need not ask for the links of what is still the same.

Beside each page of a full run lies a file with two hashes a record, of its key and of its print. The same page of the sync's next full run is held
against this file and its two neighbours; only what is not found there is looked for among the links, each by an index. This is a copy of what the links
say, and used only as long as it must be true: nothing but that one run may have written links of the pair since it began, and of what that run itself
changed, other than by making it, nothing is taken from its files.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Sequence
from typing import TYPE_CHECKING

from django.db.models import Exists, F, OuterRef, Q

from integration_hub.core import storage
from integration_hub.syncs import changesets, roster
from integration_hub.syncs.models import ChangeSet, Link, PageRow, Run
from integration_hub.syncs.states import ChangeSetState, Mode, Trigger

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    from integration_hub.syncs.work import Work

log = logging.getLogger(__name__)

MOST_CHANGED = 100_000  # records of a part that the earlier run changed: their keys are in memory


def agrees(run: Run) -> bool:
    """Whether a run reads all that its sync is about and may write it, and so can say for the next one what is agreed."""
    return (
        run.mode == Mode.FULL
        and not run.dry
        and not run.keys_only
        and run.keys is None
        and run.applies_id is None
        and run.undoes is None
        and run.trigger != Trigger.DECISION
    )


def begun(run: Run) -> dict[str, object]:
    """For the settings of a run that begins: the run whose agreement it may use, and whether it will leave one itself."""
    if not agrees(run):
        return {}
    if ChangeSet.objects.filter(run__pair=run.pair_id, run__ended_at__isnull=False, state=ChangeSetState.SENDING).exists():
        return {}  # links will be written of what earlier runs had on its way
    last = Run.objects.filter(pair=run.pair_id, dry=False, started_at__isnull=False).exclude(pk=run.pk).order_by("-started_at", "-pk").first()
    return {"agreed": last.pk if last is not None and _is_usable(last, run) else None}


def _is_usable(last: Run, run: Run) -> bool:
    """Whether what the last run on the pair agreed on still stands, and means the same to this one."""
    of_the_same = (last.sync_id, last.mapping_version_id, last.direction) == (run.sync_id, run.mapping_version_id, run.direction)
    if not of_the_same or not agrees(last) or "agreed" not in last.settings or last.ended_at is None or not last.changes_kept:
        return False
    return Link.objects.live(run.pair_id).exists()  # else somebody has begun anew behind our back


def forget(run: Run) -> None:
    """A run that wrote has ended: what earlier ones agreed on is of no use any more."""
    pages = PageRow.objects.filter(partition__run__pair=run.pair_id).exclude(partition__run=run).exclude(agreed="")
    files = list(pages.values_list("agreed", flat=True))
    pages.update(agreed="")
    storage.remove(files)


def hashes_of(prints: np.ndarray) -> np.ndarray:
    """One hash for each row of field prints."""
    import numpy as np

    mixed = np.full(len(prints), 0x9E3779B97F4A7C15, dtype=np.uint64)
    for column in prints.T:
        mixed = (mixed ^ column) * np.uint64(0xBF58476D1CE4E5B9)
        mixed ^= mixed >> np.uint64(29)
    return mixed


def marks_of(work: Work, keys: Sequence[str], prints: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """A hash of the key and one of the print of each record; None where no run goes by them."""
    import polars as pl

    if "agreed" not in work.run.settings:
        return None
    return roster.hashes_of(pl.Series(keys, dtype=pl.String)).to_numpy(), hashes_of(prints)


def agreement_of(marks: tuple[np.ndarray, np.ndarray], rows: np.ndarray, others: tuple[np.ndarray, np.ndarray] | None) -> pl.DataFrame:
    """The file of a page: of those of its records that are as they were sent last, or will be once they are created; and of `others`."""
    import numpy as np
    import polars as pl

    keys, prints = (each[rows] for each in marks)
    if others is not None:
        keys, prints = np.concatenate([keys, others[0]]), np.concatenate([prints, others[1]])
    order = keys.argsort()
    return pl.DataFrame({"key": keys[order], "print": prints[order]})


class Unchanged:
    """What the run before agreed on in one part, around the page that is compared."""

    def __init__(self, files: dict[int, str], changed: np.ndarray) -> None:
        """`files`: by the number of their page; `changed`: the hashes of keys about which they say nothing."""
        self._files, self._changed, self._numbers = files, changed, sorted(files)
        self._pages: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    @classmethod
    def of(cls, work: Work) -> Unchanged | None:
        """None where there is nothing to go by."""
        import numpy as np
        import polars as pl

        before = Run.objects.filter(pk=work.run.settings.get("agreed"), parts=work.run.parts, changes_kept=True).first()
        if before is None:
            return None
        number = work.partition.number
        pages = PageRow.objects.filter(partition__run=before).exclude(agreed="")
        files = dict(pages.filter(partition__number=number).values_list("number", "agreed"))
        # A page of another part has none of this one's records, unless they were asked for by name or missed.
        of_others = pages.filter(partition=OuterRef("partition"), number=OuterRef("page")).exclude(partition__number=number)
        whole = Q(creates=F("rows"), created=F("rows"))
        changed = list(ChangeSet.objects.filter(~Exists(of_others), run=before).exclude(whole).order_by("pk"))
        if not files or sum(one.rows for one in changed) > MOST_CHANGED:
            return None
        try:
            keys = [roster.hashes_of(changesets.frame_of(one, columns=["source_key"])["source_key"]).to_numpy() for one in changed]
        except (OSError, pl.exceptions.PolarsError):  # without the change sets nobody knows what has changed
            log.warning("what the run before changed cannot be read", extra={"run": work.run.pk})
            return None
        return cls(files, np.unique(np.concatenate(keys)) if keys else np.zeros(0, dtype=np.uint64))

    def holds(self, number: int, marks: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """Which of these records of a page are linked, and still as they were sent last. A file may be that of several pages, up to its number."""
        import numpy as np

        wanted, hashes = marks
        place = bisect_left(self._numbers, number)
        around = {one: self._page(one) for one in self._numbers[max(0, place - 1) : place + 2]}
        self._pages = around
        same = np.zeros(len(wanted), dtype=bool)
        for known, its_prints in around.values():
            if len(known):
                places = np.searchsorted(known, wanted)
                same |= (known.take(places, mode="clip") == wanted) & (its_prints.take(places, mode="clip") == hashes)
        same[_among(wanted, self._changed)] = False
        return same

    def _page(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        if number not in self._pages:
            import numpy as np
            import polars as pl

            try:
                frame = roster.frame_of(self._files[number], ["key", "print"])
                self._pages[number] = (frame["key"].to_numpy(), frame["print"].to_numpy())
            except (OSError, pl.exceptions.PolarsError):  # it is only a copy: the links are asked instead
                log.warning("the prints of a page cannot be read", extra={"file": self._files[number]})
                self._pages[number] = (np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.uint64))
        return self._pages[number]


def _among(hashes: np.ndarray, sorted_: np.ndarray) -> np.ndarray:
    import numpy as np

    found = np.zeros(len(hashes), dtype=bool)
    if len(sorted_):
        found[:] = sorted_.take(np.searchsorted(sorted_, hashes), mode="clip") == hashes
    return found
