"""SQL Server and Oracle, through SQLAlchemy's dialects and their own drivers, which are not part of the hub: `pip install pyodbc` (and Microsoft's
ODBC driver), `pip install oracledb`. No such server has been spoken to yet, and nothing of this module or of `writing_by_rows` is tested. Their
readers could write: SQL Server has no read-only sessions (ApplicationIntent chooses a replica), and Oracle read-only transactions alone."""

from __future__ import annotations

import contextlib
import importlib
from typing import Any

import sqlalchemy as sa

from connectors.base import FieldType, Host, SettingsError, _
from connectors.sql.columns import Column
from connectors.sql.databases import Database, Failure, Verdict, one_sentence
from connectors.sql.dialling import dial, tls_context
from connectors.sql.settings import Oracle, SQLServer, SqlSettings

T = FieldType
UNIQUE = ("2601", "2627", "ORA-00001")
BUSY = ("1205", "1222", "ORA-00054", "ORA-00060", "ORA-08177", "ORA-30006")


class OtherDatabase(Database):
    """Rows by the driver's executemany."""

    def __init__(self, settings: SqlSettings, host: Host, server: SQLServer | Oracle) -> None:
        super().__init__(settings, host)
        self._server = server
        self._driver = self._installed("pyodbc" if isinstance(self._server, SQLServer) else "oracledb")
        self.errors = (sa.exc.DBAPIError, self._driver.Error)

    def _installed(self, name: str) -> Any:
        try:
            return importlib.import_module(name)
        except ImportError:
            raise SettingsError(
                _("{system} needs the Python package {package}, which is not installed here. Install it where the hub and its workers run."),
                system=self.system,
                package=name,
            ) from None

    def url(self) -> str:
        return "mssql+pyodbc://" if isinstance(self._server, SQLServer) else "oracle+oracledb://"

    def connect(self, *, read_only: bool) -> Any:
        server = self._server
        if isinstance(server, SQLServer):
            return dial(self.host, server, lambda address: self._sqlserver(server, address, read_only=read_only), (self._driver.Error,))
        return dial(self.host, server, lambda address: self._oracle(server, address), (self._driver.Error,))

    def _sqlserver(self, server: SQLServer, address: str, *, read_only: bool) -> Any:
        parts = {
            "DRIVER": server.driver,
            "SERVER": f"{address},{server.port}",
            "DATABASE": server.database,
            "UID": server.user,
            "PWD": server.password,
            "Encrypt": "no" if server.tls == "off" else "yes",
            "TrustServerCertificate": "yes" if server.tls == "encrypt" else "no",
            "HostNameInCertificate": server.host,
            "ApplicationIntent": "ReadOnly" if read_only else "ReadWrite",
        }
        said = ";".join(f"{name}={{{value.replace('}', '}}')}}}" for name, value in parts.items() if value)
        connection = self._driver.connect(said, timeout=self.settings.connection.connect_seconds)
        connection.timeout = self.settings.connection.total_seconds
        return connection

    def _oracle(self, server: Oracle, address: str) -> Any:
        context = tls_context(self.host, server)
        connection = self._driver.connect(
            user=server.user,
            password=server.password,
            host=address,
            port=server.port,
            service_name=server.database,
            protocol="tcps" if context else "tcp",
            ssl_context=context,
            ssl_server_dn_match=server.tls == "verify",
            tcp_connect_timeout=self.settings.connection.connect_seconds,
        )
        connection.call_timeout = self.settings.connection.total_seconds * 1000
        return connection

    def identity(self) -> dict[str, str]:
        name = "SQL Server" if isinstance(self._server, SQLServer) else "Oracle"
        who = "SELECT SUSER_SNAME()" if isinstance(self._server, SQLServer) else "SELECT USER FROM DUAL"
        version = ".".join(str(part) for part in self.reader.dialect.server_version_info or ())
        return {"server": f"{name} {version}", "who": str(self.reader.exec_driver_sql(who).scalar_one())}

    def interrupt(self) -> None:
        for connection in (self._reader, self._writer):
            if connection is not None and not connection.closed:
                with contextlib.suppress(self._driver.Error):  # closed in this very moment
                    _break_off(connection.connection.driver_connection)

    def shown(self, column: Column) -> sa.ColumnElement[Any]:
        if column.is_uuid or (column.field.type is T.DECIMAL and isinstance(self._server, SQLServer)):
            return sa.cast(column.sql, sa.String(64))
        return column.sql

    def failure(self, error: Exception) -> Failure:
        original = error.orig if isinstance(error, sa.exc.DBAPIError) else error
        said = one_sentence(str(getattr(original.args[0], "message", original.args[-1])) if original is not None and original.args else str(original))
        if any(f"({code})" in said or code in said for code in UNIQUE):
            return Failure(Verdict.UNIQUE, said)
        if any(f"({code})" in said or code in said for code in BUSY):
            return Failure(Verdict.BUSY, said)
        if isinstance(original, self._driver.IntegrityError | self._driver.DataError):
            return Failure(Verdict.RECORD, said)
        if isinstance(original, self._driver.OperationalError | self._driver.InterfaceError):
            return Failure(Verdict.DOWN, said)
        return Failure(Verdict.SETTINGS, said)


def _break_off(connection: Any) -> None:
    """Oracle's driver breaks off what a connection does; that of SQL Server can only be closed under it."""
    if hasattr(connection, "cancel"):
        connection.cancel()
    else:
        connection.close()
