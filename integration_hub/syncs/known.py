"""The links of a page's records, as comparing knows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from integration_hub.syncs import agreed
from integration_hub.syncs.models import Link
from integration_hub.syncs.prints import unpacked
from integration_hub.syncs.work import Work

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class Known:
    """A live link as it is compared with."""

    id: int
    target_key: str
    change_set_id: int | None
    change_row: int | None
    read_back: bytes | None = None  # the print of the target's own values; only a reconcile run asks for it


class Links:
    """The live links of a page's records: which of them have one, and its print; more of it where there is something to do."""

    def __init__(self, work: Work, keys: Sequence[str], rows: np.ndarray) -> None:
        """`rows`: of the page, those that are asked for."""
        import numpy as np

        self._work, self._keys = work, keys
        self._known: dict[str, Known] = {}
        asked = keys if len(rows) == len(keys) else [keys[row] for row in rows]
        width = max(work.slots, default=-1) + 1
        self.linked = np.zeros(len(keys), dtype=bool)
        self.prints = np.zeros((len(keys), width), dtype="<u8")  # a row a record; zeros for one without a link
        if asked:
            places, lengths, stored = Link.objects.stored("sent_print", key=work.source_key, pair=work.run.pair_id, keys=asked)
            prints = unpacked(lengths, stored, width)
            found = rows[places]
            self.prints = np.zeros((len(keys), prints.shape[1]), dtype="<u8")
            self.prints[found], self.linked[found] = prints, True

    def know(self, rows: np.ndarray) -> None:
        """Read the links of these records of the page. One that has ended since it was asked for the first time, beside a dry run, is none."""
        keys = [self._keys[row] for row in rows]
        columns = [self._work.source_key, "id", self._work.target_key, "change_set_id", "change_row"]
        columns += [agreed.column_of(self._work.run)] if self._work.run.reconciles else []
        self._known = {key: Known(*more) for key, more in Link.objects.by_key(*columns, pair=self._work.run.pair_id, keys=keys).items()}
        self.linked[[row for row in rows if self._keys[row] not in self._known]] = False

    def get(self, key: str) -> Known | None:
        return self._known.get(key)

    def __getitem__(self, key: str) -> Known:
        return self._known[key]
