"""What a whole file is written as, and which records no file of its format can hold. One class for each format that is written."""

from __future__ import annotations

import abc
import codecs
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import orjson
import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv

from connectors.base import Field, FieldType, Text, _
from connectors.files.delimited import CsvReader
from connectors.files.dialects import found_out
from connectors.files.readers import Reader
from connectors.files.settings import Csv, FileSettings, JsonLines
from connectors.files.values import LARGEST_VALUE, Column, fit_to_store, shown
from connectors.formulas import RUN, harmless
from connectors.rest.records import encoded, nested
from connectors.rest.values import Form

SLICE_ROWS = 50_000


class Writer(abc.ABC):
    def __init__(self, fields: Sequence[Field]) -> None:
        self.fields = fields

    @abc.abstractmethod
    def write(self, records: pl.DataFrame, out: BinaryIO) -> None:
        """All records as a file."""

    def undone(self, records: pl.DataFrame) -> pl.DataFrame:
        """What was read, without what writing adds."""
        return records

    def unwritable(self, rows: pl.DataFrame) -> dict[int, Text]:
        """Row → why a file of this format cannot hold it: it would be read as something else, or the file not at all. `rows` has a column “row”."""
        return {row: text for f in self.fields if f.name in rows.columns for row, text in self._told(f, rows["row"], rows[f.name])}

    def _told(self, field: Field, numbers: pl.Series, values: pl.Series) -> Iterator[tuple[int, Text]]:
        altered = self.altered(field, values)
        for row, value in zip(numbers.filter(altered).to_list(), values.filter(altered).to_list(), strict=True):
            reason = _("{field} = {value} cannot be written in the format and encoding of the file without being altered")
            yield row, Text(reason, {"field": field.name, "value": shown(value)})

    def altered(self, field: Field, values: pl.Series) -> pl.Series:
        """Which of a field's values would not come back as they are."""
        match field.type:
            case FieldType.TEXT:
                return fit_to_store(values).ne_missing(values)
            case FieldType.NUMBER:
                return ~values.is_finite().fill_null(value=True)
            case FieldType.JSON:
                return Column(field, Csv()).fitted(values)[0].ne_missing(values)
        return pl.repeat(value=False, n=values.len(), eager=True)


