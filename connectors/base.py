"""What a connector is: how one kind of system is spoken to. Plain Python on Polars; no Django, nothing of the hub.

A connector turns a system's own way of speaking into frames, outcomes and errors, and decides nothing about syncs. It is synchronous to its
caller; one that has many requests in flight runs an event loop of its own inside. What it needs of its surroundings (permits, tokens, the
outgoing guard, the time it still has) comes as a `Host`. It proves itself with `connectors/conformance`.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, overload

import polars as pl
from pydantic import BaseModel
from pydantic_core import PydanticCustomError

from connectors.versions import Versions

# --- what is said to people -------------------------------------------------------------------------------------------


def _(text: str) -> str:
    """Mark a template for the catalogue of translations. Connectors say everything in plain English with named values."""
    return text


@dataclass(frozen=True, slots=True)
class Text:
    """A sentence as an English template and its named values; translated where it is shown, stored as it is."""

    template: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.template.format_map(self.values) if self.values else self.template


REFUSED = "hub"


def refused(template: str, /, **values: Any) -> PydanticCustomError:
    """What a validator of settings raises: a sentence of ours inside pydantic's, its text kept apart from its values."""
    return PydanticCustomError(REFUSED, "{template}", {"template": template, "values": values})


class ConnectorError(Exception):
    """Something failed while speaking to a system. (One record refused is no exception but that record's outcome.)

    ├── SettingsError   the administrator must change something; waiting is useless
    │   └── AddressRefused   the outgoing guard does not allow this address
    ├── BadAnswer       the answer is not what was promised (not JSON, cut short, too large, of another shape); worth a few tries
    │   └── Unreadable      a record that was looked up holds a value that does not fit its field; the others could be read
    ├── PositionExpired the system no longer knows the position reading was to go on from: read again from the start of the range
    ├── SystemDown      try again, after `retry_after` seconds where the system said so
    │   └── SystemBusy      it is alive but wants us to wait (429, limits)
    └── Stopped         our own time to work is over: the lease is lost or nearly so, or the work was cancelled
    """

    def __init__(self, template: str, /, **values: Any) -> None:
        self.text = Text(template, values)
        super().__init__(str(self.text))


class SettingsError(ConnectorError):
    pass


class AddressRefused(SettingsError):
    pass


class BadAnswer(ConnectorError):
    pass


class Unreadable(BadAnswer):
    pass


class PositionExpired(ConnectorError):
    pass


class SystemDown(ConnectorError):
    def __init__(self, template: str, /, *, retry_after: float | None = None, **values: Any) -> None:
        super().__init__(template, **values)
        self.retry_after = retry_after


class SystemBusy(SystemDown):
    pass


class SystemPausing(SystemBusy):
    """Nothing was asked: the pause that the system has asked for is not over. However often that is met, it is no failure."""


class Stopped(ConnectorError):
    pass


# --- what a system holds ----------------------------------------------------------------------------------------------


class FieldType(StrEnum):
    """The hub's types. In a frame each has one dtype, `FRAME_TYPES`; `json` travels as canonical JSON text."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    DATE = "date"
    TIME = "time"
    DATETIME = "datetime"
    JSON = "json"
    BINARY = "binary"


def frame_type(type_: FieldType, scale: int = 9) -> pl.DataType:
    """The Polars dtype that carries a field of this type; times are UTC in microseconds."""
    return {
        FieldType.TEXT: pl.String(),
        FieldType.INTEGER: pl.Int64(),
        FieldType.NUMBER: pl.Float64(),
        FieldType.DECIMAL: pl.Decimal(38, scale),
        FieldType.BOOLEAN: pl.Boolean(),
        FieldType.DATE: pl.Date(),
        FieldType.TIME: pl.Time(),
        FieldType.DATETIME: pl.Datetime("us", "UTC"),
        FieldType.JSON: pl.String(),
        FieldType.BINARY: pl.Binary(),
    }[type_]


class Field(BaseModel, frozen=True):
    """One field of an entity. `name` is its path in the record: nested objects are flattened with dots (`address.city`), lists stay `json`."""

    name: str
    type: FieldType = FieldType.TEXT
    label: str = ""
    required: bool = False  # a create without it is refused
    read_only: bool = False  # the system sets it itself
    max_length: int | None = None
    scale: int = 9  # digits behind the point of a decimal
    choices: tuple[str, ...] = ()
    description: str = ""


class Capabilities(BaseModel, frozen=True):
    """What may be asked of an entity. The hub asks for nothing that is not declared here."""

    create: bool = False
    update: bool = False
    upsert: bool = False  # a create that arrives twice makes one record
    delete: bool = False
    bulk: int = 0  # records one write request may carry; 0: one request a record
    in_flight: int = 1  # write requests at once
    incremental: bool = False  # can be asked for what changed since a cursor
    upper_bound: bool = False  # and up to one
    partitions: bool = False  # `split` tells positions from which parts of a reading may begin
    count: bool = False
    lookup_by_key: bool = False
    lookup_by: tuple[str, ...] = ()  # fields by which records can be looked up (match keys)
    stable_order: bool = False  # nothing is missed or seen twice while others write
    snapshot: bool = False
    tombstones: bool = False  # what was deleted is told by an incremental read
    own_cursor: bool = False  # how far it was read is a text of the system's own (`Page.cursor`), not a value of a field
    idempotency_key: bool = False  # a write sent again under the same key takes effect once
    returns_record: bool = False  # the answer to a write holds the record as it now is


class Entity(BaseModel, frozen=True):
    """A kind of record in a system, as discovered or as the hub has accepted it. `key` names the fields that identify a record."""

    name: str
    label: str = ""
    fields: tuple[Field, ...]
    key: tuple[str, ...]
    cursor_field: str | None = None  # rises whenever a record changes
    capabilities: Capabilities = Capabilities()

    def field(self, name: str) -> Field | None:
        return next((f for f in self.fields if f.name == name), None)

    def frame_schema(self, names: Sequence[str] | None = None) -> dict[str, pl.DataType]:
        """Column → dtype of a frame with these fields (all of them by default), in the entity's order."""
        return {f.name: frame_type(f.type, f.scale) for f in self.fields if names is None or f.name in names}


