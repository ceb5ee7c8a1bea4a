"""Which module speaks to which place, and reads which format; imported when first needed."""

from __future__ import annotations

from connectors.base import Host
from connectors.files.places import Place
from connectors.files.readers import Opened, Reader
from connectors.files.settings import S3, Csv, Excel, FileSettings, FilesSettings, JsonLines, Sftp


def place_of(settings: FilesSettings, host: Host) -> Place:
    match settings.place:
        case S3() as bucket:
            from connectors.files.s3 import S3Place

            return S3Place(host, settings.connection, bucket)
        case Sftp() as server:
            from connectors.files.sftp import SftpPlace

            return SftpPlace(host, settings.connection, server)
        case folder:
            from connectors.files.local import LocalPlace

            return LocalPlace(host, settings.connection, folder)


def reader_of(file: Opened, declared: FileSettings, *, system: str, page_rows: int) -> Reader:
    kind: type[Reader]
    match declared.format:
        case Csv():
            from connectors.files.delimited import CsvReader

            kind = CsvReader
        case JsonLines():
            from connectors.files.json_lines import JsonLinesReader

            kind = JsonLinesReader
        case Excel():
            from connectors.files.excel import ExcelReader

            kind = ExcelReader
        case _:
            from connectors.files.parquet import ParquetReader

            kind = ParquetReader
    return kind(file, declared, system=system, page_rows=page_rows)