class CsvWriter(Writer):
    """Texts are quoted, so that an empty one is told from none. Encoding, separator and quote are those of the file that was there."""

    def __init__(self, fields: Sequence[Field], style: Csv, reader: CsvReader | None) -> None:
        super().__init__(fields)
        self._style, self._dialect = style, reader.dialect if reader else found_out(b"", style)
        self._swap = str.maketrans('"' + self._dialect.quote, self._dialect.quote + '"')
        self._columns = {f.name: Column(f, style) for f in fields}
        self._order = reader.names if reader else [f.name for f in fields]
        self._titles = {name: harmless(name) if style.formulas == "neutralise" else name for name in self._order}
        self._guarded = [f.name for f in fields if f.type in (FieldType.TEXT, FieldType.JSON)] if style.formulas == "neutralise" else []

    def write(self, records: pl.DataFrame, out: BinaryIO) -> None:
        marks = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE, "utf-8": codecs.BOM_UTF8}
        quote, separator = self._dialect.quote.encode(), self._dialect.separator.translate(self._swap)
        out.write(marks[self._dialect.encoding] if self._dialect.mark or self._dialect.is_wide else b"")
        for number, some in enumerate(records.iter_slices(SLICE_ROWS) if records.height else [records]):
            texts = self._swapped(
                pl.DataFrame([self._guard(name, self._columns[name].text(some[name])).alias(self._titles[name]) for name in self._order])
            )
            buffer = pa.BufferOutputStream()
            options = pa_csv.WriteOptions(include_header=self._style.header and not number, delimiter=separator, quoting_style="needed")
            pa_csv.write_csv(texts.to_arrow(), buffer, options)
            text = buffer.getvalue().to_pybytes()
            text = text if quote == b'"' else text.translate(bytes.maketrans(b'"' + quote, quote + b'"'))
            out.write(text if self._dialect.encoding == "utf-8" else text.decode().encode(self._dialect.encoding))

    def _swapped(self, texts: pl.DataFrame) -> pl.DataFrame:
        """Texts and names with " for the file's quote and the other way round; pyarrow, which knows no other quote, sets and doubles ",
        and swapping all that it wrote makes of it what was meant."""
        if self._dialect.quote == '"':
            return texts
        before, after = ['"', self._dialect.quote], [self._dialect.quote, '"']
        swapped = texts.with_columns(pl.col(pl.String).str.replace_many(before, after))
        return swapped.rename({name: name.translate(self._swap) for name in texts.columns})

    def undone(self, records: pl.DataFrame) -> pl.DataFrame:
        return records.with_columns(
            pl.when(pl.col(n).str.contains(RUN.pattern)).then(pl.col(n).str.strip_prefix("'")).otherwise(pl.col(n)).alias(n) for n in self._guarded
        )

    def _guard(self, name: str, texts: pl.Series) -> pl.Series:
        if name not in self._guarded:
            return texts
        return pl.select(pl.when(texts.str.contains(RUN.pattern)).then("'" + texts).otherwise(texts).alias(name)).to_series()

    def altered(self, field: Field, values: pl.Series) -> pl.Series:
        column = self._columns[field.name]
        texts = column.text(values).cast(pl.String)
        altered = column.fitted(texts)[0].ne_missing(values)
        if self._dialect.encoding != "utf-8":
            altered |= pl.Series([text is not None and not self._encodes(text) for text in texts.to_list()])
        return altered

    def _encodes(self, text: str) -> bool:
        try:
            text.encode(self._dialect.encoding)
        except UnicodeEncodeError:
            return False
        return True


class JsonLinesWriter(Writer):
    def __init__(self, fields: Sequence[Field], style: JsonLines) -> None:
        super().__init__(fields)
        self._forms = [Form.of(f, None, style.formats, LARGEST_VALUE) for f in fields]

    def write(self, records: pl.DataFrame, out: BinaryIO) -> None:
        for some in records.iter_slices(SLICE_ROWS):
            out.writelines(line + b"\n" for line in self._lines(some))

    def _lines(self, records: pl.DataFrame) -> Iterator[bytes] | list[bytes]:
        plain = [form.plain(records[form.field.name]) for form in self._forms]
        if all(column is not None for column in plain):
            return encoded([c.alias(f.field.name) for c, f in zip(plain, self._forms, strict=True) if c is not None], records.height)
        names = [f.field.name for f in self._forms]
        columns = [form.outgoing(records[form.field.name]) for form in self._forms]
        return (orjson.dumps(nested(dict(zip(names, row, strict=True)))) for row in zip(*columns, strict=True))

    def altered(self, field: Field, values: pl.Series) -> pl.Series:
        match field.type:
            case FieldType.TEXT:  # which may hold a NUL here
                return (values.str.len_bytes() > LARGEST_VALUE).fill_null(value=False)
            case FieldType.JSON:
                return super().altered(field, values) | (values.str.len_bytes() > LARGEST_VALUE).fill_null(value=False)
            case FieldType.BINARY:
                return (values.bin.encode("base64").str.len_bytes() > LARGEST_VALUE).fill_null(value=False)
        return super().altered(field, values)


class ParquetWriter(Writer):
    def write(self, records: pl.DataFrame, out: BinaryIO) -> None:
        records.write_parquet(out)


def writer_of(declared: FileSettings, fields: Sequence[Field], reader: Reader | None) -> Writer:
    match declared.format:
        case Csv() as style:
            return CsvWriter(fields, style, reader if isinstance(reader, CsvReader) else None)
        case JsonLines() as style:
            return JsonLinesWriter(fields, style)
    return ParquetWriter(fields)
