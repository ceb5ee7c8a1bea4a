"""Writing a portion: one transaction, in which a record that the database refuses is found by halving and leaves the others written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl
import sqlalchemy as sa

from connectors.base import Changes, Entity, FieldType, Outcome, Result, SettingsError, Text, _
from connectors.canonical import canonical_key, canonical_text, key_parts
from connectors.sql.columns import Column, Unfit
from connectors.sql.databases import Database, Failure, Verdict
from connectors.sql.reading import column_of
from connectors.sql.staging import ROW, Staged, Staging, key_name, sent_name
from connectors.sql.tables import Table

ORDER = ("delete", "update", "create")  # what is freed may be taken again
EXACT = (FieldType.INTEGER, FieldType.TEXT)  # keys that the database stores just as they are sent


class Conflict(Exception):
    """Uniqueness forbids some of the rows."""


class Writing:
    """One portion on its way."""

    def __init__(self, database: Database, table: Table, entity: Entity, changes: Changes) -> None:
        if not isinstance(database, Staged):
            raise TypeError(database)
        if table.is_view:
            raise SettingsError(_("{entity} of {system} is a view, which is not written to."), entity=entity.name, system=database.system)
        self._database, self._table, self._entity, self._changes = database, table, entity, changes
        self._key = [column_of(table, entity, name, database.system) for name in entity.key]
        self._outcomes: list[Outcome] = []

    def send_all(self) -> list[Outcome]:
        if not len(self._changes):
            return []
        database = self._database
        with database.request():
            connection = database.writer
            transaction = connection.begin()
            database.begin(connection)
            for batch in self._batches():
                self._staging(connection, batch)  # made outside of any savepoint, else it would go with one
                self._write(connection, batch)
            try:
                transaction.commit()
            except database.errors as error:
                failure = database.failure(error)
                if failure.verdict is not Verdict.DOWN:
                    raise
                database.close()
                self._nobody_knows(failure)
        return self._outcomes

    def _nobody_knows(self, failure: Failure) -> None:
        reason = Text(
            _("{system} went away while the records were being committed: {reason}"), {"system": self._database.system, "reason": failure.said}
        )
        self._outcomes = [o if o.result is Result.REFUSED else Outcome(o.row, Result.UNKNOWN, reason=reason) for o in self._outcomes]

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
        frame = frame.with_columns([self._database.csv(c, c.plain(values[n])).alias(n) for n, c in columns.items()])
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
            keys.append(self._database.csv(column, series).alias(key_name(number)))
        return keys, pl.Series([row is None for row in rows])

    def _parts(self, text: str | None) -> list[Any] | None:
        try:
            parts = key_parts(text or "", len(self._key))
            return [column.value(part) for column, part in zip(self._key, parts, strict=True)]
        except (Unfit, ValueError):
            return None

    def _without_nul(self, frame: pl.DataFrame, columns: dict[str, Column]) -> pl.DataFrame:
        for name, column in columns.items():
            if column.field.type is not FieldType.TEXT:
                continue
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
        before = len(self._outcomes)
        try:
            getattr(self, f"_{batch.operation}")(connection, batch)
            savepoint.commit()
        except (Conflict, *self._database.errors) as error:
            del self._outcomes[before:]
            if not isinstance(error, Conflict):
                failure = self._database.failure(error)
                if failure.verdict not in (Verdict.RECORD, Verdict.UNIQUE):
                    raise
            savepoint.rollback()
            if batch.frame.height == 1:
                if isinstance(error, Conflict):
                    failure = Failure(Verdict.RECORD, "it took the record without a word, but did not store it")  # a trigger or rule may do so
                self._refused(batch.frame[ROW][0], self._database.refusal(failure))
                return
            half = batch.frame.height // 2
            for part in (batch.frame[:half], batch.frame[half:]):
                self._write(connection, batch.of(part))

    # --- the operations ---

    def _create(self, connection: sa.Connection, batch: Batch) -> None:
        staging = self._staged(connection, batch)
        table, columns = self._table.sql, [self._table.columns[n] for n in batch.names]
        rows = sa.select(*(self._database.stored(c, staging.sql.c[c.name]) for c in columns)).order_by(staging.row)
        knows_keys = all(c.name in batch.names and c.field.type in EXACT and not c.is_uuid for c in self._key)
        insert = self._database.insert(table, batch.names, rows)
        if batch.frame.height == 1:  # here uniqueness is to speak for itself
            insert = sa.insert(table).from_select(list(batch.names), rows)
        if not knows_keys:
            insert = insert.returning(*(c.sql for c in self._key))
        inner = connection.begin_nested()
        try:
            result = connection.execute(insert, execution_options={"preserve_rowcount": True})
        except self._database.errors as error:
            failure = self._database.failure(error)
            if failure.verdict is not Verdict.UNIQUE or self._table.sure_key is None:
                raise
            inner.rollback()
            self._create_again(connection, batch, staging, failure)
            return
        keys = None if knows_keys else [canonical_key(row) for row in result]
        count = result.rowcount if keys is None else len(keys)
        if count == batch.frame.height:
            inner.commit()
            self._written(batch.frame[ROW], self._sent_keys(batch.frame) if keys is None else keys)
            return
        inner.rollback()
        self._create_again(connection, batch, staging, None)

    def _create_again(self, connection: sa.Connection, batch: Batch, staging: Staging, failure: Failure | None) -> None:
        """Some of these records are there already. One that is just as it was sent came before: it is written. Any other is refused."""
        sure = self._table.sure_key
        if sure is None or not set(sure) <= set(batch.names):
            raise Conflict
        columns = [self._table.columns[n] for n in batch.names]
        same = sa.and_(*(self._database.equal(c, staging.sql.c[c.name]) for c in columns))
        there = sa.and_(*(self._table.columns[n].sql == staging.sql.c[n] for n in sure))
        asked = sa.select(staging.row, same, *(c.sql for c in self._key)).select_from(staging.sql.join(self._table.sql, there))
        found = connection.execute(asked).all()
        if not found:
            if failure is not None:
                self._refused(batch.frame[ROW][0], self._database.refusal(failure))
                return
            raise Conflict
        sent = dict(zip(batch.frame[ROW].to_list(), batch.frame.select(sure).iter_rows(), strict=True))
        for row, is_same, *key in found:
            if is_same:
                self._outcomes.append(Outcome(row, Result.WRITTEN, canonical_key(key)))
            else:
                value = ", ".join(canonical_text(part) for part in sent[row])
                self._refused(row, self._database.refusal(Failure(Verdict.UNIQUE, "", ", ".join(sure), value)))
        rest = batch.frame.filter(~batch.frame[ROW].is_in([row for row, *_more in found]))
        self._write(connection, batch.of(rest))

    def _update(self, connection: sa.Connection, batch: Batch) -> None:
        staging = self._staged(connection, batch)
        if batch.names:
            new: dict[str, Any] = {}
            for name in batch.names:
                column = self._table.columns[name]
                value = self._database.stored(column, staging.sql.c[name])
                new[name] = sa.case((staging.sql.c[sent_name(name)], value), else_=column.sql) if name in batch.masked else value
            connection.execute(sa.update(self._table.sql).values(new).where(staging.same_key()))
        missing = sa.select(staging.row).select_from(staging.sql.outerjoin(self._table.sql, staging.same_key())).where(self._key[0].sql.is_(None))
        gone = set(connection.execute(missing).scalars())
        for row in batch.frame[ROW]:
            if row in gone:
                self._gone(row)
            else:
                self._outcomes.append(Outcome(row, Result.WRITTEN))

    def _delete(self, connection: sa.Connection, batch: Batch) -> None:
        staging = self._staged(connection, batch)
        connection.execute(self._database.delete(staging))
        self._written(batch.frame[ROW], None)  # what is gone already is as it should be

    def _staging(self, connection: sa.Connection, batch: Batch) -> Staging:
        keys = () if batch.operation == "create" else self._entity.key
        return self._database.staging(connection, self._table, keys=keys, names=batch.names, masked=batch.masked)

    def _staged(self, connection: sa.Connection, batch: Batch) -> Staging:
        staging = self._staging(connection, batch)
        self._database.empty(connection, staging)
        self._database.fill(connection, staging, batch.frame)
        return staging

    # --- outcomes ---

    def _sent_keys(self, frame: pl.DataFrame) -> list[str]:
        if len(self._key) == 1:
            return frame[self._key[0].name].cast(pl.String).to_list()
        return [canonical_key(row) for row in frame.select([c.name for c in self._key]).iter_rows()]

    def _written(self, rows: pl.Series, keys: Sequence[str] | None) -> None:
        self._outcomes += [Outcome(row, Result.WRITTEN, key) for row, key in zip(rows.to_list(), keys or [None] * len(rows), strict=True)]

    def _refused(self, row: int, reason: Text) -> None:
        self._outcomes.append(Outcome(row, Result.REFUSED, reason=reason))

    def _gone(self, row: int) -> None:
        names = {"system": self._database.system, "entity": self._entity.label or self._entity.name}
        self._refused(row, Text(_("{system} no longer has this record of {entity}"), names))


class Batch:
    """Rows for one statement."""

    def __init__(self, operation: str, frame: pl.DataFrame, names: tuple[str, ...], masked: tuple[str, ...]) -> None:
        self.operation, self.frame, self.names, self.masked = operation, frame, names, masked

    def of(self, frame: pl.DataFrame) -> Batch:
        return Batch(self.operation, frame, self.names, self.masked)
