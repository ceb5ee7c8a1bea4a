"""Which module speaks to which kind of database; imported when first needed, for not every driver is installed everywhere."""

from __future__ import annotations

from connectors.base import Host
from connectors.sql.databases import Database
from connectors.sql.settings import MySQL, PostgreSQL, SQLite, SqlSettings


def database_of(settings: SqlSettings, host: Host) -> Database:
    match settings.database:
        case PostgreSQL() as server:
            from connectors.sql.postgresql import PostgresDatabase

            return PostgresDatabase(settings, host, server)
        case MySQL() as server:
            from connectors.sql.mysql import MySqlDatabase

            return MySqlDatabase(settings, host, server)
        case SQLite() as file:
            from connectors.sql.sqlite import SqliteDatabase

            return SqliteDatabase(settings, host, file)
        case other:
            from connectors.sql.others import OtherDatabase

            return OtherDatabase(settings, host, other)
