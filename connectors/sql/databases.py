"""What the connector asks of a database, whichever it is. One module for each kind of database says how it is done there.

Statements are built by SQLAlchemy: identifiers are quoted by the dialect, values are bound, and no text that came from data is ever part of one.
"""

from __future__ import annotations

import abc
import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar

import polars as pl
import sqlalchemy as sa

from connectors.base import ConnectorError, Host, SettingsError, Stopped, SystemBusy, SystemDown, Text, _
from connectors.permits import Permits, check_time
from connectors.sql.columns import Column
from connectors.sql.settings import SqlSettings
from connectors.sql.tables import Table

WATCH_SECONDS = 0.2
REASON_LENGTH = 400


class Verdict(Enum):
    """What an error of the database means."""

    RECORD = "record"  # it does not take this record
    UNIQUE = "unique"  # another record has these values already
    BUSY = "busy"  # locks, deadlocks, too many connections: worth another try
    DOWN = "down"  # it does not answer, or the connection broke
    SETTINGS = "settings"  # the administrator must change something


@dataclass(frozen=True, slots=True)
class Failure:
    """An error of the database, understood: one sentence of it, and where it tells, the column and value it is about."""

    verdict: Verdict
    said: str
    column: str = ""
    value: str = ""


class AsItIs(sa.types.UserDefinedType[Any]):
    """The type of a bound value that the driver takes as it is, whatever column it is compared with."""

    cache_ok = True


