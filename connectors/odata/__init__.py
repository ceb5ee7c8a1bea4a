"""OData services: version 4 for reading and writing, version 2 for reading."""

from connectors.odata.connector import ODataConnector
from connectors.odata.settings import ODataSettings

__all__ = ["ODataConnector", "ODataSettings"]