# --- what is read -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a source has been read: the greatest (cursor field, key), both in canonical text. Never a value alone: many records may share it.

    Where the entity has a cursor of its own, `value` is the text that the last page gave, and there is no key.
    """

    value: str
    key: str


Position = Mapping[str, Any]  # where a reading goes on, JSON; made and understood by the connector alone


@dataclass(frozen=True, slots=True)
class Misfit:
    """A value that does not fit its field: `row` counts within the page, `text` is the value as it came (cut to 200 characters)."""

    row: int
    field: str  # "" where the record as a whole could not be read
    text: str
    reason: Text


@dataclass(slots=True)
class Page:
    """What one read returns.

    `frame` has a column for each field asked for, in the entity's schema. A misfit's cell is null in the frame and listed in `misfits`, so it is
    never taken for an empty one. `absent` (Boolean columns, only for fields that were missing from some record) tells absent from null.
    `position` is where to go on after this page; None: it was the last. `deleted` holds the keys of tombstones. `cursor` is told by the last page
    alone, where the entity has a cursor of its own: the next reading since then begins with it.
    """

    frame: pl.DataFrame
    position: Position | None
    misfits: list[Misfit] = field(default_factory=list)
    absent: pl.DataFrame | None = None
    deleted: list[str] = field(default_factory=list)
    cursor: str = ""


# --- what is written --------------------------------------------------------------------------------------------------

Operation = Literal["create", "update", "delete"]


@dataclass(frozen=True, slots=True)
class Change:
    """One record to write. `values` holds the fields to send and no others: a null in it is sent as null, an absent field is not there."""

    row: int
    operation: Operation
    key: str | None  # canonical; None for a create
    values: dict[str, Any]
    idempotency_key: str


CHANGE_COLUMNS = {"row": pl.UInt32(), "operation": pl.String(), "key": pl.String(), "idempotency_key": pl.String()}


@dataclass(slots=True)
class Changes:
    """A portion to write: `about` has CHANGE_COLUMNS, `values` one column a field in the entity's schema, row by row beside it.

    `send` holds a Boolean column for each field that not every record sends; a field without one is sent by all.
    """

    about: pl.DataFrame
    values: pl.DataFrame
    send: pl.DataFrame | None = None

    def __len__(self) -> int:
        return self.about.height

    def slices(self, rows: int) -> Iterator[Changes]:
        """The same, so many records at a time."""
        for start in range(0, len(self), rows):
            send = self.send.slice(start, rows) if self.send is not None else None
            yield Changes(self.about.slice(start, rows), self.values.slice(start, rows), send)

    def records(self) -> Iterator[Change]:
        """Record by record, for systems that take them so."""
        masks = {name: self.send[name].to_list() for name in self.send.columns} if self.send is not None else {}
        rows = zip(self.about.select(*CHANGE_COLUMNS).iter_rows(), self.values.iter_rows(named=True), strict=True)
        for number, ((row, operation, key, idempotency_key), values) in enumerate(rows):
            for name, mask in masks.items():
                if not mask[number]:
                    del values[name]
            yield Change(row, operation, key, values, idempotency_key)


class Result(StrEnum):
    """What became of one record."""

    WRITTEN = "written"
    REFUSED = "refused"
    UNKNOWN = "unknown"  # the connection died after the request: it may have arrived


class Outcome(NamedTuple):
    """What became of the record `row` of a portion. (A tuple, for there is one for every record, and they cost a third of what an object does.)

    Written: `key` is its key in the target (None: the one that was sent), `record` the record as the target now has it, if it says so, as the
    values a frame of this entity would hold. Refused: `reason`, and `again` where another try may help. `sent` is false where it certainly
    never got through (the system asked us to wait or went down, our time was over): the row is as if it had not been handed over.
    """

    row: int
    result: Result
    key: str | None = None
    record: Mapping[str, Any] | None = None
    reason: Text | None = None
    again: bool = False
    sent: bool = True


class AllWritten(Sequence[Outcome]):
    """The outcomes of a portion of which every record was written, as columns: making an object of each costs more than writing them does.

    `keys`: the records' keys in the target, in the order of `rows`; None: those that were sent.
    """

    def __init__(self, rows: pl.Series, keys: pl.Series | None = None) -> None:
        self.rows, self.keys = rows, keys

    @classmethod
    def of(cls, outcomes: list[Outcome]) -> AllWritten | None:
        """These outcomes in the order of their rows, if they say no more than that."""
        keys = {outcome.key is None for outcome in outcomes}
        if len(keys) != 1 or any(outcome.result != Result.WRITTEN or outcome.record is not None for outcome in outcomes):
            return None
        ordered = sorted(outcomes)
        rows = pl.Series([outcome.row for outcome in ordered], dtype=pl.UInt32)
        return cls(rows, None if keys == {True} else pl.Series([outcome.key for outcome in ordered], dtype=pl.String))

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, place: int) -> Outcome: ...
    @overload
    def __getitem__(self, place: slice) -> list[Outcome]: ...
    def __getitem__(self, place: int | slice) -> Outcome | list[Outcome]:
        if isinstance(place, slice):
            return [self[n] for n in range(*place.indices(len(self)))]
        return Outcome(self.rows[place], Result.WRITTEN, self.keys[place] if self.keys is not None else None)

    def __iter__(self) -> Iterator[Outcome]:
        keys = self.keys.to_list() if self.keys is not None else [None] * len(self)
        return (Outcome(row, Result.WRITTEN, key) for row, key in zip(self.rows.to_list(), keys, strict=True))


# --- what a connector is given ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Token:
    """What a token call returned. `expires_at` is a Unix time, None where the system does not say."""

    value: str
    expires_at: float | None = None
    refresh: str | None = None


class Host(Protocol):
    """The hub as a connector sees it. Every method may be called from any thread; those that may wait for a database are marked."""

    system: str  # its name, for messages
    versions: Versions  # of records that were looked up, by this connector or another that works on the same part of a run

    def permit(self, wanted: int = 1) -> tuple[int, float]:
        """Draw up to `wanted` request permits: (granted, seconds until more may be had). Touches the database at most once a second; never sleeps."""
        ...

    def deadline(self) -> float:
        """`time.monotonic()` after which no request may be started, and at which one that is going is cut. Moves as the lease is renewed."""
        ...

    def token(self, fetch: Callable[[str | None], Token], *, stale: str | None = None) -> str:
        """The credential's current token. Where there is none, it expires within a minute, or it is `stale` (just refused), `fetch(refresh token)`
        is called once for all workers under a row lease, outside any transaction. Waits for the database, and for another's renewal."""
        ...

    def allow_address(self, host: str, address: str) -> None:
        """Raise AddressRefused unless a connection to this resolved IP address of `host` may be opened. Called where the connection is opened."""
        ...

    def allow_path(self, path: str) -> None:
        """Raise AddressRefused unless this file or folder of the hub's own machine may be opened; `path` is absolute, its links resolved."""
        ...

    def before_request(self) -> None:
        """Raise SystemDown while the circuit to this system is open, SystemBusy while it has asked for a pause, Stopped when the deadline has passed."""
        ...

    def after_request(self, *, ok: bool, seconds: float) -> None:
        """Tell the breaker and the latency statistics how one request went; `ok` is false for time-outs, refused connections and 5xx."""
        ...

    def asked_to_wait(self, seconds: float) -> None:
        """Tell that the system has asked for a pause that is too long to sit out: until then nobody sends it anything. Waits for the database."""
        ...


