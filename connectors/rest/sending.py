"""Sending a portion: many requests in flight, and what became of each record. What the requests are, and what their answers say, is the system's."""

from __future__ import annotations

import abc
import asyncio
from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

from connectors.base import AllWritten, ConnectorError, Outcome, Result, SystemDown, Text, _
from connectors.rest.answers import Answer
from connectors.rest.client import Call, Client, together
from connectors.rest.endpoints import Malformed, Row
from connectors.rest.failures import MAYBE_DONE, MaybeDone, NotSent
from connectors.rest.verdicts import PATIENCE_SECONDS

Way = TypeVar("Way")  # how a request is written and its answer read


class Sending(abc.ABC, Generic[Way]):
    """One portion on its way: `jobs` are its requests in order, each with its records."""

    def __init__(self, client: Client, jobs: Iterator[tuple[Way, list[Row]]]) -> None:
        self.client = client
        self.outcomes: list[Outcome] = []
        self._stop: ConnectorError | None = None  # why nothing more is sent
        self._jobs = jobs

    @abc.abstractmethod
    def _call(self, way: Way, rows: list[Row]) -> Call:
        """The request that carries these rows. Raises Malformed for what cannot be put into one."""

    @abc.abstractmethod
    def _settle(self, way: Way, rows: list[Row], answer: Answer) -> None:
        """Put down what an answer, which may be one of failure, says of each row."""

    async def send_all(self) -> Sequence[Outcome]:
        """Keep the allowed number of requests in flight until all are answered or nothing more may be sent."""
        await together(self._lane() for _number in range(self.client.settings.connection.in_flight))
        if self._stop is not None:
            if not any(outcome.sent for outcome in self.outcomes):
                raise self._stop
            for _way, rows in self._jobs:
                self.not_sent(rows, self._stop)
        return AllWritten.of(self.outcomes) or self.outcomes

    async def _lane(self) -> None:
        for way, rows in self._jobs:
            if self._stop is not None:
                self.not_sent(rows, self._stop)
                return
            call = self._prepared(way, rows)
            if call is not None:
                await self._send(way, rows, call)

    def _prepared(self, way: Way, rows: list[Row]) -> Call | None:
        """The request for these rows; those that cannot be put into one are refused and leave the list."""
        try:
            return self._call(way, rows)
        except Malformed as error:
            if len(rows) == 1:
                self.refused(rows, error.reason)
                return None
            for row in list(rows):
                try:
                    self._call(way, [row])
                except Malformed as reason:
                    self.refused([row], reason.reason)
                    rows.remove(row)
            return self._prepared(way, rows) if rows else None

    async def _send(self, way: Way, rows: list[Row], call: Call) -> None:
        for number in range(1, self.client.settings.connection.tries + 1):
            try:
                answer = await self.client.send(call)
            except NotSent as error:
                if number < self.client.settings.connection.tries and self._passing(error.cause):
                    await asyncio.sleep(self.client.pause_before(number))
                    continue
                self.halt(rows, error.cause)
                return
            except MaybeDone as error:
                self.unknown(rows, error.cause.text)
                return
            if not self.client.asks_to_wait(answer):
                self._settle(way, rows, answer)
                return
            busy = self.client.note_wait(answer)
            if number == self.client.settings.connection.tries or (busy.retry_after or 0) > PATIENCE_SECONDS:
                self.halt(rows, busy)
                return

    @staticmethod
    def _passing(cause: ConnectorError) -> bool:
        return type(cause) is SystemDown and cause.retry_after is None

    def halt(self, rows: list[Row], cause: ConnectorError) -> None:
        """These rows were not sent, and neither are those that wait behind them."""
        self._stop = self._stop or cause
        self.not_sent(rows, cause)

    def failed(self, rows: list[Row], answer: Answer) -> None:
        """A request as a whole did not succeed: refused, or nobody knows."""
        names = {"system": self.client.host.system, "status": answer.status, "reason": self.client.reason(answer)}
        if answer.status in MAYBE_DONE:
            self.unknown(rows, Text(_("A gateway before {system} gave up with status {status}; the record may have arrived"), names))
        elif answer.status == 401 or ((code := self.client.code(answer)) and code in self.client.answers.expired_codes):
            self.halt(rows, self.client.failure(answer))
        elif answer.status >= 500:
            self.refused(rows, Text(_("{system} failed with status {status}: {reason}"), names), again=True)
        elif 200 <= answer.status < 300:
            answer.tree()
            self.refused(rows, Text(_("{system} refused it: {reason}"), names))
        else:
            self.refused(rows, Text(_("{system} refused it with status {status}: {reason}"), names), again=answer.status in (409, 423, 425))

    # --- outcomes ---

    def refused(self, rows: Sequence[Row], reason: Text, *, again: bool = False) -> None:
        self.outcomes.extend(Outcome(row.row, Result.REFUSED, reason=reason, again=again) for row in rows)

    def unknown(self, rows: Sequence[Row], reason: Text) -> None:
        self.outcomes.extend(Outcome(row.row, Result.UNKNOWN, reason=reason) for row in rows)

    def not_sent(self, rows: Sequence[Row], cause: ConnectorError) -> None:
        self.outcomes.extend(Outcome(row.row, Result.REFUSED, reason=cause.text, again=True, sent=False) for row in rows)
