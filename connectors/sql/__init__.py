"""Relational databases: PostgreSQL, MariaDB and SQLite; MySQL, and through their drivers SQL Server and Oracle, which were never run."""

from connectors.sql.connector import SqlConnector
from connectors.sql.settings import SqlSettings

__all__ = ["SqlConnector", "SqlSettings"]
