"""ETags that lookups have met: a record that has changed since is then not overwritten (OData Protocol 4.01, section 11.4.1.1)."""

from __future__ import annotations

from collections import OrderedDict

MOST = 10_000  # more than are looked up before they are written
ANY = "*"  # whatever it is, as long as it is there


class ETags:
    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], str] = OrderedDict()

    def note(self, entity: str, key: str, etag: str) -> None:
        self._known[entity, key] = etag
        self._known.move_to_end((entity, key))
        if len(self._known) > MOST:
            self._known.popitem(last=False)

    def of(self, entity: str, key: str) -> str:
        return self._known.get((entity, key), ANY)

    def forget(self, entity: str, key: str) -> None:
        """It was written by us, and so has another now."""
        self._known.pop((entity, key), None)
