"""Writing a portion: one transaction, in which a record that the database refuses is found by halving and leaves the others written."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import polars as pl
import sqlalchemy as sa

from connectors.base import AllWritten, Changes, Entity, FieldType, Outcome, Result, SettingsError, Text, _
from connectors.canonical import canonical_key, canonical_text, key_parts
from connectors.sql.columns import Column, Unfit
from connectors.sql.databases import Database, Failure, Verdict
from connectors.sql.reading import column_of
from connectors.sql.staging import ROW, key_name, sent_name
from connectors.sql.tables import Table

ORDER = ("delete", "update", "create")  # what is freed may be taken again
EXACT = (FieldType.INTEGER, FieldType.TEXT)  # keys that the database stores just as they are sent


class Conflict(Exception):
    """Uniqueness forbids some of the rows."""


@dataclass(frozen=True)
class Batch:
    """Rows for one statement: their number, their key where the change names its record, their values, and which are sent."""

    operation: str
    frame: pl.DataFrame
    names: tuple[str, ...]
    masked: tuple[str, ...]

    def of(self, frame: pl.DataFrame) -> Batch:
        return replace(self, frame=frame)


class Writing(abc.ABC):
    """One portion on its way."""

    def __init__(self, database: Database, table: Table, entity: Entity, changes: Changes) -> None:
        if table.is_view:
            raise SettingsError(_("{entity} of {system} is a view, which is not written to."), entity=entity.name, system=database.system)
        self._database, self._table, self._entity, self._changes = database, table, entity, changes
        self._key = [column_of(table, entity, name, database.system) for name in entity.key]
        self._outcomes: list[Outcome] = []
        self._whole: list[AllWritten] = []  # batches that went through at once
        self._failures: tuple[type[Exception], ...] = (Conflict, *database.errors)

    def send_all(self) -> Sequence[Outcome]:
        if not len(self._changes):
            return []
        database = self._database
        with database.request():
            connection = database.writer
            transaction = connection.begin()
            database.begin(connection)
            for batch in self._batches():
                self._prepare(connection, batch)
                self._write(connection, batch)
            try:
                transaction.commit()
            except database.errors as error:
                failure = database.failure(error)
                if failure.verdict is not Verdict.DOWN:
                    raise
                database.close()
                self._nobody_knows(failure)
        if len(self._whole) == 1 and not self._outcomes:
            return self._whole[0]
        return [*self._outcomes, *chain.from_iterable(self._whole)]

    def _nobody_knows(self, failure: Failure) -> None:
        reason = Text(
            _("{system} went away while the records were being committed: {reason}"), {"system": self._database.system, "reason": failure.said}
        )
        told = [*self._outcomes, *chain.from_iterable(self._whole)]
        self._outcomes = [o if o.result is Result.REFUSED else Outcome(o.row, Result.UNKNOWN, reason=reason) for o in told]
        self._whole = []

    def _batches(self) -> Iterator[Batch]:
        """Rows that one statement can write: of one operation, and, where they create, with the same fields."""
        about, values, send = self._changes.about, self._changes.values, self._changes.send
        for operation in ORDER:
            chosen = about["operation"] == operation
            if not chosen.any():
                continue
            if operation == "create" and send is not None and send.width:
                patterns = send.filter(chosen).unique(maintain_order=True)
                for pattern in patterns.iter_rows(named=True):
                    same = chosen & send.select(pl.all_horizontal(pl.col(n) == v for n, v in pattern.items()).alias("same"))["same"]
                    yield self._batch(operation, about.filter(same), values.filter(same).drop([n for n, sent in pattern.items() if not sent]), None)
            else:
                whole = chosen.all()
                yield self._batch(
                    operation,
                    about if whole else about.filter(chosen),
                    values if whole or not values.width else values.filter(chosen),
                    send.filter(chosen) if send is not None and send.width else None,
                )

    def _batch(self, operation: str, about: pl.DataFrame, values: pl.DataFrame, send: pl.DataFrame | None) -> Batch:
        """The rows as the temporary table takes them; those that no database could take are refused here."""
        names = [n for n in values.columns if not (f := self._entity.field(n)) or not f.read_only] if operation != "delete" else []
        columns = {name: column_of(self._table, self._entity, name, self._database.system) for name in names}
        frame = about.select(pl.col("row").alias(ROW))
        wrong = pl.Series([False]).new_from_index(0, about.height)
        if operation != "create":
            keys, wrong = self._keys(about)
            frame = frame.with_columns(keys)
        frame = frame.with_columns([self._database.plain(c, c.plain(values[n])).alias(n) for n, c in columns.items()])
        masked = [n for n in names if send is not None and n in send.columns]
        frame = frame.with_columns([send[n].alias(sent_name(n)) for n in masked] if send is not None else [])
        for row in about["row"].filter(wrong):
            self._gone(row)
        frame = frame.filter(~wrong) if wrong.any() else frame
        frame = self._without_nul(frame, columns) if self._database.is_clean else frame
        return Batch(operation, frame, tuple(names), tuple(masked))

    def _keys(self, about: pl.DataFrame) -> tuple[list[pl.Series], pl.Series]:
        """The records' keys as columns, and which of them are none."""
        texts = about["key"]
        if len(self._key) == 1 and self._key[0].field.type is FieldType.TEXT and not self._key[0].is_uuid:
            return [texts.alias(key_name(0))], texts.is_null()
        if len(self._key) == 1 and self._key[0].field.type is FieldType.INTEGER:
            numbers = texts.cast(pl.Int64, strict=False)
            return [numbers.alias(key_name(0))], numbers.is_null()
        rows = [self._parts(text) for text in texts.to_list()]
        schema = self._entity.frame_schema()
        keys = []
        for number, column in enumerate(self._key):
            dtype = schema[column.name]
            series = pl.Series([None if row is None else row[number] for row in rows], dtype=dtype if column.zone is None else pl.Datetime("us"))
            keys.append(self._database.plain(column, series).alias(key_name(number)))
        return keys, pl.Series([row is None for row in rows])

    def _parts(self, text: str | None) -> list[Any] | None:
        try:
            parts = key_parts(text or "", len(self._key))
            return [column.value(part) for column, part in zip(self._key, parts, strict=True)]
        except (Unfit, ValueError):
            return None

    def _without_nul(self, frame: pl.DataFrame, columns: dict[str, Column]) -> pl.DataFrame:
        texts = [name for name, column in columns.items() if column.field.type is FieldType.TEXT]
        if not texts or not frame.select(pl.any_horizontal(pl.col(texts).str.contains("\0", literal=True).any())).item():
            return frame
        for name in texts:
            broken = frame[name].str.contains("\0", literal=True).fill_null(value=False)
            if broken.any():
                reason = Text(_("{column} holds a NUL character, which {system} cannot store"), {"column": name, "system": self._database.system})
                self._outcomes += [Outcome(row, Result.REFUSED, reason=reason) for row in frame[ROW].filter(broken)]
                frame = frame.filter(~broken)
        return frame

    # --- halving ---

    def _write(self, connection: sa.Connection, batch: Batch) -> None:
        """Write these rows; where the database does not take them all, half of them each."""
        if not batch.frame.height:
            return
        savepoint = connection.begin_nested()
        before, whole = len(self._outcomes), len(self._whole)
        try:
            getattr(self, f"_{batch.operation}")(connection, batch)
            savepoint.commit()
        except self._failures as error:
            del self._outcomes[before:], self._whole[whole:]
            if not isinstance(error, Conflict):
                failure = self._database.failure(error)
                if failure.verdict not in (Verdict.RECORD, Verdict.UNIQUE):
                    raise
            savepoint.rollback()
            if batch.frame.height == 1:
                if isinstance(error, Conflict):
                    failure = Failure(Verdict.RECORD, "it took the record without a word, but did not store it")  # a trigger or rule may do so
                self._refused(batch.frame[ROW][0], self._refusal(failure, batch))
                return
            half = batch.frame.height // 2
            for part in (batch.frame[:half], batch.frame[half:]):
                self._write(connection, batch.of(part))

    def _refusal(self, failure: Failure, batch: Batch) -> Text:
        """With the value that was sent, where the database names only the column."""
        if failure.column == "PRIMARY":
            failure = replace(failure, column=", ".join(c.name for c in self._key))
        if failure.column in batch.names and not failure.value and batch.frame[failure.column][0] is not None:
            failure = replace(failure, value=canonical_text(batch.frame[failure.column][0])[:200])
        return self._database.refusal(failure)

    # --- the operations ---

    @abc.abstractmethod
    def _prepare(self, connection: sa.Connection, batch: Batch) -> None:
        """What has to be there before the first savepoint."""

    @abc.abstractmethod
    def _create(self, connection: sa.Connection, batch: Batch) -> None: ...

    @abc.abstractmethod
    def _update(self, connection: sa.Connection, batch: Batch) -> None: ...

    @abc.abstractmethod
    def _delete(self, connection: sa.Connection, batch: Batch) -> None: ...

    # --- outcomes ---

    def _brings_keys(self, batch: Batch) -> bool:
        """Whether each of these new records has its whole key."""
        return all(c.name in batch.names and not batch.frame[c.name].null_count() for c in self._key)

    def _knows_keys(self, batch: Batch) -> bool:
        """Whether, besides, each key will be stored just as it is sent."""
        return self._brings_keys(batch) and all(c.field.type in EXACT and not c.is_uuid for c in self._key)

    def _key_of(self, parts: Sequence[Any]) -> str:
        """The key of a record as the driver handed it over."""
        return canonical_key([column.part(value) for column, value in zip(self._key, parts, strict=True)])

    def _sent_keys(self, frame: pl.DataFrame) -> pl.Series:
        if len(self._key) == 1:
            return frame[self._key[0].name].cast(pl.String)
        return pl.Series([canonical_key(row) for row in frame.select([c.name for c in self._key]).iter_rows()], dtype=pl.String)

    def _written(self, rows: pl.Series, keys: pl.Series | None) -> None:
        self._whole.append(AllWritten(rows, keys))

    def _refused(self, row: int, reason: Text) -> None:
        self._outcomes.append(Outcome(row, Result.REFUSED, reason=reason))

    def _gone(self, row: int) -> None:
        names = {"system": self._database.system, "entity": self._entity.label or self._entity.name}
        self._refused(row, Text(_("{system} no longer has this record of {entity}"), names))
