"""A list read page by page: what all ways of paging have in common, so that none reads for ever and none loses its place."""

from __future__ import annotations

import abc
import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import orjson
import polars as pl

from connectors.base import BadAnswer, Entity, Misfit, Page, Position, PositionExpired, _
from connectors.canonical import canonical_key
from connectors.rest.answers import Answer
from connectors.rest.client import Call, Client
from connectors.rest.pagination import Step

MOST_PAGES = 10_000_000
AFTER = "after"  # of a position: the digest of the page before, so that whoever goes on from there notices a list that repeats itself


class Pages(abc.ABC):
    """One pass over a list. `pages()` yields what the connector's `read` promises; a way of paging says how a step is asked for and answered."""

    repeats: ClassVar[str]  # what is told of a list whose pages are the same

    def __init__(self, client: Client, entity: Entity, fields: Sequence[str] | None, *, keys_only: bool) -> None:
        self._client, self._entity = client, entity
        chosen = set(entity.key) if keys_only else {f.name for f in entity.fields} if fields is None else set(fields)
        self._wanted = [f.name for f in entity.fields if f.name in chosen]
        self._seen: set[bytes] = set()
        self._before = b""

    @abc.abstractmethod
    def _call(self, step: Step | None) -> Call:
        """The request of a step; None is the first page."""

    @abc.abstractmethod
    async def _taken(self, answer: Answer, call: Call, step: Step | None) -> tuple[Page, Step | None]:
        """What its answer holds, and the step to the page after; None: it was the last."""

    def pages(self, position: Position | None) -> Iterator[Page]:
        for _number in range(MOST_PAGES):
            step = dict(position) if position is not None else None
            self._before = bytes.fromhex(step.pop(AFTER, "")) if step is not None else b""
            page = self._client.run(self._page(step))
            yield page
            position = page.position
            if position is None:
                return
        raise BadAnswer(_("{system} never ends its list of {entity}."), **self._names())

    async def _page(self, step: Step | None) -> Page:
        call = self._call(step)
        answer = await self._answered(call, step)
        page, following = await self._taken(answer, call, step)
        # A system in trouble may say so of a page that it had promised, and what follows would be lost.
        if following is None and not page.frame.height and not page.deleted and self._was_promised(step):
            answer = await self._answered(call, step)
            page, following = await self._taken(answer, call, step)
        self._notice_loops(step, following, answer, page.frame.height + len(page.deleted))
        if following is not None and self._before:
            following = {**following, AFTER: self._before.hex()}
        page.position = following
        return narrowed(page, self._wanted)

    async def _answered(self, call: Call, step: Step | None) -> Answer:
        expired = self._client.answers.position_expired_statuses
        answer = await self._client.ask(call, accept=expired if self._goes_on(step) else ())
        if self._goes_on(step) and answer.status in expired:
            raise PositionExpired(
                _("{system} no longer knows the page of {entity} where reading was to go on. It is read again from the start of this range."),
                **self._names(),
            )
        return answer

    def _goes_on(self, step: Step | None) -> bool:
        """Whether this step begins where another has ended."""
        return step is not None

    def _was_promised(self, step: Step | None) -> bool:
        """Whether the page before said that there is another one, so that an empty last one is not believed before it is asked for once more."""
        return False

    def _notice_loops(self, step: Step | None, following: Step | None, answer: Answer, count: int) -> None:
        """A next page that was there before, or a page that repeats the one before it, would never end."""
        body = hashlib.blake2b(answer.body, digest_size=16).digest() if count else b""
        if count and body == self._before:
            raise BadAnswer(self.repeats, **self._names())
        self._before = body
        if step is not None:
            self._seen.add(_mark(step))
        if following is not None and _mark(following) in self._seen:
            raise BadAnswer(_("{system} has a page of {entity} whose next page was read before: the list has no end."), **self._names())

    def _names(self) -> dict[str, Any]:
        return {"system": self._client.host.system, "entity": self._entity.name}


def narrowed(page: Page, wanted: Sequence[str]) -> Page:
    """The page with these fields alone."""
    if len(wanted) == len(page.frame.columns):
        return page
    absent = page.absent.select([c for c in page.absent.columns if c in wanted]) if page.absent is not None else None
    misfits = [m for m in page.misfits if not m.field or m.field in wanted]
    return Page(page.frame.select(wanted), page.position, misfits, absent, page.deleted, page.cursor)


def without(page: Page, gone: pl.Series, key: Sequence[str]) -> Page:
    """The page less the rows that are `gone`: tombstones, of which the keys are told."""
    if not gone.any():
        return page
    place = (~gone).cum_sum() - 1
    dead: Collection[int] = set(gone.arg_true().to_list())
    return Page(
        page.frame.filter(~gone),
        page.position,
        [Misfit(int(place[m.row]), m.field, m.text, m.reason) for m in page.misfits if m.row not in dead],
        page.absent.filter(~gone) if page.absent is not None else None,
        [canonical_key(values) for values in page.frame.filter(gone).select(key).iter_rows()],
    )


def _mark(step: Mapping[str, Any]) -> bytes:
    return hashlib.blake2b(orjson.dumps(step, option=orjson.OPT_SORT_KEYS), digest_size=8).digest()
