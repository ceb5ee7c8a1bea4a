"""Relational databases: PostgreSQL, MySQL and MariaDB, SQLite; SQL Server and Oracle through their drivers."""

from connectors.sql.connector import SqlConnector
from connectors.sql.settings import SqlSettings

__all__ = ["SqlConnector", "SqlSettings"]
