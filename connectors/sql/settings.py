"""What an administrator fills in for a database. The console draws its form from these models' JSON Schema."""

from __future__ import annotations

from typing import Annotated, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field, field_validator, model_validator

from connectors.base import _, refused
from connectors.forms import Form, Secret


class Server(Form):
    """What every database server is asked for."""

    host: str = Field(title="Host", description="Name or IP address of the server.", min_length=1)
    port: int = Field(title="Port", description="Of the server.", ge=1, le=65535)
    database: str = Field(title="Database", description="Its name on the server.", min_length=1)
    user: str = Field(title="User", description="The name to sign in with. Reading alone needs no right to write.", min_length=1)
    password: Secret = Field("", title="Password", description="Kept encrypted. Empty: none.")
    tls: Literal["verify", "encrypt", "off"] = Field(
        "verify",
        title="TLS",
        description="verify: encrypted, and the server's certificate is checked. encrypt: not checked. off: only on a network you trust.",
    )
    ca_pem: str = Field("", title="Own certificate authority", description="PEM text, for a server whose certificate your company issued.")


class PostgreSQL(Server, title="PostgreSQL"):
    type: Literal["postgresql"] = "postgresql"
    port: int = Field(5432, title="Port", description="Of the server.", ge=1, le=65535)


class MySQL(Server, title="MySQL or MariaDB"):
    type: Literal["mysql"] = "mysql"
    port: int = Field(3306, title="Port", description="Of the server.", ge=1, le=65535)


class SQLServer(Server, title="SQL Server"):
    type: Literal["sqlserver"] = "sqlserver"
    port: int = Field(1433, title="Port", description="Of the server.", ge=1, le=65535)
    driver: str = Field("ODBC Driver 18 for SQL Server", title="ODBC driver", description="As it is called on the machines that run the hub.")


class Oracle(Server, title="Oracle"):
    type: Literal["oracle"] = "oracle"
    port: int = Field(1521, title="Port", description="Of the server.", ge=1, le=65535)
    database: str = Field(title="Service", description="The service name.", min_length=1)


class SQLite(Form, title="SQLite file"):
    type: Literal["sqlite"] = "sqlite"
    path: str = Field(title="File", description="Full path of the file, in a folder of the setting ALLOWED_FOLDERS.", min_length=1)


Database = Annotated[PostgreSQL | MySQL | SQLite | SQLServer | Oracle, Field(discriminator="type")]


class Connection(Form):
    """Time-outs and page size."""

    connect_seconds: int = Field(10, title="Time to connect", description="Seconds.", ge=1, le=120)
    total_seconds: int = Field(
        60, title="Time in all", description="Seconds a query, or a portion written, may take; a slower one is cut.", ge=1, le=900
    )
    page_rows: int = Field(12_000, title="Page size", description="Records of a page.", ge=1, le=100_000)


def _once(names: tuple[str, ...]) -> tuple[str, ...]:
    if twice := {n for n in names if names.count(n) > 1}:
        raise refused(_("{name} is set twice."), name=min(twice))
    return names


Names = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], AfterValidator(_once)]


class TableSettings(Form):
    name: str = Field(title="Name", description="Of the table or view as it is shown, such as orders or sales.orders.", min_length=1)
    label: str = Field("", title="Label", description="As people call it.")
    key: Names = Field((), title="Key", description="Columns that identify a record. Empty: its primary key. A view needs them.")
    cursor_field: str = Field(
        "", title="Cursor field", description="Column that rises whenever a record changes. Empty: one named like updated_at, if there is one."
    )
    incremental: bool = Field(True, title="Can be read by changes", description="No: no column tells what changed, whatever it is called.")


class SqlSettings(Form):
    database: Database = Field(title="Database", description="Which kind it is, and where.")
    schemas: Names = Field((), title="Schemas", description="Whose tables and views are offered. Empty: the default one.")
    zone: str = Field("UTC", title="Time zone", description="Of times that are stored without one, such as Asia/Shanghai.")
    tables: tuple[TableSettings, ...] = Field((), title="Tables", description="Only those that need something said about them.")
    connection: Connection = Field(Connection(), title="Connection", description="Time-outs and page size.")

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise refused(_("There is no such time zone; write it like Europe/Vienna."))
        return value

    @model_validator(mode="after")
    def _tables_once(self) -> SqlSettings:
        names = [t.name for t in self.tables]
        if twice := {n for n in names if names.count(n) > 1}:
            raise refused(_("Table {table} is set twice."), table=min(twice))
        return self

    def table(self, name: str) -> TableSettings | None:
        return next((t for t in self.tables if t.name == name), None)
