"""Which keys a part of a first load has met, so that only what can be there already is looked up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from integration_hub.syncs import changesets
from integration_hub.syncs.models import Partition

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    from integration_hub.syncs.compare import MappedPage


class Seen:
    """Which source and match keys a part of a run has met: may say yes wrongly, of some keys in a million, and then the target is asked; never no wrongly.
    For a first load alone: what the target holds is what this run has planned, so a turn that takes the run up again learns it from the change sets.

    A Bloom filter of at most 16 MiB, with three bits for a key in each of two words of 64: the bits of a word cost one access to memory. Source: F. Putze,
    P. Sanders, J. Singler, "Cache-, Hash- and Space-Efficient Bloom Filters", WEA 2007.
    """

    BITS_A_RECORD = 128

    def __init__(self, expected: int | None = None) -> None:
        """`expected`: about how many records it will meet."""
        import numpy as np

        most, needed = 27, ((expected or 0) * self.BITS_A_RECORD).bit_length()
        self._words = np.zeros(1 << (min(most, max(needed, 20)) if expected is not None else most) >> 6, dtype=np.uint64)

    @classmethod
    def of(cls, partition: Partition) -> Seen:
        """The keys of all that this partition has planned so far; no other part of a first load has any of them (see `dividing`)."""
        run = partition.run
        seen = cls(run.expected_count // run.parts if run.expected_count is not None else None)
        for change_set in partition.change_sets.order_by("pk").iterator(chunk_size=20):
            changes = changesets.frame_of(change_set, columns=["source_key", "match"])
            seen.add({"": changes["source_key"]})
            seen.add(changesets.match_of(changes))
        return seen

    def meets(self, page: MappedPage) -> Met:
        """Which of the page's records it may have met before; it has met all of them from now on."""
        import numpy as np
        import polars as pl

        keys = self.add({"": pl.Series(page.keys, dtype=pl.String)})
        return Met(keys, self.add(page.match) if page.match else np.zeros(len(page.keys), dtype=bool))

    def add(self, match: Mapping[str, pl.Series]) -> np.ndarray:
        """Which records have a match key that was seen before; all of these match keys are seen from now on."""
        import numpy as np
        import polars as pl
        import polars_hash as plh

        met = np.zeros(max((len(values) for values in match.values()), default=0), dtype=bool)
        for fields, values in match.items():
            has_one = values.is_not_null().to_numpy()
            texts = pl.DataFrame({"match": fields + values.drop_nulls() if fields else values.drop_nulls()})
            met[has_one] |= self._add(texts.select(plh.col("match").nchash.xxhash64()).to_series().to_numpy())
        return met

    def _add(self, hashes: np.ndarray) -> np.ndarray:
        import numpy as np

        before = np.ones(len(hashes), dtype=bool)
        mixed = hashes * np.uint64(0x9E3779B97F4A7C15)
        for by, bits in ((hashes, mixed), (mixed >> np.uint64(7), hashes)):
            place = (by & np.uint64(len(self._words) - 1)).astype(np.int64)
            mask = np.bitwise_or.reduce([np.uint64(1) << ((bits >> np.uint64(first)) & np.uint64(63)) for first in (40, 46, 52)])
            before &= (self._words[place] & mask) == mask
            np.bitwise_or.at(self._words, place, mask)
        return before


@dataclass(frozen=True, slots=True)
class Met:
    """In a first load, which records of a page share their key, or a match key, with one that was met before: a Boolean a record."""

    key: np.ndarray
    match: np.ndarray

    @property
    def any(self) -> bool:
        return bool(self.key.any() or self.match.any())
