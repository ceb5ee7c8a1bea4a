"""Credentials: what is added to each request, and how a token is come by."""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import hmac
import secrets
import time
from base64 import b64encode
from email.utils import formatdate
from typing import Any
from urllib.parse import quote, urlencode

from yarl import URL

from connectors.base import BadAnswer, ConnectorError, SettingsError, Token, _
from connectors.rest.answers import ABSENT, Answer
from connectors.rest.client import Call, Client, Credentials
from connectors.rest.failures import MaybeDone, NotSent
from connectors.rest.settings import (
    ApiKeyAuth,
    Auth,
    BasicAuth,
    BearerAuth,
    NoAuth,
    OAuthAuthorizationCode,
    OAuthClient,
    OAuthClientCredentials,
    SignedRequests,
    TokenCall,
)
from connectors.rest.templates import JsonTemplate, TextTemplate

TOKEN_KEPT_SECONDS = 20.0  # after that the host is asked again, which knows when it expires


class Fixed(Credentials):
    """The same header, or query parameter, on every request."""

    def __init__(self, name: str, value: str, *, in_query: bool = False) -> None:
        self._name, self._value, self._in_query = name, value, in_query
        self.in_query = name if in_query else ""

    def sign(self, call: Call) -> tuple[URL, dict[str, str]]:
        if self._in_query:
            return with_query(call.url, {self._name: self._value}), call.headers
        return call.url, {**call.headers, self._name: self._value}


class Renewed(Credentials):
    """A token that the host keeps and renews once for all workers. `fetch` makes the token call."""

    renewable = True

    def __init__(self, *, name: str = "Authorization", prefix: str = "Bearer ", in_query: bool = False) -> None:
        self._name, self._prefix, self._in_query = name, prefix, in_query
        self.in_query = name if in_query else ""
        self._token = ""
        self._asked_at = float("-inf")
        self._lock: asyncio.Lock | None = None

    @property
    def token(self) -> str:
        return self._token

    def sign(self, call: Call) -> tuple[URL, dict[str, str]]:
        if self._in_query:
            return with_query(call.url, {self._name: self._prefix + self._token}), call.headers
        return call.url, {**call.headers, self._name: self._prefix + self._token}

    async def ready(self, client: Client) -> None:
        if time.monotonic() - self._asked_at < TOKEN_KEPT_SECONDS:
            return
        await self._ask_host(client, stale=None)

    async def renew(self, client: Client, used: str) -> bool:
        if self._token == used:
            await self._ask_host(client, stale=used)
        return self._token != used

    async def _ask_host(self, client: Client, *, stale: str | None) -> None:
        self._lock = self._lock or asyncio.Lock()
        async with self._lock:
            if (stale is not None and self._token != stale) or (stale is None and time.monotonic() - self._asked_at < TOKEN_KEPT_SECONDS):
                return  # another request was faster
            loop = asyncio.get_running_loop()

            def fetch(refresh: str | None) -> Token:  # on a thread of the pool, while this loop goes on
                return asyncio.run_coroutine_threadsafe(self._fetched(client, refresh), loop).result()

            self._token = await client.beside(lambda: client.host.token(fetch, stale=stale))
            client.veil.add(self._token)
            self._asked_at = time.monotonic()

    async def _fetched(self, client: Client, refresh: str | None) -> Token:
        if refresh:
            client.veil.add(refresh)
        token = await self.fetch(client, refresh)
        for secret in (token.value, token.refresh or ""):
            client.veil.add(secret)
        return token

    async def fetch(self, client: Client, refresh: str | None) -> Token:
        raise NotImplementedError


