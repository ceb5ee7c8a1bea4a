"""What became of a request whose exchange failed: certainly not sent, or maybe done; and whether waiting can help."""

from __future__ import annotations

import errno
from typing import Any

import aiohttp

from connectors.base import BadAnswer, ConnectorError, SettingsError, SystemDown, Text, _

MAYBE_DONE = frozenset({408, 502, 504, 520, 522, 524})  # a gateway gave up on a request that the system may well have carried out


class NotSent(Exception):
    """The request certainly did not arrive: `cause` is for the caller, who may ask again later."""

    def __init__(self, cause: ConnectorError) -> None:
        self.cause = cause
        super().__init__(str(cause))


class MaybeDone(Exception):
    """The request went out and no answer told what became of it."""

    def __init__(self, cause: ConnectorError) -> None:
        self.cause = cause
        super().__init__(str(cause))


class TooLarge(BadAnswer):
    """The answer is larger than the limit; asking again would only make it larger."""


def failed(error: Exception, *, system: str, place: str, host: str, connect_seconds: float) -> NotSent | MaybeDone:
    """What a failed exchange means: did the request leave, and can waiting help?"""
    names: dict[str, Any] = {"system": system, "place": place, "host": host}
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError | aiohttp.ServerFingerprintMismatch):
        reason = _tls_reason(error)
        return NotSent(
            SettingsError(
                _("The TLS certificate of {host} ({system}) was not accepted: {reason}. Check address and certificate authority."),
                reason=reason,
                **names,
            )
        )
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return NotSent(SystemDown(_("The name {host} ({system}) could not be resolved. Check the system's address."), **names))
    if isinstance(error, aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError):
        return NotSent(SystemDown(_("The proxy to {system} could not be used. Check Connection, Proxy."), **names))
    if isinstance(error, aiohttp.ClientConnectorError):
        return NotSent(SystemDown(_("{host} ({system}) could not be connected to: {reason}."), reason=_os_reason(error.os_error), **names))
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return NotSent(
            SystemDown(
                _("{host} ({system}) did not take a connection within {seconds} seconds."),
                seconds=connect_seconds,
                **names,
            )
        )
    if isinstance(error, aiohttp.InvalidURL):
        return NotSent(SettingsError(_("The address of {place} ({system}) is not valid."), **names))
    if isinstance(error, ValueError):  # of the client, before it sent anything
        return NotSent(
            SettingsError(_("A header of {place} ({system}) has a line break in it. Correct credentials and headers in its settings."), **names)
        )
    if isinstance(error, aiohttp.ClientPayloadError):
        return MaybeDone(BadAnswer(_("The answer of {system} to {place} was cut short."), **names))
    if isinstance(error, TimeoutError):
        return MaybeDone(SystemDown(_("{system} did not answer {place} in time."), **names))
    if isinstance(error, aiohttp.ClientResponseError):
        return MaybeDone(BadAnswer(_("{system} answered {place} with something that is not HTTP."), **names))
    return MaybeDone(SystemDown(_("{system} closed the connection before it answered {place}."), **names))


def _tls_reason(error: Exception) -> str:
    inner = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    return str(getattr(inner, "verify_message", "") or getattr(inner, "reason", "") or "TLS failed")


def _os_reason(error: OSError) -> Text | str:
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
