"""Writing a portion: many requests in flight, and what became of each record."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from connectors.base import (
    CHANGE_COLUMNS,
    BadAnswer,
    Changes,
    ConnectorError,
    Entity,
    Outcome,
    Result,
    SettingsError,
    SystemDown,
    Text,
    _,
)
from connectors.canonical import canonical_key
from connectors.rest.answers import ABSENT, Answer, at
from connectors.rest.client import PATIENCE_SECONDS, Call, Client, together
from connectors.rest.endpoints import Endpoint, Malformed, Row, Values
from connectors.rest.failures import MAYBE_DONE, MaybeDone, NotSent
from connectors.rest.parsing import Unfit
from connectors.rest.reading import forms_of
from connectors.rest.settings import Bulk, BulkResults, EntitySettings, Write
from connectors.rest.templates import as_text
from connectors.rest.values import Form
from connectors.rest.verdicts import REASON_LENGTH


class Writing:
    """One portion on its way."""

    def __init__(self, client: Client, declared: EntitySettings, entity: Entity, changes: Changes) -> None:
        self.client, self.declared, self.entity = client, declared, entity
        self.outcomes: list[Outcome] = []
        self._stop: ConnectorError | None = None  # why nothing more is sent
        self._jobs = self._plan(changes)

    def _plan(self, changes: Changes) -> Iterator[tuple[Endpoint, list[Row]]]:
        """The requests in order, each with its records. Raises SettingsError for what the system cannot do."""
        bulks: dict[str, Bulk] = {b.operation: b for b in self.declared.bulk}
        singles: Mapping[str, Write | None] = {"create": self.declared.create, "update": self.declared.update, "delete": self.declared.delete}
        endpoints: dict[str, Endpoint] = {}
        waiting: dict[str, list[Row]] = {}
        rows = list(self._rows(changes))
        for operation in dict.fromkeys(operation for operation, _row in rows):
            way = bulks.get(operation) or singles.get(operation)
            if way is None:
                raise SettingsError(
                    _("{entity} of {system} cannot be written by {operation}: there is no such endpoint in its settings."),
                    system=self.client.host.system,
                    entity=self.entity.name,
                    operation=operation,
                )
            endpoints[operation] = Endpoint(self.client, self.declared, self.entity, way)
            waiting[operation] = []

        def jobs() -> Iterator[tuple[Endpoint, list[Row]]]:
            for operation, row in rows:
                endpoint = endpoints[operation]
                if not isinstance(endpoint.way, Bulk):
                    yield endpoint, [row]
                    continue
                waiting[operation].append(row)
                if len(waiting[operation]) == endpoint.way.size:
                    yield endpoint, waiting[operation]
                    waiting[operation] = []
            for operation, left in waiting.items():
                if left:
                    yield endpoints[operation], left

        return jobs()

    def _rows(self, changes: Changes) -> Iterator[tuple[str, Row]]:
        values = Values(forms_of(self.client, self.declared, self.entity), changes)
        about = [changes.about[name].to_list() for name in CHANGE_COLUMNS]
        for place, (row, operation, key, idempotency_key, whole) in enumerate(zip(*about, values.encoded(), strict=True)):
            yield operation, Row(row, key, idempotency_key, whole, values, place)

    async def send_all(self) -> list[Outcome]:
        """Keep the allowed number of requests in flight until all are answered or nothing more may be sent."""
        await together(self._lane() for _number in range(self.client.settings.connection.in_flight))
        if self._stop is not None:
            if not any(outcome.sent for outcome in self.outcomes):
                raise self._stop
            for _endpoint, rows in self._jobs:
                self._not_sent(rows, self._stop)
        return self.outcomes

    async def _lane(self) -> None:
        for endpoint, rows in self._jobs:
            if self._stop is not None:
                self._not_sent(rows, self._stop)
                return
            call = self._prepared(endpoint, rows)
            if call is not None:
                await self._send(endpoint, rows, call)

    def _prepared(self, endpoint: Endpoint, rows: list[Row]) -> Call | None:
        """The request for these rows; those that cannot be put into one are refused and leave the list."""
        try:
            return endpoint.single(rows[0]) if endpoint.item is None else endpoint.many(rows)
        except Malformed as error:
            for row in list(rows):
                try:
                    if len(rows) == 1:
                        raise error
                    endpoint.many([row])
                except Malformed as reason:
                    self._refused([row], reason.reason)
                    rows.remove(row)
            return self._prepared(endpoint, rows) if rows else None

    async def _send(self, endpoint: Endpoint, rows: list[Row], call: Call) -> None:
        for number in range(1, self.client.settings.connection.tries + 1):
            try:
                answer = await self.client.send(call)
            except NotSent as error:
                if number < self.client.settings.connection.tries and self._passing(error.cause):
                    await asyncio.sleep(self.client.pause_before(number))
                    continue
                self._halt(rows, error.cause)
                return
            except MaybeDone as error:
                self._unknown(rows, error.cause.text)
                return
            if not self.client.asks_to_wait(answer):
                self._settle(endpoint, rows, answer)
                return
            busy = self.client.note_wait(answer)
            if number == self.client.settings.connection.tries or (busy.retry_after or 0) > PATIENCE_SECONDS:
                self._halt(rows, busy)
                return

    @staticmethod
    def _passing(cause: ConnectorError) -> bool:
        return type(cause) is SystemDown and cause.retry_after is None

    def _halt(self, rows: list[Row], cause: ConnectorError) -> None:
        """These rows were not sent, and neither are those that wait behind them."""
        self._stop = self._stop or cause
        self._not_sent(rows, cause)

    def _settle(self, endpoint: Endpoint, rows: list[Row], answer: Answer) -> None:
        if endpoint.item is not None:
            BulkAnswer(self, endpoint, rows, answer).settle()
            return
        way, row = endpoint.way, rows[0]
        assert isinstance(way, Write)  # noqa: S101
        try:
            if self.client.succeeded(answer):
                self._written(endpoint, row, answer, way.key_path, way.record_path)
            elif way is self.declared.delete and self.client.missing(answer, way.gone_statuses):
                self.outcomes.append(Outcome(row.row, Result.WRITTEN))
            else:
                self.failed(rows, answer)
        except BadAnswer as error:  # it said 2xx, but not in JSON: cut short, or a page of something else
            self._unknown(rows, error.text)

    def _written(self, endpoint: Endpoint, row: Row, answer: Answer, key_path: str, record_path: str | None) -> None:
        key, record = None, None
        if record_path is not None and answer.body:
            found = answer.value(record_path)
            record = flattened(found, endpoint.forms) if isinstance(found, dict) else None
        if row.key is None:
            key = self.key_of(answer.value, key_path, record)
            if key is None and (key_path or record_path is not None):
                self._unknown([row], Text(_("{system} accepted the record but did not tell its key"), {"system": self.client.host.system}))
                return
        self.outcomes.append(Outcome(row.row, Result.WRITTEN, key, record))

    def key_of(self, value: Callable[[str], Any], key_path: str, record: Mapping[str, Any] | None) -> str | None:
        """The canonical key an answer tells."""
        if key_path:
            found = value(key_path)
            if isinstance(found, list):
                return canonical_key(found) if len(found) == len(self.entity.key) else None
            return None if found is ABSENT or found is None else canonical_key([found])
        if record is not None:
            parts = [record.get(name) for name in self.entity.key]
            return None if any(p is None for p in parts) else canonical_key(parts)
        return None

    def failed(self, rows: list[Row], answer: Answer) -> None:
        """A request as a whole did not succeed: refused, or nobody knows."""
        names = {"system": self.client.host.system, "status": answer.status, "reason": self.client.reason(answer)}
        if answer.status in MAYBE_DONE:
            self._unknown(rows, Text(_("A gateway before {system} gave up with status {status}; the record may have arrived"), names))
        elif answer.status == 401 or ((code := self.client.code(answer)) and code in self.client.answers.expired_codes):
            self._halt(rows, self.client.failure(answer))
        elif answer.status >= 500:
            self._refused(rows, Text(_("{system} failed with status {status}: {reason}"), names), again=True)
        elif 200 <= answer.status < 300:
            answer.tree()
            self._refused(rows, Text(_("{system} refused it: {reason}"), names))
        else:
            self._refused(rows, Text(_("{system} refused it with status {status}: {reason}"), names), again=answer.status in (409, 423, 425))

    # --- outcomes ---

    def _refused(self, rows: Sequence[Row], reason: Text, *, again: bool = False) -> None:
        self.outcomes.extend(Outcome(row.row, Result.REFUSED, reason=reason, again=again) for row in rows)

    def _unknown(self, rows: Sequence[Row], reason: Text) -> None:
        self.outcomes.extend(Outcome(row.row, Result.UNKNOWN, reason=reason) for row in rows)

    def _not_sent(self, rows: Sequence[Row], cause: ConnectorError) -> None:
        self.outcomes.extend(Outcome(row.row, Result.REFUSED, reason=cause.text, again=True, sent=False) for row in rows)


class BulkAnswer:
    """The answer to many records at once, taken apart."""

    def __init__(self, writing: Writing, endpoint: Endpoint, rows: list[Row], answer: Answer) -> None:
        assert isinstance(endpoint.way, Bulk)  # noqa: S101
        self._writing, self._endpoint, self._rows, self._answer = writing, endpoint, rows, answer
        self._way: BulkResults | None = endpoint.way.results

    def settle(self) -> None:
        writing, way = self._writing, self._way
        try:
            results = self._answer.value(way.path) if way is not None and self._answer.body else ABSENT
            if not isinstance(results, list):
                self._settle_whole()
                return
            assert way is not None  # noqa: S101
            matched = self._matched(way, results)
        except BadAnswer as error:
            writing._unknown(self._rows, error.text)
            return
        for row in self._rows:
            self._settle_one(way, row, matched.get(row.row, ABSENT))

    def _settle_whole(self) -> None:
        """There are no results record by record: all or nothing."""
        writing = self._writing
        if not writing.client.succeeded(self._answer):
            writing.failed(self._rows, self._answer)
        elif self._way is None or self._way.only_failures:
            writing.outcomes.extend(Outcome(row.row, Result.WRITTEN) for row in self._rows)
        else:
            names = {"system": writing.client.host.system, "path": self._way.path}
            writing._unknown(self._rows, Text(_("{system} did not say at {path} what became of each record"), names))

    def _matched(self, way: BulkResults, results: list[Any]) -> dict[int, Any]:
        """Row → its result."""
        if way.matched_by == "order":
            if len(results) != len(self._rows):
                return {}  # which belongs to which cannot be told
            return {row.row: result for row, result in zip(self._rows, results, strict=True)}
        by: dict[str, Row] = {}
        for number, row in enumerate(self._rows):
            match way.matched_by:
                case "index":
                    by[str(number + way.first_index)] = row
                case "key":
                    by[row.key if row.key is not None else self._own_key(row)] = row
                case "idempotency_key":
                    by[row.idempotency_key] = row
        found = {}
        for result in results:
            mark = at(result, way.match_path) if way.match_path else result
            if mark is not ABSENT and (hit := by.get(as_text(mark))) is not None:
                found[hit.row] = result
        return found

    def _own_key(self, row: Row) -> str:
        """The key a record to be created brings along."""
        return canonical_key([as_text(row.values.get(name)) for name in self._writing.entity.key])

    def _settle_one(self, way: BulkResults, row: Row, result: Any) -> None:
        writing = self._writing
        if result is ABSENT:
            if way.only_failures:
                writing.outcomes.append(Outcome(row.row, Result.WRITTEN))
            else:
                writing._unknown([row], Text(_("{system} did not say what became of this record"), {"system": writing.client.host.system}))
            return
        if not self._succeeded(way, result):
            writing._refused(
                [row],
                Text(_("{system} refused it: {reason}"), {"system": writing.client.host.system, "reason": self._reason(way, result)}),
                again=self._again(way, result),
            )
            return
        record = at(result, way.record_path) if way.record_path is not None else None
        flat = flattened(record, self._endpoint.forms) if isinstance(record, dict) else None
        key = writing.key_of(lambda path: at(result, path), way.key_path, flat) if row.key is None else None
        if row.key is None and key is None and (way.key_path or way.record_path is not None):
            writing._unknown([row], Text(_("{system} accepted the record but did not tell its key"), {"system": writing.client.host.system}))
            return
        writing.outcomes.append(Outcome(row.row, Result.WRITTEN, key, flat))

    def _succeeded(self, way: BulkResults, result: Any) -> bool:
        if way.only_failures:
            return False
        if way.success_path:
            value = at(result, way.success_path)
            return value is not ABSENT and as_text(value).lower() in self._endpoint.success
        error = at(result, way.error_path) if way.error_path else ABSENT
        return error in (ABSENT, None, "", [], {})

    @staticmethod
    def _again(way: BulkResults, result: Any) -> bool:
        codes = {as_text(at(result, path)) for path in (way.success_path, way.code_path) if path and at(result, path) is not ABSENT}
        return bool(codes & set(way.again_codes))

    def _reason(self, way: BulkResults, result: Any) -> str:
        parts = [at(result, path) for path in (way.code_path, way.error_path or "message") if path]
        said = ": ".join(as_text(p) for p in parts if p not in (ABSENT, None, "")) or as_text(result)
        return self._writing.client.veil.hide(said.encode("utf-8", "replace").decode())[:REASON_LENGTH]


def flattened(record: Mapping[str, Any], forms: Mapping[str, Form]) -> dict[str, Any]:
    """The fields of a record in an answer, as a frame would hold them; those that do not fit are left out."""
    found = {}
    for name, form in forms.items():
        value = record[name] if name in record else at(record, name)
        if value is ABSENT:
            continue
        with contextlib.suppress(Unfit):
            found[name] = None if value is None else form.parse(value)
    return found
