"""Any JSON-over-HTTP API by configuration alone."""

from connectors.rest.connector import RestConnector
from connectors.rest.settings import RestSettings

__all__ = ["RestConnector", "RestSettings"]
