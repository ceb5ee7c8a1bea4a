"""Following an entity set by delta links (OData Protocol 4.01, section 11.3): a whole reading ends with a link, behind which the service tells what has
changed and what was deleted since, and then gives the next link.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from connectors.base import KEY, BadAnswer, Cursor, Entity, Misfit, Page, PositionExpired, SettingsError, _
from connectors.canonical import canonical_key
from connectors.odata.entitysets import EntitySet
from connectors.odata.looking_up import LookingUp
from connectors.odata.reading import Reading
from connectors.odata.settings import Lists
from connectors.rest.answers import Answer
from connectors.rest.client import Call, Client
from connectors.rest.pages import without
from connectors.rest.pagination import Step
from connectors.rest.parsing import Unfit
from connectors.rest.records import Decoder
from connectors.versions import Versions

SIGNS = (b"@removed", b"@odata.removed", b"$deletedEntity", b"/$link", b"/$deletedLink")  # without one of them, all entries are records


class Following(Reading):
    """One pass over everything, or over what changed since a link. All properties are asked for: a link goes on telling those it was made for."""

    def __init__(
        self,
        client: Client,
        place: EntitySet,
        lists: Lists,
        entity: Entity,
        *,
        since: Cursor | None,
        fields: Sequence[str] | None,
        keys_only: bool,
    ) -> None:
        super().__init__(client, place, lists, entity, since=None, until=None, fields=fields, keys_only=keys_only)
        self._link = since.value if since is not None else ""
        self._read = list(dict.fromkeys([*self._wanted, *entity.key]))
        self._decoder = Decoder(list(place.forms(entity, self._read).values()))

    def _headers(self) -> dict[str, str]:
        headers = super()._headers()
        return {**headers, "Prefer": f"odata.track-changes,{headers['Prefer']}"}

    def _call(self, step: Step | None) -> Call:
        link = step["url"] if step is not None else self._link
        if link and "://" not in link:
            raise PositionExpired(_("The cursor of {entity} in {system} is no delta link. Everything is read."), **self._names())
        return self._led_to(link) if link else self._client.call("GET", self._place.path, headers=self._headers())

    def _goes_on(self, step: Step | None) -> bool:
        return step is not None or bool(self._link)

    async def _taken(self, answer: Answer, call: Call, step: Step | None) -> tuple[Page, Step | None]:
        deleted: list[str] = []
        if any(sign in answer.body for sign in SIGNS):
            rows, deleted = self._sorted(answer)
            records = self._decoder.of(rows, answer)
        else:
            records = self._place.records(self._client, self._decoder, answer)
        page = Page(records.frame, None, records.misfits, records.absent, deleted)
        if self._link and page.absent is not None:
            page = await self._completed(page)
        if link := self._place.following(answer):
            return page, {"url": str(self._client.follow(link, call.url, {}).url)}
        page.cursor = str(self._client.follow(self._next_link(answer), call.url, {}).url)
        return page, None

    def _sorted(self, answer: Answer) -> tuple[list[Any], list[str]]:
        """(the records, the keys of those that are gone); links between records are told too, and are none of our business."""
        entries = answer.value("value")
        if not isinstance(entries, list):
            self._place.records(self._client, self._decoder, answer)  # which says what is wrong with it
        rows, deleted = [], []
        for entry in entries:
            kind = str(entry.get("@odata.context") or entry.get("@context") or "") if isinstance(entry, dict) else ""
            if isinstance(entry, dict) and ("@removed" in entry or "@odata.removed" in entry or kind.endswith("/$deletedEntity")):
                deleted.append(self._key_of(entry, answer))
            elif not kind.endswith(("/$link", "/$deletedLink")):
                rows.append(entry)
        return rows, deleted

    def _key_of(self, entry: Mapping[str, Any], answer: Answer) -> str:
        """Of a deleted entity: told by its key's properties, or by its address (OData JSON Format 4.01, section 15.3). In version 4.0 the address alone
        is told, as `id`, whatever the key is called; Dataverse tells the bare key there."""
        address = entry.get("@id") or entry.get("@odata.id") or entry.get("id")
        found = self._place.key_in(address, self._entity) if isinstance(address, str) else None
        is_removed = "@removed" in entry or "@odata.removed" in entry
        key = (self._told_key(entry) or found) if is_removed else (found or self._told_key(entry))
        if key is None and isinstance(address, str) and len(self._entity.key) == 1 and not set("/()") & set(address):
            key = self._told_key({self._entity.key[0]: address})
        if key is None:
            raise BadAnswer(_("{system} told in {place} of a record that is gone, but not which."), system=self._place.system, place=answer.place)
        return key

    def _told_key(self, entry: Mapping[str, Any]) -> str | None:
        forms = self._place.forms(self._entity, self._entity.key)
        if any(entry.get(name) is None for name in forms):
            return None
        try:
            return canonical_key([form.parse(entry[name]) for name, form in forms.items()])
        except Unfit:
            return None

    async def _completed(self, page: Page) -> Page:
        """A service may tell only what changed of a record, and its key: such records are read whole."""
        assert page.absent is not None  # noqa: S101
        keyed = page.frame.select(pl.all_horizontal(pl.col(self._entity.key).is_not_null())).to_series()
        partly = page.absent.select(pl.any_horizontal(pl.all())).to_series() & keyed
        if not partly.any():
            return page
        kept = without(page, partly, self._entity.key)
        looking = LookingUp(self._client, self._place, self._lists, self._entity, KEY, self._read, Versions())
        for records, _answer in await looking.records(kept.deleted):
            kept.misfits += [Misfit(m.row + kept.frame.height, m.field, m.text, m.reason) for m in records.misfits]
            kept.frame = kept.frame.vstack(records.frame.select(kept.frame.columns))
        return Page(kept.frame, None, kept.misfits, None, page.deleted)

    def _next_link(self, answer: Answer) -> str:
        for path in (("@odata.deltaLink",), ("@deltaLink",)):
            if isinstance(link := answer.value(path), str) and link:
                return link
        raise SettingsError(
            _("{system} gave no delta link for {entity}, so it does not keep track of its changes. Switch that off under Entities."), **self._names()
        )