class ByTokenCall(Renewed):
    def __init__(self, settings: TokenCall) -> None:
        super().__init__(name=settings.name, prefix=settings.prefix, in_query=settings.send_in == "query")
        self._settings = settings

    async def fetch(self, client: Client, refresh: str | None) -> Token:
        settings, values = self._settings, self._settings.values

        def fill(text: str) -> str:
            try:
                return TextTemplate(text).fill(values.__getitem__)
            except KeyError as missing:
                raise SettingsError(
                    _("The token call of {system} needs a value {name}. Enter it under Values."), system=client.host.system, name=missing.args[0]
                ) from None

        body, headers = None, {n: fill(v) for n, v in settings.headers.items()}
        if settings.body is not None and settings.form:
            body = urlencode({n: fill(str(v)) for n, v in settings.body.items()}).encode()
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        elif settings.body is not None:
            try:
                body = JsonTemplate(settings.body).fill(values.__getitem__)
            except KeyError as missing:
                raise SettingsError(
                    _("The token call of {system} needs a value {name}. Enter it under Values."), system=client.host.system, name=missing.args[0]
                ) from None
        call = client.call(settings.method, settings.path, query={n: fill(v) for n, v in settings.query.items()}, headers=headers, body=body)
        answer = await ask_for_token(client, call)
        if not client.succeeded(answer):
            raise refused(client, answer)
        return Token(text_at(client, answer, settings.token_path), self._expiry(answer))

    def _expiry(self, answer: Answer) -> float | None:
        settings = self._settings
        value = answer.value(settings.expires_path) if settings.expires_path else ABSENT
        if value is ABSENT or value is None:
            return time.time() + settings.lifetime_seconds if settings.lifetime_seconds else None
        return expiry(value, settings.expires_as)