class FreeHost:
    """A host without limits, for a connector's own tests: everything is allowed, tokens are kept in memory."""

    def __init__(self, system: str = "system") -> None:
        self.system = system
        self.versions = Versions()
        self._token: Token | None = None

    def permit(self, wanted: int = 1) -> tuple[int, float]:
        return wanted, 0.0

    def deadline(self) -> float:
        return float("inf")

    def token(self, fetch: Callable[[str | None], Token], *, stale: str | None = None) -> str:
        if self._token is None or self._token.value == stale:
            self._token = fetch(self._token.refresh if self._token else None)
        return self._token.value

    def allow_address(self, host: str, address: str) -> None:
        return

    def allow_path(self, path: str) -> None:
        return

    def before_request(self) -> None:
        return

    def after_request(self, *, ok: bool, seconds: float) -> None:
        return

    def asked_to_wait(self, seconds: float) -> None:
        return


# --- the connector ----------------------------------------------------------------------------------------------------


class Connector(abc.ABC):
    """One kind of system. An instance speaks to one system for one piece of work and is closed after it; it belongs to one thread at a time.

    `Settings` is a pydantic model: the console draws its form from the model's JSON Schema. Mark a secret with
    `json_schema_extra={"secret": True}`: it is stored encrypted and never shown. A stored secret is sent to no host but those that the settings
    named when it was entered: in a full address, or in a setting called `host`. Beside one with `{"return_address": True}` stands where the system
    has to send people back to.
    """

    kind: ClassVar[str]
    title: ClassVar[str]
    description: ClassVar[str] = ""
    version: ClassVar[int] = 1
    keeps_versions: ClassVar[bool] = False  # lookups note records' versions in `host.versions`, and what has another by then is not overwritten
    Settings: ClassVar[type[BaseModel]]

    def __init__(self, settings: BaseModel, host: Host) -> None:
        self.settings = settings
        self.host = host

    def __enter__(self) -> Connector:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:  # noqa: B027  most have nothing to close
        """Give back connections. Called once."""

    @classmethod
    def declared(cls, settings: BaseModel, *, system: str) -> list[Entity]:
        """The entities that these settings describe in full, so that nobody has to be asked; `system` names it in messages. Makes no request."""
        return []

    @classmethod
    def advice(cls, settings: BaseModel) -> list[Text]:
        """What will give trouble with settings that are valid all the same; told when they are saved. Makes no request."""
        return []

    @abc.abstractmethod
    def check(self) -> Text:
        """Prove with one cheap request that the system can be spoken to with these settings; say who we are there. Raises ConnectorError."""

    @abc.abstractmethod
    def discover(self) -> list[Entity]:
        """The entities of the system with their fields, in a stable order."""

    @abc.abstractmethod
    def count(self, entity: Entity) -> int | None:
        """How many records there are; None where the system does not tell."""

    def newest(self, entity: Entity) -> str | None:
        """The greatest value of the cursor field, in canonical text: of a cursor that no clock can bound, up to where it was when a run began.

        None where there is none, or the system does not tell.
        """
        return None

    @abc.abstractmethod
    def read(
        self,
        entity: Entity,
        since: Cursor | None = None,
        *,
        position: Position | None = None,
        until: str | None = None,
        fields: Sequence[str] | None = None,
        keys_only: bool = False,
    ) -> Iterator[Page]:
        """Page after page, from `position` where one is given (None: from the start), only what changed at or after `since` and up to `until`.

        Where the entity's order is stable, what changed since a cursor comes in the order (cursor field, key). The last page says so by
        `position=None`; an empty source is one empty page. Closing the generator ends the reading. Raises PositionExpired where the system no
        longer knows the position, or the cursor of its own.
        """

    def split(self, entity: Entity, parts: int, since: Cursor | None = None, *, until: str | None = None) -> list[Position]:
        """Positions from which `read`, asked for the same since and until, reads up to `parts` parts that together are the whole and share nothing.

        Fewer where there are not so many records. Each part ends by itself. Only for an entity that declares partitions.
        """
        return []

    @abc.abstractmethod
    def lookup(self, entity: Entity, by: str, values: Sequence[str], fields: Sequence[str] | None = None) -> pl.DataFrame:
        """The records whose field `by` (or whose key, for `by="#key"`) is one of these canonical texts, in the entity's schema.

        In bulk where the system can. All that match are returned: the caller counts.
        """

    @abc.abstractmethod
    def write(self, entity: Entity, changes: Changes) -> Sequence[Outcome]:
        """Send a portion and return an outcome for each of its rows, in any order. Raises ConnectorError only when nothing at all
        was sent; after the first request everything is an outcome."""


KEY = "#key"  # lookup by the entity's key
