"""The way to a server: its name resolved once, each address held against the host's guard, and the connection opened to that very address."""

from __future__ import annotations

import socket
import ssl
import tempfile
from collections.abc import Callable
from typing import Any, TypeVar

from connectors.base import AddressRefused, Host, SettingsError, SystemDown, _
from connectors.sql.settings import Server

T = TypeVar("T")


def dial(host: Host, server: Server, connect: Callable[[str], T], failures: tuple[type[Exception], ...]) -> T:
    """Open a connection with `connect(address)`, trying the allowed addresses in turn. Raises what the last one raised."""
    addresses = allowed(host, server)
    for address in addresses[:-1]:
        try:
            return connect(address)
        except failures:
            continue
    return connect(addresses[-1])


def allowed(host: Host, server: Server) -> list[str]:
    """The server's addresses that may be spoken to. Raises AddressRefused where there is none, SystemDown where its name cannot be resolved."""
    try:
        found = socket.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "no such name"
        raise SystemDown(_("{system}: the name {host} cannot be resolved ({reason})."), system=host.system, host=server.host, reason=reason) from None
    addresses, refusal = [], None
    for address in dict.fromkeys(str(where[0]) for *_kind, where in found):
        try:
            host.allow_address(server.host, address)
        except AddressRefused as error:
            refusal = error
        else:
            addresses.append(address)
    if refusal is not None and not addresses:
        raise refusal
    return addresses


def tls_context(host: Host, server: Server) -> ssl.SSLContext | None:
    """For drivers that take one; None: no TLS."""
    if server.tls == "off":
        return None
    context = ssl.create_default_context()
    if server.tls == "encrypt":
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    elif server.ca_pem:
        _load(host, context, server.ca_pem)
    return context


class Authorities:
    """The certificate authorities as a file, for drivers that take no other; gone with `close`."""

    def __init__(self, host: Host, server: Server) -> None:
        self._file: Any = None
        self.path = ssl.get_default_verify_paths().cafile or "system"
        if server.ca_pem and server.tls == "verify":
            _load(host, ssl.create_default_context(), server.ca_pem)
            self._file = tempfile.NamedTemporaryFile("w", suffix=".pem")  # noqa: SIM115  it lives as long as the connection
            self._file.write(server.ca_pem)
            self._file.flush()
            self.path = self._file.name

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _load(host: Host, context: ssl.SSLContext, pem: str) -> None:
    try:
        context.load_verify_locations(cadata=pem)
    except (ssl.SSLError, ValueError):
        raise SettingsError(
            _("The certificate authority entered for {system} is no PEM text. Paste the whole certificate."), system=host.system
        ) from None