def expiry(value: Any, written_as: str) -> float | None:
    """The Unix time a token expires at, from how the system says it; None for nonsense, such as a list, infinity or the year 20,000."""
    try:
        match written_as:
            case "epoch_seconds":
                at = float(value)
            case "epoch_milliseconds":
                at = float(value) / 1000
            case "iso":
                moment = dt.datetime.fromisoformat(str(value))
                at = (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()
            case _:
                at = time.time() + float(value)
        dt.datetime.fromtimestamp(at, dt.UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return None
    return at


class OAuth(Renewed):
    """RFC 6749: client credentials, or the refresh token of an authorization code."""

    def __init__(self, settings: OAuthClient) -> None:
        super().__init__()
        self._settings = settings

    async def fetch(self, client: Client, refresh: str | None) -> Token:
        if isinstance(self._settings, OAuthClientCredentials):
            return await self.grant(client, {"grant_type": "client_credentials"})
        if not refresh:
            raise SettingsError(_("{system} is not connected. Open it under Systems and press Connect."), system=client.host.system)
        token = await self.grant(client, {"grant_type": "refresh_token", "refresh_token": refresh})
        return Token(token.value, token.expires_at, token.refresh or refresh)  # a provider that does not rotate keeps the old one

    async def grant(self, client: Client, parameters: dict[str, str]) -> Token:
        settings = self._settings
        form = {**settings.extra, **parameters}
        if settings.scope and parameters["grant_type"] == "client_credentials":
            form["scope"] = settings.scope
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if settings.client_sent_as == "basic" and settings.client_secret:
            headers["Authorization"] = basic(quote(settings.client_id, safe=""), quote(settings.client_secret, safe=""))
        else:
            form["client_id"] = settings.client_id
            if settings.client_secret:
                form["client_secret"] = settings.client_secret
        url = URL(settings.token_url, encoded=True)
        answer = await ask_for_token(client, Call("POST", url, f"POST {url.path}", headers, urlencode(form).encode()))
        if not 200 <= answer.status < 300 or answer.value("error") not in (ABSENT, None):
            ended = isinstance(settings, OAuthAuthorizationCode) and answer.value("error") == "invalid_grant"  # RFC 6749, section 5.2
            raise consent_ended(client, answer) if ended else refused(client, answer)
        lifetime, refresh = answer.value("expires_in"), answer.value("refresh_token")
        return Token(
            text_at(client, answer, "access_token"),
            expiry(lifetime, "seconds") if lifetime not in (ABSENT, None) else None,
            refresh if isinstance(refresh, str) else None,
        )


def authorization_url(auth: OAuthAuthorizationCode, *, redirect_uri: str, state: str, code_challenge: str) -> str:
    """Where to send a person who is to agree; `code_challenge` is the S256 one of the verifier that the exchange will send."""
    asked = {"response_type": "code", "client_id": auth.client_id, "redirect_uri": redirect_uri, "state": state}
    if auth.scope:
        asked["scope"] = auth.scope
    if auth.pkce:
        asked |= {"code_challenge": code_challenge, "code_challenge_method": "S256"}
    joint = "&" if "?" in auth.authorization_url else "?"
    return auth.authorization_url + joint + urlencode({**auth.authorization_extra, **asked})


async def exchange_code(client: Client, auth: OAuthAuthorizationCode, *, code: str, redirect_uri: str, code_verifier: str) -> Token:
    """The tokens for a code that came back. Raises SettingsError where the system refuses it."""
    client.veil.add(code)
    client.veil.add(code_verifier)
    sent = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
    if auth.pkce:
        sent["code_verifier"] = code_verifier
    return await OAuth(auth).grant(client, sent)


class Signed(Credentials):
    """HMAC over a template of the request."""

    def __init__(self, settings: SignedRequests) -> None:
        self._settings = settings
        self._what = TextTemplate(settings.sign.replace("\\n", "\n"))

    def sign(self, call: Call) -> tuple[URL, dict[str, str]]:
        settings = self._settings
        body = call.body or b""
        known = {
            "method": call.method,
            "path": call.url.raw_path,
            "query": "&".join(sorted(call.url.raw_query_string.split("&"))) if call.url.raw_query_string else "",
            "target": call.url.raw_path_qs,
            "timestamp": self._timestamp(),
            "nonce": secrets.token_hex(16),
            "key_id": settings.key_id,
            "body": body.decode("utf-8", "replace"),
            "body_hash": self._written(hashlib.new(settings.algorithm, body, usedforsecurity=False).digest()),
        }
        text = self._what.fill(known.__getitem__)
        known["signature"] = self._written(hmac.new(settings.secret.encode(), text.encode(), settings.algorithm).digest())
        headers = {**call.headers, **{n: TextTemplate(v).fill(known.__getitem__) for n, v in settings.headers.items()}}
        return with_query(call.url, {n: TextTemplate(v).fill(known.__getitem__) for n, v in settings.query.items()}), headers

    def _timestamp(self) -> str:
        now = time.time()
        match self._settings.timestamp_as:
            case "epoch_milliseconds":
                return str(int(now * 1000))
            case "iso":
                return dt.datetime.fromtimestamp(now, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            case "http":
                return formatdate(now, usegmt=True)
        return str(int(now))

    def _written(self, digest: bytes) -> str:
        match self._settings.signature_as:
            case "base64":
                return b64encode(digest).decode()
            case "hex_upper":
                return digest.hex().upper()
        return digest.hex()


def credentials_of(auth: Auth) -> Credentials:
    match auth:
        case BasicAuth():
            return Fixed("Authorization", basic(auth.user, auth.password))
        case BearerAuth():
            return Fixed("Authorization", f"Bearer {auth.token}")
        case ApiKeyAuth():
            return Fixed(auth.name, auth.key, in_query=auth.send_in == "query")
        case OAuthClientCredentials() | OAuthAuthorizationCode():
            return OAuth(auth)
        case TokenCall():
            return ByTokenCall(auth)
        case SignedRequests():
            return Signed(auth)
        case NoAuth():
            return Credentials()


def basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


def with_query(url: URL, pairs: dict[str, str]) -> URL:
    if not pairs:
        return url
    text = str(url)
    return URL(text + ("&" if "?" in text else "?") + urlencode(pairs), encoded=True)


async def ask_for_token(client: Client, call: Call) -> Answer:
    """A token call is sent as it is, without our own credentials, and never twice: a refresh token may hold only once."""
    try:
        return await client.exchange(call, signed=False)
    except (NotSent, MaybeDone) as error:
        raise error.cause from None


def refused(client: Client, answer: Answer) -> ConnectorError:
    if client.asks_to_wait(answer) or answer.status >= 500:
        return client.failure(answer)
    return SettingsError(
        _("{system} gave no token at {place}: {reason}. Enter the credentials again under Systems, {system}."),
        system=client.host.system,
        place=answer.place,
        reason=client.reason(answer),
    )


def consent_ended(client: Client, answer: Answer) -> ConnectorError:
    """The code or the refresh token holds no more: no other credential would help, only the person's consent."""
    return SettingsError(
        _("{system} must be connected again: {reason}. Open it under Systems and press Connect."),
        system=client.host.system,
        reason=client.reason(answer),
    )


def text_at(client: Client, answer: Answer, path: str) -> str:
    value = answer.value(path)
    if isinstance(value, str) and value:
        return value
    raise BadAnswer(
        _("{system} answered {place} without a token at {path}. Correct the token path."), system=client.host.system, place=answer.place, path=path
    )
