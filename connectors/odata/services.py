"""Descriptions of services, kept for a while: a worker opens a connector for each step of each turn, and the $metadata of a large ERP is megabytes."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict

from connectors.odata.csdl import Service, parsed
from connectors.odata.settings import ODataSettings
from connectors.rest.client import Client

KEPT_SECONDS = 300.0
MOST = 16  # in one process

_kept: OrderedDict[bytes, tuple[float, Service]] = OrderedDict()
_lock = threading.Lock()


def asked(client: Client, settings: ODataSettings) -> Service:
    """What the service says of itself now. Raises ConnectorError."""
    service = parsed(client.run(client.ask(client.call("GET", "/$metadata", headers={"Accept": "application/xml"}))))
    with _lock:
        _kept[_name(settings)] = (time.monotonic(), service)
        _kept.move_to_end(_name(settings))
        if len(_kept) > MOST:
            _kept.popitem(last=False)
    return service


def known(settings: ODataSettings) -> Service | None:
    """What it said not long ago, to the same user."""
    with _lock:
        at, service = _kept.get(_name(settings), (float("-inf"), None))
    return service if time.monotonic() - at < KEPT_SECONDS else None


def _name(settings: ODataSettings) -> bytes:
    return hashlib.sha256(settings.model_dump_json().encode()).digest()
