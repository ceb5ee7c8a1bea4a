"""What an administrator fills in for files. The console draws its form from these models' JSON Schema."""

from __future__ import annotations

import codecs
from pathlib import PurePosixPath
from typing import Annotated, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field, field_validator, model_validator

from connectors.base import FieldType, _, refused
from connectors.forms import Form, Secret
from connectors.rest.settings import Formats, FullAddress, time_pattern

MODIFIED = "file_modified"  # the field that every entity has besides those of its file
WILD = "*?["
MARKS = "\t\n\r \"',;|.-0123456789abcxyzABCXYZ"


# --- where the files are -----------------------------------------------------------------------------------------------


class Folder(Form, title="Folder of this machine"):
    type: Literal["folder"] = "folder"
    folder: str = Field(title="Folder", description="Full path, in a folder of the setting ALLOWED_FOLDERS.", pattern="^/")


class S3(Form, title="S3 or compatible"):
    type: Literal["s3"] = "s3"
    endpoint: FullAddress = Field(title="Endpoint", description="Full address, such as https://s3.eu-central-1.amazonaws.com.")
    region: str = Field("us-east-1", title="Region", description="Of the bucket; other systems than AWS mostly ignore it.", min_length=1)
    bucket: str = Field(title="Bucket", description="Its name.", min_length=1)
    folder: str = Field("", title="Folder", description="Inside the bucket. Empty: all of it.")
    access_key: str = Field(title="Access key", description="The id of the key pair.", min_length=1)
    secret_key: Secret = Field(title="Secret key", description="Kept encrypted.", min_length=1)
    path_style: bool = Field(
        True, title="Bucket in the path", description="No: the bucket is part of the host name, as newer buckets of AWS want it."
    )
    ca_pem: str = Field("", title="Own certificate authority", description="PEM text, for a server whose certificate your company issued.")


class Sftp(Form, title="SFTP"):
    type: Literal["sftp"] = "sftp"
    host: str = Field(title="Host", description="Name or IP address of the server.", min_length=1)
    port: int = Field(22, title="Port", description="Of the server.", ge=1, le=65535)
    user: str = Field(title="User", description="The name to sign in with.", min_length=1)
    password: Secret = Field("", title="Password", description="Kept encrypted. Empty: the private key is used.")
    private_key: Secret = Field("", title="Private key", description="Its whole text. Kept encrypted.")
    passphrase: Secret = Field("", title="Passphrase", description="Of the private key. Kept encrypted.")
    host_key: str = Field(
        title="Host key",
        description="The server's public key (ssh-ed25519 AAAA…) or its fingerprint (SHA256:…). A server with another key is not spoken to.",
        min_length=1,
    )
    folder: str = Field("", title="Folder", description="On the server. Empty: the one that signing in leads to.")

    @field_validator("host_key")
    @classmethod
    def _is_a_key(cls, value: str) -> str:
        if not (value.startswith("SHA256:") or len(value.split()) >= 2):
            raise refused(_("A host key is written like ssh-ed25519 AAAA… or SHA256:…; ssh-keyscan shows the first, ssh-keygen -lf the second."))
        return value


Place = Annotated[Folder | S3 | Sftp, Field(discriminator="type")]


# --- what they look like -----------------------------------------------------------------------------------------------


def _known_encoding(value: str) -> str:
    try:
        if value and not codecs.lookup(value)._is_text_encoding:
            raise LookupError
    except LookupError:
        raise refused(_("There is no encoding {value}; write it like utf-8, gb18030 or utf-16."), value=value) from None
    if value and not _is_readable(codecs.lookup(value).name):
        raise refused(
            _("Files in the encoding {value} cannot be taken apart. Convert them to another, such as utf-8, or have them written in it."), value=value
        )
    return value


def _is_readable(encoding: str) -> bool:
    """Whether line ends, separators and digits are the bytes that they are in ASCII, or pairs of bytes."""
    if encoding.startswith("utf-16"):
        return True
    try:
        return MARKS.encode(encoding).removeprefix(codecs.BOM_UTF8) == MARKS.encode() and MARKS.encode().decode(encoding, "surrogateescape") == MARKS
    except UnicodeError:
        return False


def _known_zone(value: str) -> str:
    if value not in available_timezones():
        raise refused(_("There is no such time zone; write it like Europe/Vienna."))
    return value


TimeText = Annotated[str, AfterValidator(lambda value: value if value == "iso" else time_pattern(value))]


class Csv(Form, title="CSV or TSV"):
    type: Literal["csv"] = "csv"
    encoding: Annotated[str, AfterValidator(_known_encoding)] = Field(
        "", title="Encoding", description="Such as utf-8, gb18030, utf-16. Empty: found out."
    )
    separator: str = Field("", title="Separator", description="One character; \\t is a tab. Empty: found out.", pattern=r"^(|[^\n\r]|\\t)$")
    quote: str = Field('"', title="Quote", description="What stands around texts that hold a separator.", pattern=r"^[!-,./:-@\[-`{-~]$")
    header: bool = Field(True, title="Has a header", description="No: columns are called column_1, column_2 … or as declared.")
    skip_lines: int = Field(0, title="Lines to pass over", description="Before the header.", ge=0, le=10_000)
    null_values: tuple[str, ...] = Field(
        (), title="Texts for nothing", description="Texts that mean there is no value, such as NULL. What is empty and unquoted always does."
    )
    decimal_mark: Literal[".", ","] = Field(".", title="Decimal mark", description="With a comma, points between thousands are passed over.")
    boolean: str = Field("true/false", title="Yes and no", description="The two words, such as Y/N.", pattern="^[^/]+/[^/]+$")
    date: TimeText = Field("iso", title="Date", description="iso or a pattern such as %d.%m.%Y.", min_length=1)
    datetime: TimeText = Field("iso", title="Date and time", description="iso or a pattern such as %d.%m.%Y %H:%M.", min_length=1)
    time: TimeText = Field("iso", title="Time", description="iso or a pattern such as %H:%M.", min_length=1)
    zone: Annotated[str, AfterValidator(_known_zone)] = Field("UTC", title="Time zone", description="Of times that name none, such as Asia/Shanghai.")
    formulas: Literal["neutralise", "as they are"] = Field(
        "neutralise",
        title="Formulas in what is written",
        description="neutralise: a text that a spreadsheet would run gets an apostrophe in front, which is taken off again when it is read.",
    )


