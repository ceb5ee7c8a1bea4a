"""Reading Parquet, a piece of a row group at a time. A place in a file is {"group": its number, "skip": records of it that were read}."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from connectors.base import Field, FieldType, Misfit, SettingsError, Text, _, frame_type
from connectors.files.readers import Opened, Part, Reader
from connectors.files.settings import Csv, FileSettings, Parquet
from connectors.files.values import Column, fit_to_store, in_calendar, only, shown
from connectors.rest.parsing import canonical_json

T = FieldType
READ_AHEAD = 4 * 1024 * 1024


class Seekable(io.RawIOBase):
    """A file as Python's own files are."""

    def __init__(self, file: Opened) -> None:
        super().__init__()
        self._file, self._at = file, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._file.size}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(self._at, len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


class ParquetReader(Reader):
    def __init__(self, file: Opened, declared: FileSettings, *, system: str, page_rows: int) -> None:
        super().__init__(file, declared, system=system, page_rows=page_rows)
        assert isinstance(declared.format, Parquet)  # noqa: S101
        self._zone = declared.format.zone
        with self._understood():
            self._parquet = pq.ParquetFile(io.BufferedReader(Seekable(file), READ_AHEAD))
            self._schema: pa.Schema = self._parquet.schema_arrow
        names = self._schema.names
        if twice := {n for n in names if names.count(n) > 1}:
            raise self.not_what_it_claims(Text(_("two of its columns are called {name}"), {"name": min(twice)}))

    @contextlib.contextmanager
    def _understood(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError) as error:
            reason = Text(_("it cannot be opened, or is damaged ({reason})"), {"reason": str(error).partition("\n")[0][:200]})
            raise self.not_what_it_claims(reason) from None

    def count(self) -> int:
        return int(self._parquet.metadata.num_rows)

    def edges(self) -> list[Mapping[str, Any]]:
        return [{"group": group, "skip": 0} for group in range(self._parquet.metadata.num_row_groups)]

    def learnt(self) -> list[Field]:
        return [_field(column) for column in self._schema]

    def parts(self, fields: Sequence[Field], at: Mapping[str, Any]) -> Iterator[Part]:
        names = self._schema.names
        for f in fields:
            if f.name not in names:
                self.no_field(f.name, names)
        groups = self._parquet.metadata.num_row_groups
        for group in range(at.get("group", 0), groups):
            done = at.get("skip", 0) if group == at.get("group", 0) else 0
            total = self._parquet.metadata.row_group(group).num_rows
            behind = {"group": group + 1, "skip": 0} if group + 1 < groups else None
            batches = self._parquet.iter_batches(self.page_rows, [group], [f.name for f in fields], use_threads=False)
            passed = 0
            while (batch := self._next(batches)) is not None:
                start, passed = passed, passed + batch.num_rows
                if passed <= done:
                    continue
                some = batch.slice(max(0, done - start))
                yield self._part(some, fields, behind if passed >= total else {"group": group, "skip": passed})

    def _next(self, batches: Iterator[pa.RecordBatch]) -> pa.RecordBatch | None:
        with self._understood():
            return next(batches, None)

    def _part(self, batch: pa.RecordBatch, fields: Sequence[Field], at: Mapping[str, Any] | None) -> Part:
        if not fields:
            return Part(pl.DataFrame({"": pl.Series([None] * batch.num_rows)}), [], at)
        made, misfits = [], []
        for f in fields:
            series, wrong = self._fitted(f, pl.Series(f.name, pl.from_arrow(_known(batch.column(f.name)))))
            made.append(series)
            misfits += wrong
        return Part(pl.DataFrame(made), misfits, at)

    def _fitted(self, field: Field, raw: pl.Series) -> tuple[pl.Series, list[Misfit]]:
        if raw.dtype.is_nested() and field.type is T.JSON:
            raw = _as_json(raw)
        if raw.dtype in (pl.Categorical, pl.Enum):
            raw = raw.cast(pl.String)
        if raw.dtype == pl.Duration:
            raw = raw.dt.to_string("iso")
        if raw.dtype == pl.String and field.type is not T.TEXT:
            return Column(field, Csv(zone=self._zone)).fitted(raw)
        made = self._made(field, raw).alias(field.name)
        lost = (made.is_null() & raw.is_not_null()).arg_true().to_list()
        return made, [Misfit(row, field.name, shown(raw[row]), Text(_("is no {type}"), {"type": str(field.type)})) for row in lost]

    def _made(self, field: Field, raw: pl.Series) -> pl.Series:
        target = frame_type(field.type, field.scale)
        match field.type:
            case T.TEXT if raw.dtype == pl.String:
                return fit_to_store(raw)
            case T.NUMBER:
                numbers = raw.cast(target, strict=False)
                return only(numbers, numbers.is_finite())
            case T.DATETIME if isinstance(raw.dtype, pl.Datetime):
                zoned = raw if raw.dtype.time_zone else raw.dt.replace_time_zone(self._zone, ambiguous="earliest", non_existent="null")
                return in_calendar(zoned.cast(pl.Datetime("us", zoned.dtype.time_zone)).dt.convert_time_zone("UTC"))  # type: ignore[attr-defined]
            case T.DATE if raw.dtype == pl.Date:
                return in_calendar(raw)
            case T.DECIMAL:
                cast = raw.cast(target, strict=False)
                return only(cast, (cast == raw).fill_null(value=True)) if raw.dtype.is_decimal() else cast
        if raw.dtype == target or (raw.dtype.is_integer() and field.type is T.INTEGER) or raw.dtype == pl.Null:
            return raw.cast(target, strict=False)
        raise SettingsError(
            _("{path} of {system} holds {field} as {kind}, not as {type}. Look again what the system holds."),
            path=self.file.path,
            system=self.system,
            field=field.name,
            kind=str(raw.dtype),
            type=str(field.type),
        )


def _known(column: pa.Array) -> pa.Array:
    """The column as Polars can take it: of some types it knows nothing, and of time zones those alone that it has in its list."""
    if isinstance(column.type, pa.UuidType):
        return pa.array([None if value is None else str(value) for value in column.to_pylist()], pa.string())
    if isinstance(column.type, pa.BaseExtensionType):
        column = column.storage
    if pa.types.is_timestamp(column.type) and column.type.tz:
        return column.cast(pa.timestamp(column.type.unit, "UTC"))
    if pa.types.is_decimal256(column.type):
        return pa.array([None if value is None else format(value, "f") for value in column.to_pylist()], pa.string())
    return column


def _field(column: pa.Field) -> Field:
    type_ = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if isinstance(type_, pa.UuidType | pa.JsonType):
        return Field(name=column.name, type=T.TEXT if isinstance(type_, pa.UuidType) else T.JSON)
    type_ = type_.storage_type if isinstance(type_, pa.BaseExtensionType) else type_
    types = pa.types
    kinds = {
        T.INTEGER: pa.types.is_integer,
        T.NUMBER: pa.types.is_floating,
        T.DECIMAL: pa.types.is_decimal,
        T.BOOLEAN: pa.types.is_boolean,
        T.DATE: pa.types.is_date,
        T.TIME: pa.types.is_time,
        T.DATETIME: pa.types.is_timestamp,
        T.JSON: pa.types.is_nested,
        T.BINARY: lambda t: any(one(t) for one in (types.is_binary, types.is_large_binary, types.is_fixed_size_binary, types.is_binary_view)),
    }
    found = next((kind for kind, is_one in kinds.items() if is_one(type_)), T.TEXT)
    return Field(name=column.name, type=found, scale=min(max(type_.scale, 0), 18) if found is T.DECIMAL else 9)


def _as_json(raw: pl.Series) -> pl.Series:
    """Lists and structs as the JSON text they stand for."""
    return pl.Series(raw.name, [None if value is None else canonical_json(value) for value in raw.to_list()], dtype=pl.String)
