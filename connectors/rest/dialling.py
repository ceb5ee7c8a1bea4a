"""Opening connections: names resolved, every address held against the host's guard, and why one could not be opened."""

from __future__ import annotations

import errno
import socket
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from connectors.base import AddressRefused, Host, Text, _


class Guard(AbstractResolver):
    """Resolves names and lets through only addresses the host allows; checked once more on the very address a socket is opened to."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._names: dict[str, str] = {}
        self._resolver: ThreadedResolver | None = None

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
        self._resolver = self._resolver or ThreadedResolver()
        found = await self._resolver.resolve(host, port, family)
        allowed, refusal = [], None
        for result in found:
            try:
                self._host.allow_address(host, result["host"])
            except AddressRefused as error:
                refusal = error
            else:
                self._names[result["host"]] = host
                allowed.append(result)
        if refusal is not None and not allowed:
            raise refusal
        return allowed

    def open_socket(self, address: Any) -> socket.socket:
        family, kind, protocol, _name, where = address
        self._host.allow_address(self._names.get(where[0], where[0]), where[0])
        opened = socket.socket(family, kind, protocol)
        opened.setblocking(False)
        return opened

    async def close(self) -> None:
        self._resolver = None


def tls_reason(error: Exception) -> str:
    inner = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    return str(getattr(inner, "verify_message", "") or getattr(inner, "reason", "") or "TLS failed")


def os_reason(error: OSError) -> Text | str:
    """Why no connection came about. What else the operating system says is told as it says it."""
    if error.errno in _REASONS:
        return Text(_REASONS[error.errno])
    return error.strerror.lower() if error.errno and error.strerror else Text(_("no connection"))


_REASONS = {
    errno.ECONNREFUSED: _("nothing listens at this address and port"),
    errno.ECONNRESET: _("it broke the connection off"),
    errno.EHOSTUNREACH: _("no way leads there"),
    errno.ENETUNREACH: _("no way leads there"),
    errno.ETIMEDOUT: _("it does not answer"),
}