class JsonLines(Form, title="JSON Lines"):
    type: Literal["jsonl"] = "jsonl"
    formats: Formats = Field(Formats(), title="Formats", description="How values are written.")


class Excel(Form, title="Excel (.xlsx)"):
    type: Literal["excel"] = "excel"
    sheet: str = Field("", title="Sheet", description="Its name. Empty: the first.")
    header: bool = Field(True, title="Has a header", description="No: columns are called column_1, column_2 … or as declared.")
    skip_lines: int = Field(0, title="Lines to pass over", description="Before the header.", ge=0, le=10_000)
    zone: Annotated[str, AfterValidator(_known_zone)] = Field("UTC", title="Time zone", description="Of its times, such as Asia/Shanghai.")


class Parquet(Form, title="Parquet"):
    type: Literal["parquet"] = "parquet"
    zone: Annotated[str, AfterValidator(_known_zone)] = Field("UTC", title="Time zone", description="Of times that name none, such as Asia/Shanghai.")


Format = Annotated[Csv | JsonLines | Excel | Parquet, Field(discriminator="type")]


class FieldSettings(Form):
    name: str = Field(title="Name", description="As the file calls the column.", min_length=1)
    type: FieldType = Field(FieldType.TEXT, title="Type", description="The hub's type.")
    label: str = Field("", title="Label", description="As people call it.")
    scale: int = Field(9, title="Decimal places", description="Of a decimal.", ge=0, le=18)


class FileSettings(Form):
    name: str = Field(title="Name", description="Of what the file holds, such as orders.", min_length=1)
    label: str = Field("", title="Label", description="As people call it.")
    path: str = Field(
        title="File", description="Path inside the folder, such as orders.csv; exports/orders-*.csv takes all that match.", min_length=1
    )
    format: Format = Field(Csv(), title="Format", description="What the file is.")
    key: tuple[str, ...] = Field(title="Key", description="Columns that identify a record.", min_length=1)
    fields: tuple[FieldSettings, ...] = Field(
        (), title="Fields", description="Types that are not to be found out from the first records. A file that is yet to be written needs all."
    )
    write: bool = Field(False, title="May be written", description="Such a file is held in memory while it is spoken to, and replaced as a whole.")

    @property
    def is_pattern(self) -> bool:
        return any(c in self.path for c in WILD)

    @field_validator("path")
    @classmethod
    def _inside(cls, value: str) -> str:
        path = PurePosixPath(value)
        if path.is_absolute() or ".." in path.parts or "\\" in value or "\0" in value or value.endswith("/"):
            raise refused(_("The path must lead to a file inside the folder, without “..”."))
        if any(c in str(path.parent) for c in WILD):
            raise refused(_("Only the name of the file may hold * ? and [, not the folders before it."))
        return str(path)

    @model_validator(mode="after")
    def _fits_together(self) -> FileSettings:
        names = [f.name for f in self.fields]
        if twice := {n for n in [*names, MODIFIED] if [*names, MODIFIED].count(n) > 1}:
            raise refused(_("Field {field} is declared twice, or is one that the hub adds itself."), field=min(twice))
        if self.write and self.is_pattern:
            raise refused(_("Only a single file may be written, not a pattern."))
        if self.write and isinstance(self.format, Excel):
            raise refused(_("Excel files are only read. Write CSV, which Excel opens."))
        return self


class Connection(Form):
    """Time-outs and page size."""

    connect_seconds: int = Field(10, title="Time to connect", description="Seconds.", ge=1, le=120)
    total_seconds: int = Field(60, title="Time in all", description="Seconds a request to the server may take; a slower one is cut.", ge=1, le=900)
    page_rows: int = Field(20_000, title="Page size", description="Records of a page.", ge=1, le=100_000)


class FilesSettings(Form):
    place: Place = Field(title="Place", description="Where the files are.")
    files: tuple[FileSettings, ...] = Field(title="Files", description="Each is one kind of record.", min_length=1)
    connection: Connection = Field(Connection(), title="Connection", description="Time-outs and page size.")

    @model_validator(mode="after")
    def _named_once(self) -> FilesSettings:
        names = [f.name for f in self.files]
        if twice := {n for n in names if names.count(n) > 1}:
            raise refused(_("{name} is set twice."), name=min(twice))
        written = [f.path for f in self.files if f.write]
        if twice := {p for p in written if [f.path for f in self.files].count(p) > 1}:
            raise refused(_("{path} is written to, so it can be only one kind of record."), path=min(twice))
        return self
