"""The outgoing guard: which addresses the hub may open a connection to.

It decides over resolved IP addresses where the connection is opened, so that literal addresses, redirects, retries, proxies and names that
resolve differently the second time (DNS rebinding) all meet it. The policy is pure; a host implements `allow_address` in two lines:

    policy = AddressPolicy(settings.ALLOWED_NETWORKS)        # ["10.0.0.0/8", "127.0.0.1/32"]
    def allow_address(self, host, address): policy.allow(host, address)
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

from connectors.base import AddressRefused, _

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Where clouds tell a machine its own credentials. Never reachable, whatever is allowed.
METADATA = frozenset(
    ipaddress.ip_address(a)
    for a in (
        "169.254.169.254",
        "169.254.170.2",
        "169.254.170.23",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
    )
)
_NAT64 = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))


class AddressPolicy:
    """Public addresses may be reached; private and loopback ones only in the networks given; link-local, metadata and reserved ones never."""

    def __init__(self, allowed_networks: Iterable[str] = ()) -> None:
        """Raises ValueError, naming it, for what is no network."""
        self.allowed: tuple[Network, ...] = tuple(ipaddress.ip_network(n.strip(), strict=False) for n in allowed_networks if n.strip())
        self._reason = lru_cache(maxsize=4096)(self._find_reason)

    def allow(self, host: str, address: str) -> None:
        """Raise AddressRefused unless a connection to this resolved address of `host` may be opened."""
        if reason := self._reason(address):
            raise AddressRefused(reason, host=host, address=address)

    def _find_reason(self, text: str) -> str | None:
        try:
            address = _unwrapped(ipaddress.ip_address(text.split("%")[0]))
        except ValueError:
            return _("{host} resolves to {address}, which is no IP address.")
        if address in METADATA:
            return _("{host} resolves to {address}, where a cloud keeps its machines' credentials. The hub never connects to it.")
        if address.is_unspecified or address.is_multicast or address.is_link_local or _is_reserved(address):
            return _("{host} resolves to {address}, a link-local, multicast or reserved address. The hub never connects to such.")
        if any(address in network for network in self.allowed if network.version == address.version):
            return None
        if address.is_loopback:
            return _("{host} resolves to {address}, this machine itself. To allow it, add the network to the setting ALLOWED_NETWORKS.")
        if not address.is_global:
            return _("{host} resolves to {address}, a private address. To allow it, add its network to the setting ALLOWED_NETWORKS.")
        return None


def _unwrapped(address: Address) -> Address:
    """An IPv4 address that travels inside an IPv6 one is judged as what it is."""
    if isinstance(address, ipaddress.IPv6Address):
        if inner := address.ipv4_mapped or address.sixtofour:
            return inner
        if any(address in network for network in _NAT64) or (int(address) >> 32 == 0 and int(address) > 1):
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _is_reserved(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_reserved or int(address) >> 24 == 0
    return address.is_site_local
