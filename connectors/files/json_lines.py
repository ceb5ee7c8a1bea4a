"""Reading JSON Lines: one object a line, in UTF-8. Values are decoded as those of a JSON API are, so null, absent and empty are three things.

A place in a file is {"byte": at which a block of lines begins, "line": its number, "skip": lines of the block that were read}.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import msgspec
import orjson
import polars as pl

from connectors.base import BadAnswer, Field, FieldType, Misfit, Text, _
from connectors.files.readers import SAMPLE_ROWS, Opened, Part, Reader, declared_fields
from connectors.files.settings import FileSettings, JsonLines
from connectors.files.values import LARGEST_VALUE, shown
from connectors.rest.answers import Answer
from connectors.rest.discovery import learnt
from connectors.rest.records import Decoder
from connectors.rest.values import Form

BLOCK_BYTES = 1024 * 1024
LONGEST_LINE = 64 * 1024 * 1024


class Lines(NamedTuple):
    """Some lines, what of them is blank left out, each with its number."""

    lines: list[bytes]
    numbers: list[int]
    byte: int
    line: int
    next_byte: int
    next_line: int


class JsonLinesReader(Reader):
    def __init__(self, file: Opened, declared: FileSettings, *, system: str, page_rows: int) -> None:
        super().__init__(file, declared, system=system, page_rows=page_rows)
        assert isinstance(declared.format, JsonLines)  # noqa: S101
        self._formats = declared.format.formats
        head = file.read(0, 64)
        self.refuse_others(head)
        self._mark = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
        if head[self._mark :].lstrip().startswith(b"["):
            raise self.not_what_it_claims(Text(_("it begins with a list; each line has to be one object")))

    def _blocks(self, byte: int, line: int) -> Iterator[Lines]:
        wanted = BLOCK_BYTES
        while byte < self.file.size:
            raw = self.file.read(byte, wanted)
            is_end = byte + len(raw) >= self.file.size
            used = len(raw) if is_end else raw.rfind(b"\n") + 1
            if not used and wanted >= LONGEST_LINE:
                raise BadAnswer(
                    _("{path} of {system} has a line without an end within {limit} MiB."),
                    path=self.file.path,
                    system=self.system,
                    limit=LONGEST_LINE >> 20,
                )
            if not used:
                wanted *= 2
                continue
            lines = raw[:used].split(b"\n")
            lines = lines[:-1] if not lines[-1] else lines
            present = [(text, line + n) for n, text in enumerate(lines) if text and not text.isspace()]
            block = Lines([text for text, _n in present], [n for _text, n in present], byte, line, byte + used, line + len(lines))
            yield block
            byte, line, wanted = block.next_byte, block.next_line, BLOCK_BYTES

    def parts(self, fields: Sequence[Field], at: Mapping[str, Any]) -> Iterator[Part]:
        decoder = Decoder([Form.of(f, None, self._formats, LARGEST_VALUE) for f in fields])
        skip = at.get("skip", 0)
        for block in self._blocks(at.get("byte", self._mark), at.get("line", 1)):
            behind = None if block.next_byte >= self.file.size else {"byte": block.next_byte, "line": block.next_line}
            for start in range(skip, max(len(block.lines), skip + 1), self.page_rows):
                end = start + self.page_rows
                here = {"byte": block.byte, "line": block.line, "skip": end}
                yield self._part(decoder, block.lines[start:end], block.numbers[start:end], here if end < len(block.lines) else behind)
            skip = 0

    def _part(self, decoder: Decoder, lines: Sequence[bytes], numbers: Sequence[int], at: Mapping[str, Any] | None) -> Part:
        if not decoder.forms:  # nothing of the lines is wanted but how many they are
            return Part(pl.DataFrame({"": pl.Series([None] * len(lines))}), [], at)
        try:
            found = decoder.decode(self._answer(b"[" + b",".join(lines) + b"]"), "")
        except BadAnswer:
            found = None
        if found is not None and found.frame.height == len(lines):
            return Part(found.frame, found.misfits, at, found.absent)
        broken = {row for row, line in enumerate(lines) if not _is_json(line)}
        patched = [orjson.dumps(shown(line)) if row in broken else line for row, line in enumerate(lines)]
        found = decoder.decode(self._answer(b"[" + b",".join(patched) + b"]"), "")
        return Part(found.frame, [self._misfit(m, broken, numbers) for m in found.misfits], at, found.absent)

    def _misfit(self, misfit: Misfit, broken: set[int], numbers: Sequence[int]) -> Misfit:
        if misfit.row not in broken:
            return misfit
        reason = Text(_("line {line} of {path} is no valid JSON"), {"line": numbers[misfit.row], "path": self.file.path})
        return replace(misfit, reason=reason)

    def _answer(self, body: bytes) -> Answer:
        return Answer(200, {}, body, system=self.system, place=self.file.path)

    def learnt(self) -> list[Field]:
        block = next(self._blocks(self._mark, 1), None)
        lines = block.lines[:SAMPLE_ROWS] if block else []
        records = [record for line in lines if _is_json(line) and isinstance(record := msgspec.json.decode(line), dict)]
        if lines and not records:
            raise self.not_what_it_claims(Text(_("none of its first lines is an object")))
        whole = [f.name for f in self.declared.fields if f.type is FieldType.JSON]  # objects of which the parts are no fields
        found = {next((n for n in whole if f.name.startswith(f"{n}.")), f.name): f for f in learnt(records, self._formats)}
        return [f.model_copy(update={"name": name}) for name, f in found.items()]

    def fields(self) -> list[Field]:
        """A file without a line, as the last deletion leaves it, has those that are declared."""
        if next(self._blocks(self._mark, 1), None) is not None:
            return super().fields()
        if not self.declared.fields:
            raise self.not_what_it_claims(Text(_("it is empty, so its fields have to be declared in the settings")))
        return declared_fields(self.declared)


def _is_json(line: bytes) -> bool:
    try:
        msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
