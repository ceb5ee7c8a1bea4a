"""Writing a portion by the endpoints of the settings, and what became of each record."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from connectors.base import BadAnswer, Changes, Entity, Outcome, Result, SettingsError, Text, _
from connectors.canonical import canonical_key
from connectors.rest.answers import ABSENT, Answer, at
from connectors.rest.client import Call, Client
from connectors.rest.endpoints import Endpoint, Row, rows_of
from connectors.rest.parsing import Unfit
from connectors.rest.reading import forms_of
from connectors.rest.sending import Sending
from connectors.rest.settings import Bulk, BulkResults, EntitySettings, Write
from connectors.rest.templates import as_text
from connectors.rest.values import Form
from connectors.rest.verdicts import REASON_LENGTH


class Writing(Sending[Endpoint]):
    """One portion on its way."""

    def __init__(self, client: Client, declared: EntitySettings, entity: Entity, changes: Changes) -> None:
        self.declared, self.entity = declared, entity
        super().__init__(client, self._plan(client, changes))

    def _plan(self, client: Client, changes: Changes) -> Iterator[tuple[Endpoint, list[Row]]]:
        """The requests in order, each with its records. Raises SettingsError for what the system cannot do."""
        bulks: dict[str, Bulk] = {b.operation: b for b in self.declared.bulk}
        singles: Mapping[str, Write | None] = {"create": self.declared.create, "update": self.declared.update, "delete": self.declared.delete}
        endpoints: dict[str, Endpoint] = {}
        waiting: dict[str, list[Row]] = {}
        for operation in changes.about["operation"].unique(maintain_order=True):
            way = bulks.get(operation) or singles.get(operation)
            if way is None:
                raise SettingsError(
                    _("{entity} of {system} cannot be written by {operation}: there is no such endpoint in its settings."),
                    system=client.host.system,
                    entity=self.entity.name,
                    operation=operation,
                )
            endpoints[operation] = Endpoint(client, self.declared, self.entity, way)
            waiting[operation] = []

        def jobs() -> Iterator[tuple[Endpoint, list[Row]]]:
            for operation, row in rows_of(forms_of(client, self.declared, self.entity), changes):
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

    def _call(self, way: Endpoint, rows: list[Row]) -> Call:
        return way.single(rows[0]) if way.item is None else way.many(rows)

    def _settle(self, way: Endpoint, rows: list[Row], answer: Answer) -> None:
        if way.item is not None:
            BulkAnswer(self, way, rows, answer).settle()
            return
        write, row = way.way, rows[0]
        assert isinstance(write, Write)  # noqa: S101
        try:
            if self.client.succeeded(answer):
                self._written(way, row, answer, write.key_path, write.record_path)
            elif write is self.declared.delete and self.client.missing(answer, write.gone_statuses):
                self.outcomes.append(Outcome(row.row, Result.WRITTEN))
            else:
                self.failed(rows, answer)
        except BadAnswer as error:  # it said 2xx, but not in JSON: cut short, or a page of something else
            self.unknown(rows, error.text)

    def _written(self, endpoint: Endpoint, row: Row, answer: Answer, key_path: str, record_path: str | None) -> None:
        key, record = None, None
        if record_path is not None and answer.body:
            found = answer.value(record_path)
            record = flattened(found, endpoint.forms) if isinstance(found, dict) else None
        if row.key is None:
            key = self.key_of(answer.value, key_path, record)
            if key is None and (key_path or record_path is not None):
                self.unknown([row], Text(_("{system} accepted the record but did not tell its key"), {"system": self.client.host.system}))
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


class BulkAnswer:
    """The answer to many records at once, taken apart."""

    def __init__(self, writing: Writing, endpoint: Endpoint, rows: list[Row], answer: Answer) -> None:
        assert isinstance(endpoint.way, Bulk)  # noqa: S101
        self._writing, self._endpoint, self._rows, self._answer = writing, endpoint, rows, answer
        self._way: BulkResults | None = endpoint.way.results
        self._rest_is_written = False

    def settle(self) -> None:
        writing, way = self._writing, self._way
        try:
            results = self._answer.value(way.path) if way is not None and self._answer.body else ABSENT
            succeeded = writing.client.succeeded(self._answer)
            if not isinstance(results, list) or not (results or succeeded):
                self._settle_whole(results)
                return
            assert way is not None  # noqa: S101
            self._rest_is_written = way.only_failures and succeeded
            matched = self._matched(way, results)
        except BadAnswer as error:
            writing.unknown(self._rows, error.text)
            return
        for row in self._rows:
            self._settle_one(way, row, matched.get(row.row, ABSENT))

    def _settle_whole(self, results: Any) -> None:
        """There is no list of results record by record: all or nothing."""
        writing = self._writing
        if not writing.client.succeeded(self._answer):
            writing.failed(self._rows, self._answer)
        elif self._way is None or (self._way.only_failures and results in (ABSENT, None)):
            writing.outcomes.extend(Outcome(row.row, Result.WRITTEN) for row in self._rows)
        else:
            names = {"system": writing.client.host.system, "path": self._way.path}
            writing.unknown(self._rows, Text(_("{system} did not say at {path} what became of each record"), names))

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
            else:  # a failure, of a record that cannot be told
                self._rest_is_written = False
        return found

    def _own_key(self, row: Row) -> str:
        """The key a record to be created brings along."""
        return canonical_key([as_text(row.values.get(name)) for name in self._writing.entity.key])

    def _settle_one(self, way: BulkResults, row: Row, result: Any) -> None:
        writing = self._writing
        if result is ABSENT:
            if self._rest_is_written:
                writing.outcomes.append(Outcome(row.row, Result.WRITTEN))
            else:
                writing.unknown([row], Text(_("{system} did not say what became of this record"), {"system": writing.client.host.system}))
            return
        if not self._succeeded(way, result):
            writing.refused(
                [row],
                Text(_("{system} refused it: {reason}"), {"system": writing.client.host.system, "reason": self._reason(way, result)}),
                again=self._again(way, result),
            )
            return
        record = at(result, way.record_path) if way.record_path is not None else None
        flat = flattened(record, self._endpoint.forms) if isinstance(record, dict) else None
        key = writing.key_of(lambda path: at(result, path), way.key_path, flat) if row.key is None else None
        if row.key is None and key is None and (way.key_path or way.record_path is not None):
            writing.unknown([row], Text(_("{system} accepted the record but did not tell its key"), {"system": writing.client.host.system}))
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
