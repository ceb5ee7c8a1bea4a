"""Which module speaks to which kind of database; imported when first needed, for not every driver is installed everywhere."""

from __future__ import annotations

from connectors.base import Host
from connectors.sql.databases import Database
from connectors.sql.settings import SqlSettings


def database_of(settings: SqlSettings, host: Host) -> Database:
    match settings.database.type:
        case "postgresql":
            from connectors.sql.postgresql import PostgresDatabase

            return PostgresDatabase(settings, host)
        case "mysql":
            from connectors.sql.mysql import MySqlDatabase

            return MySqlDatabase(settings, host)
        case "sqlite":
            from connectors.sql.sqlite import SqliteDatabase

            return SqliteDatabase(settings, host)
    from connectors.sql.others import OtherDatabase

    return OtherDatabase(settings, host)
