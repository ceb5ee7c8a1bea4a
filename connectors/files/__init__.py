"""Files as systems: CSV and TSV, JSON Lines, Excel and Parquet, in folders of this machine, in S3 and on SFTP servers."""

from connectors.files.connector import FilesConnector
from connectors.files.settings import FilesSettings

__all__ = ["FilesConnector", "FilesSettings"]
