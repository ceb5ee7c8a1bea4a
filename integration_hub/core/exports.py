"""Lists as files for spreadsheets, CSV and Excel, sent while they are being read."""

from __future__ import annotations

import csv
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any
from xml.sax.saxutils import escape

from django.http import StreamingHttpResponse
from django.utils import timezone

from connectors import formulas


class _Echo:
    def write(self, line: str) -> str:
        return line


def csv_answer(name: str, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> StreamingHttpResponse:
    """The rows as a file called by `name` and the day."""
    answer = StreamingHttpResponse(_lines(head, rows), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{name}-{timezone.localdate():%Y-%m-%d}.csv"'
    return answer


def _lines(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield "\ufeff" + writer.writerow([harmless(cell) for cell in head])
    for row in rows:
        yield writer.writerow([harmless(cell) for cell in row])


def harmless(cell: Any) -> Any:
    """A text that a spreadsheet would run as a formula gets an apostrophe before it."""
    return formulas.harmless(cell) if isinstance(cell, str) else cell


# --- Excel ------------------------------------------------------------------------------------------------------------
# Written by hand, since openpyxl makes the whole file before the first byte of it can be sent. The parts are those that ECMA-376 asks for.

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MOST_ROWS = 1_048_576  # of a sheet
MOST_CHARACTERS = 32_767  # of a cell
ROWS_AT_ONCE = 500
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_SPREADSHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
_NOT_IN_XML = re.compile("[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")


def excel_answer(name: str, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> StreamingHttpResponse:
    """The rows as an Excel file called by `name` and the day, on as many sheets as they need."""
    answer = StreamingHttpResponse(_workbook(head, rows), content_type=XLSX)
    answer["Content-Disposition"] = f'attachment; filename="{name}-{timezone.localdate():%Y-%m-%d}.xlsx"'
    return answer


class _Sent:
    """A file that can only be written on; what was written is taken away to be sent."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, part: bytes) -> int:
        self._parts.append(part)
        return len(part)

    def flush(self) -> None: ...

    def close(self) -> None: ...

    def take(self) -> bytes:
        taken, self._parts = b"".join(self._parts), []
        return taken


def _workbook(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[bytes]:
    sent, left, sheets = _Sent(), iter(rows), 0
    with zipfile.ZipFile(sent, "w", zipfile.ZIP_DEFLATED) as packed:
        first: list[Sequence[Any]] | None = []
        while first is not None:
            sheets += 1
            with packed.open(f"xl/worksheets/sheet{sheets}.xml", "w", force_zip64=True) as sheet:
                sheet.write(f'{_XML}<worksheet xmlns="{_MAIN}"><sheetData>{_row(head)}'.encode())
                of_sheet = islice(chain(first, left), MOST_ROWS - 1)
                while some := list(islice(of_sheet, ROWS_AT_ONCE)):
                    sheet.write("".join(map(_row, some)).encode())
                    yield sent.take()
                sheet.write(b"</sheetData></worksheet>")
            more = next(left, None)
            first = None if more is None else [more]
        for part, text in _around(range(1, sheets + 1)):
            packed.writestr(part, _XML + text)
    yield sent.take()


def _row(cells: Sequence[Any]) -> str:
    return f"<row>{''.join(map(_cell, cells))}</row>"


def _cell(value: Any) -> str:
    """A number as one; anything else as text, which Excel runs as nothing, and which a file made of it would not run either."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"<c><v>{value}</v></c>"
    text = _NOT_IN_XML.sub("\ufffd", str(harmless("" if value is None else str(value))))[:MOST_CHARACTERS]
    return f'<c t="inlineStr"><is><t xml:space="preserve">{escape(text)}</t></is></c>'


def _around(sheets: Sequence[int]) -> Iterator[tuple[str, str]]:
    """What makes a workbook of the sheets."""
    types = "".join(f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{_SPREADSHEET}.worksheet+xml"/>' for n in sheets)
    defaults = (
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_SPREADSHEET}.sheet.main+xml"/>'
    )
    yield "[Content_Types].xml", f'<Types xmlns="{_PACKAGE}/content-types">{defaults}{types}</Types>'
    yield "_rels/.rels", _relations([("officeDocument", "xl/workbook.xml")])
    named = "".join(f'<sheet name="{n}" sheetId="{n}" r:id="rId{n}"/>' for n in sheets)
    yield "xl/workbook.xml", f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>{named}</sheets></workbook>'
    yield "xl/_rels/workbook.xml.rels", _relations([("worksheet", f"worksheets/sheet{n}.xml") for n in sheets])


def _relations(targets: Sequence[tuple[str, str]]) -> str:
    told = "".join(f'<Relationship Id="rId{n}" Type="{_OFFICE}/{type_}" Target="{target}"/>' for n, (type_, target) in enumerate(targets, 1))
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{told}</Relationships>'
