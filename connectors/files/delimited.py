"""Reading CSV and TSV, in blocks of whole records that pyarrow takes apart; a file of any size needs a few megabytes.

What is empty and not quoted is null, what is quoted and empty is an empty text; a column that a file does not have cannot be absent from some records
only. A line with too few or too many columns, or one that opens a quote which nothing closes, is a misfit with its line number, behind the good
records of its block. A place in a file is {"byte": of a block, "line": its number, "skip": records of the block that were read,
"encoding": once it is known}.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv

from connectors.base import BadAnswer, Field, Misfit, Text, _
from connectors.files.dialects import Dialect, encoding_of, found_out
from connectors.files.readers import SAMPLE_ROWS, Opened, Part, Reader
from connectors.files.records import is_open, whole_records
from connectors.files.settings import Csv, FileSettings
from connectors.files.values import LARGEST_VALUE, Column, inferred, shown
from connectors.formulas import as_it_was

BLOCK_BYTES = 1536 * 1024
LONGEST_RECORD = 16 * 1024 * 1024
CLOSED = Text(_("opens a quote that is not closed"))


@dataclass(frozen=True, slots=True)
class Block:
    """Whole records in UTF-8, where they stand, and what comes behind them. `broken`: one line that is no record, and why."""

    text: bytes
    byte: int
    line: int
    next_byte: int
    broken: Text | None = None

    @property
    def next_line(self) -> int:
        return self.line + self.text.count(b"\n")


class CsvReader(Reader):
    def __init__(self, file: Opened, declared: FileSettings, *, system: str, page_rows: int) -> None:
        super().__init__(file, declared, system=system, page_rows=page_rows)
        assert isinstance(declared.format, Csv)  # noqa: S101
        self.style = declared.format
        head = file.read(0, BLOCK_BYTES)
        self.refuse_others(head)
        self.dialect: Dialect = found_out(head[:65_536], self.style)
        self._separator, self._quote, self._newline = (
            self.dialect.separator.encode(),
            self.dialect.quote.encode(),
            self.dialect.newline.encode(),
        )
        self.names, self._body, self._body_line = self._header(head)

    # --- what stands before the records ---

    def _header(self, head: bytes) -> tuple[list[str], int, int]:
        """The columns' names, and byte and line at which the records begin."""
        start = self.dialect.mark + self._raw_lines(head[self.dialect.mark :], self.style.skip_lines)
        text = self._text(head[start:]).decode("utf-8", "replace")
        first = csv.reader(io.StringIO(text, newline=""), delimiter=self.dialect.separator, quotechar=self.dialect.quote)
        row = next((row for row in first if row), [])
        if not row:
            raise self.not_what_it_claims(Text(_("it is empty, without even a header")))
        if not self.style.header:
            declared = [f.name for f in self.declared.fields]
            return declared if len(declared) == len(row) else [f"column_{n + 1}" for n in range(len(row))], start, self.style.skip_lines + 1
        names = [name.strip() or f"column_{n + 1}" for n, name in enumerate(row)]
        if self.declared.write and self.style.formulas == "neutralise":
            names = [as_it_was(name) for name in names]
        if twice := {n for n in names if names.count(n) > 1}:
            raise self.not_what_it_claims(Text(_("two of its columns are called {name}"), {"name": min(twice)}))
        body = start + self._raw_lines(head[start:], first.line_num)
        return names, body, self.style.skip_lines + first.line_num + 1

    def _raw_lines(self, raw: bytes, count: int) -> int:
        """How many bytes so many lines take."""
        end = 0
        if self.dialect.is_wide:
            lines = self._wide(raw).split(self.dialect.newline)[:count]
            return min(len(raw), len("".join(line + self.dialect.newline for line in lines).encode(self.dialect.encoding, "surrogatepass")))
        for _number in range(count):
            found = raw.find(self._newline, end)
            if found < 0:
                return len(raw)
            end = found + 1
        return end

    def _text(self, raw: bytes) -> bytes:
        return self._wide(raw).encode("utf-8", "surrogatepass") if self.dialect.is_wide else self.dialect.utf8(raw)

    def _wide(self, raw: bytes) -> str:
        return codecs.getincrementaldecoder(self.dialect.encoding)("surrogatepass").decode(raw)

    # --- blocks of whole records ---

    def _blocks(self, byte: int, line: int) -> Iterator[Block]:
        wanted = BLOCK_BYTES
        while byte < self.file.size:
            raw = self.file.read(byte, wanted)
            if not raw:
                return
            is_end = byte + len(raw) >= self.file.size
            if self.dialect.is_open and not raw.isascii():
                self.dialect = replace(self.dialect, encoding=encoding_of(raw), is_open=False)
            used, text = self._whole(raw)
            if not used and not is_end and wanted < LONGEST_RECORD:
                wanted *= 2
                continue
            if is_end and used < len(raw) and not self._is_open(raw[used:]):
                used, text = len(raw), self._text(raw)
            if used:
                block = Block(text, byte, line, byte + used)
            else:
                block = self._broken_line(raw, byte, line)
            yield block
            byte, line, wanted = block.next_byte, block.next_line, BLOCK_BYTES

    def _whole(self, raw: bytes) -> tuple[int, bytes]:
        """How many bytes of it are whole records, and these in UTF-8."""
        way = {"separator": self._separator, "quote": self._quote, "newline": self._newline}
        if not self.dialect.is_wide:
            used = whole_records(raw, **way)
            return used, self.dialect.utf8(raw[:used])
        text = self._text(raw)
        text = text[: whole_records(text, **way)]
        return len(text.decode("utf-8", "surrogatepass").encode(self.dialect.encoding, "surrogatepass")), text

    def _is_open(self, raw: bytes) -> bool:
        return is_open(self._text(raw), separator=self._separator, quote=self._quote, newline=self._newline)

    def _broken_line(self, raw: bytes, byte: int, line: int) -> Block:
        """The first line alone, which begins a record that has no end; reading goes on behind it."""
        length = self._raw_lines(raw, 1)
        after = byte + length
        if length == len(raw) and not raw.endswith(self._newline):  # the line is longer still
            while chunk := self.file.read(after, BLOCK_BYTES):
                rest = self._raw_lines(chunk, 1)
                after += rest
                if rest < len(chunk) or chunk.endswith(self._newline):
                    break
        return Block(self._text(raw[:length]), byte, line, after, CLOSED)

    # --- records ---

    def parts(self, fields: Sequence[Field], at: Mapping[str, Any]) -> Iterator[Part]:
        for field in fields:
            if field.name not in self.names:
                self.no_field(field.name, self.names)
        if "encoding" in at:
            self.dialect = replace(self.dialect, encoding=at["encoding"], is_open=False)
        skip = at.get("skip", 0)
        for block in self._blocks(at.get("byte", self._body), at.get("line", self._body_line)):
            ends = block.next_byte >= self.file.size
            encoding = {} if self.dialect.is_open else {"encoding": self.dialect.encoding}
            behind = None if ends else {"byte": block.next_byte, "line": block.next_line, "skip": 0, **encoding}
            columns = [Column(field, self.style, self.dialect.encoding) for field in fields]
            raw, broken = self._parsed(block, [field.name for field in fields])
            series, misfits = [], []
            is_plain = len(block.text) <= LARGEST_VALUE and b"\0" not in block.text
            for column in columns:
                made, wrong = column.fitted(raw[column.field.name], is_plain=is_plain)
                series.append(made)
                misfits += wrong
            frame = pl.DataFrame(series) if series else pl.DataFrame({"": pl.Series([None] * raw.height)})
            here = {"byte": block.byte, "line": block.line, **encoding}
            yield from self._paged(frame, misfits, broken, skip, here, behind)
            skip = 0

    def _paged(
        self,
        frame: pl.DataFrame,
        misfits: list[Misfit],
        broken: list[tuple[str, Text]],
        skip: int,
        here: Mapping[str, Any],
        behind: Mapping[str, Any] | None,
    ) -> Iterator[Part]:
        """A block's records in pages; its broken lines come with the last."""
        edges = [*range(skip, max(frame.height, skip + 1), self.page_rows), frame.height]
        for start, end in pairwise(edges):
            some = frame.slice(start, end - start)
            inside = [Misfit(m.row - start, m.field, m.text, m.reason) for m in misfits if start <= m.row < end] if misfits else []
            if end < frame.height:
                yield Part(some, inside, {**here, "skip": end})
                continue
            inside += [Misfit(some.height + n, "", text, reason) for n, (text, reason) in enumerate(broken)]
            yield Part(pl.concat([some, some.clear(len(broken))]) if broken else some, inside, behind)

    def _parsed(self, block: Block, names: Sequence[str]) -> tuple[pl.DataFrame, list[tuple[str, Text]]]:
        """The named columns of a block as texts, and its broken lines with what is wrong with them."""
        if block.broken is not None:
            return pl.DataFrame(schema=dict.fromkeys(names, pl.String)), [(shown(block.text.rstrip()), self._at_line(block.broken, block.line))]
        wrong: list[Any] = []

        def note(row: Any) -> str:
            wrong.append(row)
            return "skip"

        is_text = _is_text(block.text)
        text = block.text if is_text else block.text.decode("latin-1").encode()  # each byte as a character of its own: they are looked at below
        frame = pl.DataFrame(pl.from_arrow(self._table(text, names, note)))
        frame = frame.rename(dict(zip(frame.columns, names, strict=False)))
        if not is_text:
            frame = frame.select(pl.Series(c.name, [None if v is None else v.encode("latin-1") for v in c], dtype=pl.Binary) for c in frame)
        return frame, list(self._told(block, wrong, "utf-8" if is_text else "latin-1"))

    def _table(self, text: bytes, names: Sequence[str], note: Any) -> pa.Table:
        everything = [str(n) for n in range(len(self.names))]
        places = [str(self.names.index(name)) for name in names] or ["0"]
        try:
            return pa_csv.read_csv(
                pa.BufferReader(text),
                read_options=pa_csv.ReadOptions(use_threads=False, block_size=len(text) + 16, column_names=everything),
                parse_options=pa_csv.ParseOptions(
                    delimiter=self.dialect.separator, quote_char=self.dialect.quote, newlines_in_values=True, invalid_row_handler=note
                ),
                convert_options=pa_csv.ConvertOptions(
                    column_types=dict.fromkeys(everything, pa.string()),
                    include_columns=places,
                    null_values=[""],
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=False,
                ),
            )
        except pa.ArrowInvalid as error:
            if "Empty CSV" in str(error):
                return pa.table({place: pa.array([], pa.string()) for place in places})
            raise BadAnswer(
                _("{path} of {system} cannot be taken apart: {reason}"), path=self.file.path, system=self.system, reason=str(error)[:200]
            ) from None

    def _told(self, block: Block, rows: Sequence[Any], encoding: str) -> Iterator[tuple[str, Text]]:
        at, line = 0, block.line
        for row in rows:
            raw = row.text.encode(encoding)
            found = block.text.find(raw, at)
            line += block.text.count(b"\n", at, max(found, at))
            at = max(found, at)
            reason = Text(_("has {actual} columns instead of {expected}"), {"actual": row.actual_columns, "expected": row.expected_columns})
            yield shown(raw), self._at_line(reason, line)

    def _at_line(self, reason: Text, line: int) -> Text:
        return Text(_("line {line} of {path} {reason}"), {"line": line, "path": self.file.path, "reason": reason})

    # --- what it holds ---

    def learnt(self) -> list[Field]:
        block = next((b for b in self._blocks(self._body, self._body_line) if b.broken is None), None)
        if block is None:
            return [Field(name=name) for name in self.names]
        sample, _broken = self._parsed(block, self.names)
        return [inferred(name, sample[name].head(SAMPLE_ROWS), self.style) for name in self.names]


def _is_text(text: bytes) -> bool:
    try:
        return text.isascii() or bool(codecs.utf_8_decode(text, "strict", True))
    except UnicodeDecodeError:
        return False
