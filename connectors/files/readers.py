"""What every format's reader can do. One module for each format says how."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import polars as pl

from connectors.base import BadAnswer, Field, Misfit, SettingsError, Text, _
from connectors.files.settings import MODIFIED, FileSettings

SAMPLE_ROWS = 1000
KINDS = {
    b"PK\x03\x04": "xlsx/zip",
    b"PAR1": "Parquet",
    b"\x1f\x8b": "gzip",
    b"\xd0\xcf\x11\xe0": "xls/doc",
    b"%PDF": "PDF",
    b"SQLite format 3": "SQLite",
}


class Opened(Protocol):
    """A file of one version. Raises PositionExpired where it has changed since."""

    path: str
    size: int

    def read(self, start: int, length: int) -> bytes:
        """The bytes from there, fewer only at the end."""
        ...


class Part(NamedTuple):
    """Some records of a file. `at` is where to go on behind them in this file; None: they were its last."""

    frame: pl.DataFrame
    misfits: list[Misfit]
    at: Mapping[str, Any] | None
    absent: pl.DataFrame | None = None


def declared_fields(declared: FileSettings) -> list[Field]:
    return [Field(name=f.name, type=f.type, label=f.label, scale=f.scale) for f in declared.fields]


class Reader(abc.ABC):
    """Reads one file of one format."""

    def __init__(self, file: Opened, declared: FileSettings, *, system: str, page_rows: int) -> None:
        self.file, self.declared, self.system, self.page_rows = file, declared, system, page_rows

    @abc.abstractmethod
    def learnt(self) -> list[Field]:
        """The file's fields, their types found out from its first records."""

    @abc.abstractmethod
    def parts(self, fields: Sequence[Field], at: Mapping[str, Any]) -> Iterator[Part]:
        """The file's records with these fields, from a place that an earlier part named (an empty one: from the start)."""

    def count(self) -> int | None:
        """How many records there are; None where that cannot be told without reading them all."""
        return None

    def edges(self) -> list[Mapping[str, Any]]:
        """Places at which a part of the file may begin, told without reading it; each is one that `parts` names on its way."""
        return []

    def fields(self) -> list[Field]:
        """Those learnt, each as the settings declare it where they do; and those that only the settings name."""
        declared = {f.name: f for f in declared_fields(self.declared)}
        learnt = [declared.pop(f.name, f) for f in self.learnt()]
        if declared:
            self.no_field(next(iter(declared)), [f.name for f in learnt])
        if any(f.name == MODIFIED for f in learnt):
            raise SettingsError(
                _("{path} has a column {field}, a name that the hub gives itself. Rename it there."), path=self.file.path, field=MODIFIED
            )
        return learnt

    def no_field(self, name: str, there: Sequence[str]) -> None:
        raise SettingsError(
            _("{path} of {system} has no column {field}; there are: {fields}. Correct it in the settings, or look again what the system holds."),
            path=self.file.path,
            system=self.system,
            field=name,
            fields=", ".join(there[:30]),
        )

    def not_what_it_claims(self, reason: Text) -> BadAnswer:
        return BadAnswer(
            _("{path} of {system} is no {format} file: {reason}"),
            path=self.file.path,
            system=self.system,
            format=self.declared.format.type,
            reason=reason,
        )

    def refuse_others(self, head: bytes) -> None:
        """A text format refuses what is plainly something else."""
        for magic, kind in KINDS.items():
            if head.startswith(magic):
                raise BadAnswer(
                    _("{path} of {system} is a {kind} file, not {format}. Choose its format in the settings, or unpack it first."),
                    path=self.file.path,
                    system=self.system,
                    kind=kind,
                    format=self.declared.format.type,
                )
