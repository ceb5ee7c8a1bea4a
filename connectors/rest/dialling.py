"""Opening connections: names resolved, every address held against the host's guard."""

from __future__ import annotations

import socket
import ssl
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from connectors.base import AddressRefused, Host, SettingsError, _
from connectors.rest.settings import Connection


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


def open_session(way: Connection, guard: Guard, *, system: str) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(
        limit=max(way.in_flight, 4) + 4,
        keepalive_timeout=way.keep_alive_seconds,
        force_close=way.keep_alive_seconds == 0,
        resolver=guard,
        ssl=_tls(way, system),
        socket_factory=guard.open_socket,
    )
    proxy = URL(way.proxy) if way.proxy else None
    if proxy is not None and way.proxy_user:
        proxy = proxy.with_user(way.proxy_user).with_password(way.proxy_password)
    return aiohttp.ClientSession(
        connector=connector,
        headers={"Accept": "application/json", "User-Agent": "integration-hub"},
        proxy=proxy,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=True,
    )


def _tls(way: Connection, system: str) -> ssl.SSLContext | bool:
    if not way.verify_tls:
        return False
    if not way.ca_pem:
        return True
    return trusting(way.ca_pem, system)


def trusting(ca_pem: str, system: str) -> ssl.SSLContext:
    """Certificates are checked against the usual authorities and this one."""
    try:
        context = ssl.create_default_context()
        context.load_verify_locations(cadata=ca_pem)
    except (ssl.SSLError, ValueError):
        raise SettingsError(_("The certificate authority entered for {system} is no PEM text. Paste the whole certificate."), system=system) from None
    return context
