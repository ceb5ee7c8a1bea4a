"""Finding records by their keys, or by the values of one property: many by one $filter, or each under its address where nothing can be filtered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence

import polars as pl

from connectors.base import KEY, BadAnswer, Entity, _
from connectors.canonical import canonical_key, key_parts
from connectors.odata.entitysets import EntitySet
from connectors.odata.settings import Lists
from connectors.rest.answers import Answer
from connectors.rest.client import Call, Client, together
from connectors.rest.looking_up import check_fit, check_found
from connectors.rest.records import Decoder, Records
from connectors.versions import Versions

LONGEST_FILTER = 1100  # characters, percent-encoded: some servers take no more than 2048 of a whole query
MOST_PAGES = 1000  # of one lookup's answer
MISSING = (404, 410)


class LookingUp:
    """One lookup; what it finds tells the records' versions: their ETags (OData Protocol 4.01, section 11.4.1.1)."""

    def __init__(
        self, client: Client, place: EntitySet, lists: Lists, entity: Entity, by: str, fields: Sequence[str] | None, versions: Versions
    ) -> None:
        self._client, self._place, self._lists, self._entity, self._versions = client, place, lists, entity, versions
        self._by = entity.key if by == KEY else (by,)
        self._wanted = [f.name for f in entity.fields if fields is None or f.name in set(fields)]
        self._read = list(dict.fromkeys([*self._wanted, *self._by, *place.own_key]))
        self._columns = [place.column(entity, name) for name in self._by]
        self._decoder = Decoder(list(place.forms(entity, self._read).values()))
        self._is_filtered = set(self._by) <= set(place.can.lookup_by)

    async def all(self, values: Sequence[str]) -> pl.DataFrame:
        """The records found, of which each can be read whole. Raises Unreadable otherwise."""
        found = await self.records(values)
        for records, answer in found:
            check_fit(records, answer)
        empty = pl.DataFrame(schema=self._entity.frame_schema(self._wanted))
        return pl.concat([empty, *(records.frame.select(self._wanted) for records, _answer in found)])

    async def records(self, values: Sequence[str]) -> list[tuple[Records, Answer]]:
        """The records found, with what of them does not fit; by their keys and the wanted fields."""
        asked = iter(list(self._portions(values) if self._is_filtered else self._addresses(values)))
        found: list[tuple[Records, Answer]] = []

        async def lane() -> None:
            for texts, path in asked:
                found.extend([each async for each in self._found(texts, path)])

        await together(lane() for _number in range(min(self._client.settings.connection.in_flight, max(len(values), 1))))
        return found

    def _portions(self, values: Sequence[str]) -> Iterator[tuple[list[str], str]]:
        """As many values in one filter as the settings and the length of an address allow. A text that is no value of its property is no record's."""
        texts: list[str] = []
        literals: list[list[str]] = []
        for text in dict.fromkeys(values):
            try:
                parts = [column.literal(part) for column, part in zip(self._columns, key_parts(text, len(self._columns)), strict=True)]
            except ValueError:
                continue
            if texts and (len(texts) == self._lists.values_per_request or len(self._place.query(self._filter([*literals, parts]))) > LONGEST_FILTER):
                yield texts, self._filtered(literals)
                texts, literals = [], []
            texts.append(text)
            literals.append(parts)
        if texts:
            yield texts, self._filtered(literals)

    def _filter(self, literals: Sequence[Sequence[str]]) -> dict[str, str]:
        if len(self._columns) == 1 and len(literals) > 1 and self._place.version == "4.01":  # the operator is new there
            return {"$filter": f"{self._columns[0].path} in ({','.join(one for (one,) in literals)})"}
        pairs = [" and ".join(f"{c.path} eq {one}" for c, one in zip(self._columns, parts, strict=True)) for parts in literals]
        return {"$filter": " or ".join(f"({pair})" if len(self._columns) > 1 else pair for pair in pairs)}

    def _filtered(self, literals: Sequence[Sequence[str]]) -> str:
        return self._place.query({"$select": self._place.select(self._read), **self._filter(literals)})

    def _addresses(self, values: Sequence[str]) -> Iterator[tuple[list[str], str]]:
        for text in dict.fromkeys(values):
            try:
                address = self._place.address(self._entity, text)
            except ValueError:
                continue
            yield [text], self._place.query({"$select": self._place.select(self._read)}, address)

    async def _found(self, texts: Sequence[str], path: str) -> AsyncIterator[tuple[Records, Answer]]:
        """What the answer holds of these values, and the pages behind it."""
        call: Call | None = self._client.call("GET", path, headers=self._place.headers)
        for _number in range(MOST_PAGES):
            assert call is not None  # noqa: S101
            answer = await self._client.ask_or_miss(call, MISSING if not self._is_filtered else ())
            if answer is None:
                return
            records = self._records(answer)
            check_found(records, texts, self._by, answer)
            self._note_etags(answer, records.frame)
            yield records, answer
            link = self._place.following(answer) if self._is_filtered else None
            if link is None:
                return
            call = self._client.follow(link, call.url, call.headers)
        raise BadAnswer(_("{system} never ends its list of {entity}."), system=self._place.system, entity=self._entity.name)

    def _records(self, answer: Answer) -> Records:
        if self._is_filtered:
            return self._place.records(self._client, self._decoder, answer)
        return self._decoder.decode(answer, "d" if self._place.is_v2 else "", single=True)

    def _note_etags(self, answer: Answer, frame: pl.DataFrame) -> None:
        if b"etag" not in answer.body or self._place.is_v2:
            return
        rows = answer.value("value") if self._is_filtered else [answer.tree()]
        for row, key in zip(rows, frame.select(self._place.own_key).iter_rows(), strict=True):
            if etag := row.get("@odata.etag") or row.get("@etag"):
                self._versions.note(self._entity.name, canonical_key(key), etag)
