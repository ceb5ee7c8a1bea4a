"""Reading Excel workbooks (.xlsx), row by row: a sheet has at most a million of them. A place in a file is {"row": how many were read}.

An empty cell is null: Excel knows no empty text. A cell that shows an error is a misfit. Of a formula, the value is read that Excel last computed.
"""

from __future__ import annotations

import datetime as dt
import io
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any
from xml.etree.ElementTree import ParseError

import polars as pl
from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

from connectors.base import BadAnswer, Field, FieldType, Misfit, Text, _
from connectors.files.parquet import READ_AHEAD, Seekable
from connectors.files.readers import SAMPLE_ROWS, Opened, Part, Reader
from connectors.files.settings import Csv, Excel, FileSettings
from connectors.files.values import Column, inferred, shown

LARGEST_INSIDE = 2048 * 1024 * 1024  # bytes of what is packed in a workbook,
LARGEST_HELD = 128 * 1024 * 1024  # and of what is held in memory of it: all but the sheets
SHEETS = "xl/worksheets/"
OLD = b"\xd0\xcf\x11\xe0"  # begins files of the older format, and what a password encrypts
BAD = (  # what openpyxl raises over a damaged workbook
    zipfile.BadZipFile, zlib.error, InvalidFileException, ParseError, LookupError, ValueError, EOFError, AttributeError, TypeError, ArithmeticError,
    RuntimeError,
)  # fmt: skip
ERROR = "e"  # openpyxl's type of a cell that shows one

Row = tuple[Any, ...]