class Database(abc.ABC):
    """Connections to one database, opened when first needed: one that can only read, and one that writes."""

    is_clean: ClassVar[bool] = False  # texts hold no NUL and are valid UTF-8, for the database sees to it
    errors: tuple[type[Exception], ...] = (sa.exc.DBAPIError,)

    def __init__(self, settings: SqlSettings, host: Host) -> None:
        self.settings, self.host, self.system = settings, host, host.system
        self._reader: sa.Connection | None = None
        self._writer: sa.Connection | None = None
        self._permits = Permits(host)
        self._cut = ""
        self.made_at = time.monotonic()
        self.tables: dict[str, Table] = {}  # as they were found, by their entity's name
        self.definitions: dict[str, str] = {}  # what told then whether one has changed since

    # --- connections ---

    @property
    def reader(self) -> sa.Connection:
        """A connection whose transactions can only read."""
        if self._reader is None:
            self._reader = self._connected(read_only=True)
        return self._reader

    @property
    def writer(self) -> sa.Connection:
        if self._writer is None:
            self._writer = self._connected(read_only=False)
        return self._writer

    def _connected(self, *, read_only: bool) -> sa.Connection:
        engine = sa.create_engine(self.url(), creator=lambda: self.connect(read_only=read_only), poolclass=sa.pool.NullPool)
        connection = engine.connect()
        return connection.execution_options(isolation_level="AUTOCOMMIT") if read_only else connection  # reading leaves no transaction open

    @abc.abstractmethod
    def url(self) -> str:
        """SQLAlchemy's name of dialect and driver."""

    @abc.abstractmethod
    def connect(self, *, read_only: bool) -> Any:
        """A new connection of the driver, its address held against the host's guard. Raises ConnectorError or the driver's own error."""

    @property
    def can_be_kept(self) -> bool:
        """Whether its connections, which are open and in no transaction, are worth being kept for another connector."""
        return False

    def goes_on_for(self, host: Host) -> bool:
        """Have it speak for this host from now on; False where its connections have broken meanwhile. Raises AddressRefused."""
        self.host, self.system, self._permits = host, host.system, Permits(host)
        return self.can_be_kept

    def close(self) -> None:
        for connection in (self._reader, self._writer):
            self._drop(connection)
        self._reader = self._writer = None
        self.tables, self.definitions = {}, {}

    def _drop(self, connection: sa.Connection | None) -> None:
        if connection is None:
            return
        try:
            connection.close()
        except self.errors:  # it is broken already, and nothing of it is wanted any more
            with contextlib.suppress(sa.exc.ResourceClosedError):  # which it may be by now
                connection.invalidate()

    def definition(self, table: sa.Table) -> str:
        """What is another once the table's columns, constraints or indexes are; asked only of a database whose connections can be kept."""
        return ""

    # --- what a request is to the host ---

    @contextmanager
    def request(self) -> Iterator[None]:
        """Around whatever is asked of the database at once: permits before it, the deadline over it, the breaker told after it. Raises ConnectorError."""
        self._permits.use()
        check_time(self.host)
        self.host.before_request()
        started, ok, self._cut = time.monotonic(), True, ""
        try:
            with self._watched():
                yield
        except ConnectorError as error:
            ok = not isinstance(error, SystemDown) or isinstance(error, SystemBusy)
            self.close()  # after a failure no connection is trusted: they are opened anew when needed
            raise
        except self.errors as error:
            if not self._cut and time.monotonic() - started >= self.settings.connection.total_seconds:
                self._cut = "time-out"  # the database knows the time as well, and was quicker
            failure = self.failure(error)
            ok = failure.verdict is not Verdict.DOWN and not self._cut
            self.close()
            raise self.raised(failure) from error
        except BaseException:
            self.close()
            raise
        finally:
            self.host.after_request(ok=ok, seconds=time.monotonic() - started)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Cut what is going on when the deadline passes, which moves as the lease is renewed, or when it takes too long."""
        done = threading.Event()
        last = time.monotonic() + self.settings.connection.total_seconds

        def watch() -> None:
            while not done.wait(WATCH_SECONDS):
                now = time.monotonic()
                self._cut = "deadline" if now >= self.host.deadline() else "time-out" if now >= last else ""
                if self._cut:
                    self.interrupt()
                    return

        watcher = threading.Thread(target=watch, name="sql-watch", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()

    @abc.abstractmethod
    def identity(self) -> dict[str, str]:
        """ "server": what answered, "who": as whom we are signed in."""

    @abc.abstractmethod
    def interrupt(self) -> None:
        """Break off what the reader or writer is doing, from another thread."""

    # --- errors ---

    @abc.abstractmethod
    def failure(self, error: Exception) -> Failure:
        """What an error of the driver means."""

    def raised(self, failure: Failure) -> ConnectorError:
        names: dict[str, Any] = {"system": self.system, "reason": failure.said}
        if self._cut == "deadline":
            return Stopped(_("The time to work on {system} is over; the next worker goes on."), system=self.system)
        if self._cut == "time-out":
            return SystemDown(
                _("{system} took longer than {seconds} s over one statement, which was cut."),
                system=self.system,
                seconds=self.settings.connection.total_seconds,
            )
        match failure.verdict:
            case Verdict.BUSY:
                return SystemBusy(_("{system} is busy: {reason}"), retry_after=2.0, **names)
            case Verdict.DOWN:
                return SystemDown(_("{system} does not answer: {reason}"), **names)
        return SettingsError(_("{system} refuses what it is asked: {reason}"), **names)

    def refusal(self, failure: Failure) -> Text:
        """Why a record is not taken, as one sentence."""
        names = {"system": self.system, "column": failure.column, "value": failure.value, "reason": failure.said}
        if failure.verdict is Verdict.UNIQUE and failure.column:
            return Text(_("{system} already has a record whose {column} is {value}"), names)
        if failure.column and failure.value:
            return Text(_("{system} refused {column} = {value}: {reason}"), names)
        if failure.column:
            return Text(_("{system} refused {column}: {reason}"), names)
        return Text(_("{system} refused it: {reason}"), names)

    # --- writing ---

    def begin(self, connection: sa.Connection) -> None:  # noqa: B027  most have nothing to say
        """Said once at the start of a transaction that writes."""

    def plain(self, column: Column, values: pl.Series) -> pl.Series:
        """A column of changes as this database takes it."""
        return values

    # --- reading ---

    def shown(self, column: Column) -> sa.ColumnElement[Any]:
        """The expression a column is read by."""
        return column.sql

    def bound(self, value: Any, column: Column) -> sa.ColumnElement[Any]:
        """A value, bound as it is, to compare a column with."""
        return sa.bindparam(None, value, type_=AsItIs(), unique=True)

    def after(self, columns: Sequence[Column], values: Sequence[Any]) -> sa.ColumnElement[bool]:
        """Rows behind these values in the order of these columns."""
        if len(columns) == 1:
            return columns[0].sql > self.bound(values[0], columns[0])
        first, value = columns[0], values[0]
        behind = sa.and_(first.sql == self.bound(value, first), self.after(columns[1:], values[1:]))
        return sa.and_(first.sql >= self.bound(value, first), sa.or_(first.sql > self.bound(value, first), behind))

    def among(self, columns: Sequence[Column], values: Sequence[Sequence[Any]]) -> sa.ColumnElement[bool]:
        """Rows whose columns hold one of these value tuples."""
        if len(columns) == 1:
            return columns[0].sql.in_([self.bound(value, columns[0]) for (value,) in values])
        return sa.or_(*(sa.and_(*(c.sql == self.bound(v, c) for c, v in zip(columns, row, strict=True))) for row in values))

    most_values: ClassVar[int] = 500  # that `among` takes at once

    def lower(self, column: Column, text: str) -> sa.ColumnElement[bool]:
        """What is at or after this cursor."""
        return column.sql >= self.bound(column.since(text), column)

    def upper(self, column: Column, text: str) -> sa.ColumnElement[bool]:
        return column.sql <= self.bound(column.value(text), column)

    def found(self, select: sa.Select[Any], among: sa.ColumnElement[bool], columns: Sequence[Column]) -> pl.DataFrame:
        """As `fetch`: those of the records that are among the ones looked for."""
        return self.fetch(select.where(among), columns)

    def fetch(self, select: sa.Select[Any], columns: Sequence[Column]) -> pl.DataFrame:
        """The result as a frame, a column for each in the order given, values as the database hands them over."""
        rows = self.rows(select)
        values = zip(*rows, strict=True) if rows else ((),) * len(columns)
        return pl.DataFrame([_series(column.name, one) for column, one in zip(columns, values, strict=True)])

    def rows(self, select: sa.Select[Any]) -> Sequence[Sequence[Any]]:
        """The driver's own rows."""
        cursor = self.reader.execute(select).cursor
        return cursor.fetchall() if cursor is not None else ()

    def mark(self, column: Column, raw: pl.Series, row: int) -> str | None:
        """Where a reading stands: a value of the order, as text that `unmark` makes a value of again."""
        from connectors.canonical import canonical_text

        fitted, _misfits = column.as_stored.fitted(raw.slice(row, 1))
        return None if fitted[0] is None else canonical_text(fitted[0])

    def unmark(self, column: Column, text: str) -> Any:
        return column.as_stored.value(text)


def _series(name: str, values: Sequence[Any]) -> pl.Series:
    """Values of a driver; those of several types, which a column of SQLite may hold, as texts."""
    try:
        return pl.Series(name, values, strict=True)
    except (TypeError, OverflowError, pl.exceptions.PolarsError):
        return pl.Series(
            name, [None if v is None else v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in values], dtype=pl.String
        )


def one_sentence(text: str) -> str:
    """The first line of what a database said, without its full stop."""
    first = " ".join(text.strip().splitlines()[:1]).strip()
    return first.rstrip(".")[:REASON_LENGTH]