class ExcelReader(Reader):
    def __init__(self, file: Opened, declared: FileSettings, *, system: str, page_rows: int) -> None:
        super().__init__(file, declared, system=system, page_rows=page_rows)
        assert isinstance(declared.format, Excel)  # noqa: S101
        self._settings = declared.format
        self._style = Csv(zone=declared.format.zone)
        rows = self._rows()
        first = next(rows, ())
        width = max((n + 1 for n, cell in enumerate(first) if cell.value is not None), default=0)
        if not width:
            raise self.not_what_it_claims(Text(_("its sheet is empty")))
        told = [cell.value for cell in first[:width]] if declared.format.header else [f.name for f in declared.fields]
        told = told if len(told) == width else [None] * width
        self._names = [str(name).strip() if name is not None else f"column_{n + 1}" for n, name in enumerate(told)]
        if twice := {n for n in self._names if self._names.count(n) > 1}:
            raise self.not_what_it_claims(Text(_("two of its columns are called {name}"), {"name": min(twice)}))

    def _rows(self) -> Iterator[Row]:
        """The sheet's rows behind those to be passed over, as openpyxl has them."""
        try:
            workbook = self._opened()
            names = [sheet.title for sheet in workbook.worksheets]  # without those that are a chart
            name = self._settings.sheet or next(iter(names), "")
            if name not in names:
                reason = Text(_("it has no sheet {sheet}; there are: {sheets}"), {"sheet": name, "sheets": ", ".join(names[:20])})
                raise self.not_what_it_claims(reason)
            sheet = workbook[name]
            sheet.reset_dimensions()  # what a sheet says of its size is often wrong
            yield from islice(sheet.iter_rows(), self._settings.skip_lines, None)
        except BAD as error:
            raise self.not_what_it_claims(Text(_("it is no workbook, or a damaged one ({reason})"), {"reason": str(error)[:200]})) from None

    def _opened(self) -> Any:
        if self.file.read(0, len(OLD)) == OLD:
            raise self.not_what_it_claims(Text(_("it is an .xls file, or protected by a password. Save it as .xlsx without one")))
        stream = io.BufferedReader(Seekable(self.file), READ_AHEAD)
        if not zipfile.is_zipfile(stream):
            raise self.not_what_it_claims(Text(_("it is no workbook, or a damaged one ({reason})"), {"reason": ".xlsx"}))
        with zipfile.ZipFile(stream) as packed:
            sizes = {entry.filename: entry.file_size for entry in packed.infolist()}
        held = sum(size for name, size in sizes.items() if not name.startswith(SHEETS))
        if held > LARGEST_HELD or sum(sizes.values()) > LARGEST_INSIDE:
            raise BadAnswer(
                _("{path} of {system} holds more than {limit} MiB unpacked. It is not opened."),
                path=self.file.path,
                system=self.system,
                limit=(LARGEST_HELD if held > LARGEST_HELD else LARGEST_INSIDE) >> 20,
            )
        return load_workbook(io.BufferedReader(Seekable(self.file), READ_AHEAD), read_only=True, data_only=True, keep_links=False)

    def _records(self) -> Iterator[Row]:
        rows = islice(self._rows(), 1 if self._settings.header else 0, None)
        return (row for row in rows if any(cell.value is not None for cell in row))

    def parts(self, fields: Sequence[Field], at: Mapping[str, Any]) -> Iterator[Part]:
        for f in fields:
            if f.name not in self._names:
                self.no_field(f.name, self._names)
        done = at.get("row", 0)
        rows = islice(self._records(), done, None)
        page = list(islice(rows, self.page_rows))
        while page:
            done += len(page)
            more = list(islice(rows, 1))
            yield self._part(page, fields, {"row": done} if more else None)
            page = list(chain(more, islice(rows, self.page_rows - 1))) if more else []

    def _part(self, rows: Sequence[Row], fields: Sequence[Field], at: Mapping[str, Any] | None) -> Part:
        if not fields:
            return Part(pl.DataFrame({"": pl.Series([None] * len(rows))}), [], at)
        made, misfits = [], []
        for f in fields:
            place = self._names.index(f.name)
            cells = [row[place] if place < len(row) else None for row in rows]
            series, wrong = Column(f, self._style).fitted(pl.Series([_text(cell, f.type) for cell in cells], dtype=pl.String))
            errors = [row for row, cell in enumerate(cells) if cell is not None and cell.data_type == ERROR]
            if errors:
                series = pl.select(pl.when(~pl.int_range(len(rows)).is_in(errors)).then(series).alias(f.name)).to_series()
                wrong = [m for m in wrong if m.row not in set(errors)]
                wrong += [Misfit(row, f.name, shown(cells[row].value), Text(_("is an error that the cell shows"))) for row in errors]  # type: ignore[union-attr]
            made.append(series)
            misfits += wrong
        return Part(pl.DataFrame(made), misfits, at)

    def learnt(self) -> list[Field]:
        rows = list(islice(self._records(), SAMPLE_ROWS))
        columns = [[row[n] for row in rows if n < len(row) and row[n].data_type != ERROR] for n in range(len(self._names))]
        return [self._inferred(name, cells) for name, cells in zip(self._names, columns, strict=True)]

    def _inferred(self, name: str, cells: Sequence[Any]) -> Field:
        values = [cell.value for cell in cells if cell.value is not None]
        if values and all(isinstance(value, dt.datetime) for value in values):
            return Field(name=name, type=FieldType.DATE if all(value.time() == dt.time() for value in values) else FieldType.DATETIME)
        return inferred(name, pl.Series([_text(cell, None) for cell in cells], dtype=pl.String), self._style)


def _text(cell: Any, type_: FieldType | None) -> str | None:
    """A cell's value as a CSV file would have it. Excel has no dates without a time: midnight stands for one, but where a time is wanted."""
    value = None if cell is None else cell.value
    match value:
        case None | "":
            return None
        case bool():
            return "true" if value else "false"
        case dt.datetime():
            is_day = value.time() == dt.time() and type_ is not FieldType.DATETIME
            return value.date().isoformat() if is_day else value.isoformat(" ")
        case dt.date() | dt.time():
            return value.isoformat()
        case float() if value.is_integer() and abs(value) < 2**53:
            return str(int(value))
        case float():
            return repr(value)
        case dt.timedelta():
            return str(value)
    return str(value)
