"""Credentials: each way of proving who we are, renewal once for all, and nothing of it in any text."""

from __future__ import annotations

import hashlib
import hmac
import time
from base64 import b64encode
from urllib.parse import parse_qs, urlsplit

import pytest

from connectors.base import BadAnswer, ConnectorError, FreeHost, SettingsError, SystemDown, Token
from connectors.rest import RestSettings
from tests.connectors.shop import Shop, fails, raw
from tests.connectors.test_rest_reading import read
from tests.connectors.test_rest_writing import creates, results, write

SECURED = {"list": {"path": "/secured", "pagination": {"type": "none"}}}
TOKEN_CALL = {
    "type": "token_call",
    "path": "/token",
    "body": {"key": "{key}", "secret": "{secret}"},
    "values": {"key": "hub", "secret": "s3cret-value"},
}
CLIENT = {"client_id": "hub", "client_secret": "s3cret-value", "token_url": "{url}/token"}


def with_url(auth: dict, shop: Shop) -> dict:
    return {k: v.format(url=shop.url) if k.endswith("_url") else v for k, v in auth.items()}


class Remembering(FreeHost):
    """Keeps what the token call returned, as the hub would."""

    def __init__(self, token: Token | None = None) -> None:
        super().__init__("Shop")
        self._token = token
        self.fetched: list[str | None] = []

    def token(self, fetch, *, stale=None):
        def noted(refresh):
            self.fetched.append(refresh)
            return fetch(refresh)

        return super().token(noted, stale=stale)


@pytest.mark.parametrize(
    ("auth", "header", "query"),
    [
        ({"type": "none"}, None, ""),
        ({"type": "basic", "user": "hub", "password": "pä:ss"}, "Basic " + b64encode("hub:pä:ss".encode()).decode(), ""),
        ({"type": "bearer", "token": "tok"}, "Bearer tok", ""),
        ({"type": "api_key", "name": "Authorization", "key": "k3y"}, "k3y", ""),
        ({"type": "api_key", "name": "api_key", "key": "k&y", "send_in": "query"}, None, "k&y"),
    ],
)
def test_fixed_credentials_travel_with_each_request(shop: Shop, connect, auth, header, query):
    read(connect(auth=auth))

    assert shop.asked[-1].headers.get("Authorization") == header
    assert shop.asked[-1].query.get("api_key", "") == query


@pytest.mark.parametrize(
    ("auth", "body"),
    [
        ({**TOKEN_CALL, "prefix": "Bearer "}, b'{"key":"hub","secret":"s3cret-value"}'),
        ({**TOKEN_CALL, "prefix": "Bearer ", "form": True}, b"key=hub&secret=s3cret-value"),
        ({**TOKEN_CALL, "send_in": "query", "name": "token"}, b'{"key":"hub","secret":"s3cret-value"}'),
        (
            {**CLIENT, "type": "oauth2_client_credentials", "scope": "a b", "extra": {"audience": "x"}},
            b"audience=x&grant_type=client_credentials&scope=a+b",
        ),
        (
            {**CLIENT, "type": "oauth2_client_credentials", "client_sent_as": "body"},
            b"grant_type=client_credentials&client_id=hub&client_secret=s3cret-value",
        ),
    ],
)
def test_a_token_is_fetched_once_and_used(shop: Shop, connect, auth, body):
    connector = connect(auth=with_url(auth, shop), entity=SECURED)

    read(connector)
    read(connector)

    assert shop.token_calls == 1
    assert shop.bodies[0] == body
    if "client_id" in auth and "client_sent_as" not in auth:
        assert shop.asked[0].headers["Authorization"] == "Basic " + b64encode(b"hub:s3cret-value").decode()


@pytest.mark.parametrize("path", ["/secured", "/secured/coded"])
def test_an_expired_token_is_renewed_and_the_request_repeated_once(shop: Shop, connect, path):
    """By status 401, and by an error code inside a 200."""
    rules = {"success_path": "errcode", "success_values": ["0"], "expired_codes": ["40001"]} if path.endswith("coded") else {}
    shop.has(3)
    host = Remembering(Token("an old token"))
    connector = connect(
        auth={**TOKEN_CALL, "prefix": "Bearer "}, entity={"list": {"path": path, "pagination": {"type": "none"}}}, answers=rules, host=host
    )
    if rules:
        shop.answers["/token"] = (200, {"errcode": 0, "access_token": "new token"})
        shop.tokens = ["new token"]

    with pytest.raises(BadAnswer) if rules else _nothing():  # the shop's list has no errcode, which is no success
        read(connector)

    assert host.fetched == [None]
    assert [r.path for r in shop.asked[:3]] == [path, "/token", path]


def _nothing():
    from contextlib import nullcontext

    return nullcontext()


def test_many_requests_that_meet_an_expired_token_renew_it_once(shop: Shop, connect):
    host = Remembering(Token("an old token"))
    connector = connect(
        auth={**TOKEN_CALL, "prefix": "Bearer "}, entity={"create": {"path": "/secured", "method": "GET"}}, host=host, connection={"in_flight": 20}
    )
    shop.delay = 0.05

    outcomes = write(connector, creates(20))

    assert results(outcomes) == [("written", False, True)] * 20
    assert shop.token_calls == 1


def test_a_token_that_is_refused_again_is_told(shop: Shop, connect):
    shop.answers["/secured"] = (401, {"message": "go away"})

    with pytest.raises(SettingsError, match="does not accept our credentials for GET /secured: go away"):
        read(connect(auth=TOKEN_CALL, entity=SECURED))

    assert shop.token_calls == 2


@pytest.mark.parametrize(
    ("status", "body", "error", "sentence"),
    [
        (400, {"error": "invalid_client"}, SettingsError, "gave no token at POST /token: invalid_client. Enter the credentials again"),
        (200, {"error": "invalid_grant", "error_description": "expired"}, SettingsError, "gave no token at POST /token: expired"),
        (200, {"token": "x"}, BadAnswer, "without a token at access_token. Correct the token path"),
        (200, b"<html>", BadAnswer, "a web page instead of JSON"),
        (503, b"", ConnectorError, "asks us to wait"),
        (500, b"", SystemDown, "failed at POST /token with status 500"),
    ],
)
def test_a_token_call_that_fails_is_one_clear_sentence(shop: Shop, connect, status, body, error, sentence):
    shop.answers["/token"] = (status, body)

    with pytest.raises(error) as caught:
        read(connect(auth=with_url({**CLIENT, "type": "oauth2_client_credentials"}, shop), entity=SECURED, connection={"tries": 1}))

    assert sentence in str(caught.value)


def test_expiry_is_told_to_the_host(shop: Shop, connect):
    class Host(Remembering):
        seen: Token | None = None

        def token(self, fetch, *, stale=None):
            self.seen = fetch(None)
            return self.seen.value

    cases = [
        ("seconds", 7200, 7200),
        ("epoch_milliseconds", (time.time() + 60) * 1000, 60),
        ("iso", "2099-01-01T00:00:00Z", 4070908800 - time.time()),
    ]
    for written_as, value, seconds in cases:
        shop.answers["/token"] = (200, {"access_token": "tok-tok", "until": value})
        host = Host()
        with pytest.raises(ConnectorError):
            read(connect(auth={**TOKEN_CALL, "expires_path": "until", "expires_as": written_as}, entity=SECURED, host=host))
        assert host.seen is not None
        assert host.seen.expires_at == pytest.approx(time.time() + seconds, abs=5)


@pytest.mark.parametrize("value", [{"at": 1}, [3600], "soon", "inf", "nan", 1e300, -1e300], ids=str)
@pytest.mark.parametrize("written_as", ["seconds", "epoch_seconds", "epoch_milliseconds", "iso"])
def test_an_expiry_that_is_no_time_is_a_token_whose_end_nobody_knows(shop: Shop, connect, value, written_as):
    shop.has(1)
    shop.tokens = ["tok-tok"]
    shop.answers["/token"] = (200, {"access_token": "tok-tok", "until": value})
    host = Remembering()

    read(connect(auth={**TOKEN_CALL, "prefix": "Bearer ", "expires_path": "until", "expires_as": written_as}, entity=SECURED, host=host))

    assert host.fetched == [None]
    assert host._token == Token("tok-tok")


# --- the Connect button ---

CODE = {**CLIENT, "type": "oauth2_authorization_code", "authorization_url": "{url}/authorize?prompt=consent", "scope": "read write"}


def test_a_person_is_sent_to_agree(shop: Shop, connect):
    connector = connect(auth=with_url(CODE, shop))

    url = urlsplit(connector.authorization_url(redirect_uri="https://hub.example/return", state="st", code_challenge="ch"))

    assert connector.is_connected_by_person
    assert parse_qs(url.query) == {
        "prompt": ["consent"], "response_type": ["code"], "client_id": ["hub"], "redirect_uri": ["https://hub.example/return"], "state": ["st"],
        "scope": ["read write"], "code_challenge": ["ch"], "code_challenge_method": ["S256"],
    }  # fmt: skip


def test_a_code_is_exchanged_for_tokens(shop: Shop, connect):
    token = connect(auth=with_url(CODE, shop)).exchange_code(code="c0de", redirect_uri="https://hub.example/return", code_verifier="verifier")

    assert (token.value, token.refresh) == ("token-1-abcdef", "refresh-1")
    assert token.expires_at == pytest.approx(time.time() + 3600, abs=5)
    assert parse_qs(shop.bodies[-1].decode()) == {
        "grant_type": ["authorization_code"], "code": ["c0de"], "redirect_uri": ["https://hub.example/return"], "code_verifier": ["verifier"],
    }  # fmt: skip


def test_a_rotated_refresh_token_is_handed_on(shop: Shop, connect):
    shop.tokens = ["current"]
    host = Remembering(Token("stale", None, "refresh-0"))

    read(connect(auth=with_url(CODE, shop), entity=SECURED, host=host))

    assert host.fetched == ["refresh-0"]
    assert host._token is not None
    assert host._token.refresh == "refresh-1"


def test_a_provider_that_does_not_rotate_keeps_its_refresh_token(shop: Shop, connect):
    shop.answers["/token"] = (200, {"access_token": "fresh"})
    shop.tokens = ["fresh"]
    host = Remembering(Token("stale", None, "refresh-0"))

    read(connect(auth=with_url(CODE, shop), entity=SECURED, host=host))

    assert host._token == Token("fresh", None, "refresh-0")


def test_a_refresh_token_is_never_sent_twice(shop: Shop, connect):
    """A rotating provider takes the second time for theft and revokes everything."""
    shop.faults.extend([fails(401), raw(b"", then="reset")])
    host = Remembering(Token("stale", None, "refresh-0"))

    with pytest.raises(SystemDown):
        read(connect(auth=with_url(CODE, shop), entity=SECURED, host=host, connection={"tries": 1}))

    assert [r.path for r in shop.asked] == ["/secured", "/token"]


def test_a_grant_that_ended_asks_for_consent_and_a_wrong_client_for_credentials(shop: Shop, connect):
    for status, error, sentence in (
        (400, "invalid_grant", r"Shop must be connected again: .*\. Open it under Systems and press Connect\."),
        (401, "invalid_client", r"Shop gave no token at POST /token: .*\. Enter the credentials again under Systems, Shop\."),
    ):
        shop.answers["/token"] = (status, {"error": error, "error_description": "No more"})
        with pytest.raises(SettingsError, match=sentence):
            read(connect(auth=with_url(CODE, shop), entity=SECURED, host=Remembering(Token("stale", None, "refresh-0"))))


def test_without_consent_the_connect_button_is_named(shop: Shop, connect):
    with pytest.raises(SettingsError, match=r"Shop is not connected\. Open it under Systems and press Connect"):
        read(connect(auth=with_url(CODE, shop), entity=SECURED))


# --- signatures ---


def test_a_request_is_signed_as_declared(shop: Shop, connect):
    auth = {
        "type": "hmac", "key_id": "hub", "secret": "s3cret-value", "sign": "{method}|{path}|{query}|{timestamp}|{body_hash}",
        "headers": {"X-Sign": "HUB {key_id}:{signature}", "X-Time": "{timestamp}", "X-Nonce": "{nonce}"},
    }  # fmt: skip

    write(connect(auth=auth, connection={"query": {"b": "2", "a": "1 2"}}), creates(1))

    asked, body = shop.asked[-1], shop.bodies[-1]
    text = f"POST|/contacts|a=1+2&b=2|{asked.headers['X-Time']}|{hashlib.sha256(body).hexdigest()}"
    assert asked.headers["X-Sign"] == "HUB hub:" + hmac.new(b"s3cret-value", text.encode(), "sha256").hexdigest()
    assert abs(int(asked.headers["X-Time"]) - time.time()) < 5
    assert len(asked.headers["X-Nonce"]) == 32


# --- nothing of it in any text ---


@pytest.mark.parametrize(
    "auth", [{"type": "api_key", "name": "api_key", "key": "s3cret/va lue", "send_in": "query"}, {"type": "bearer", "token": "s3cret/va lue"}]
)
@pytest.mark.parametrize(
    "fault",
    [
        fails(400, {"message": "bad key s3cret/va lue or s3cret%2Fva%20lue or s3cret%2Fva+lue or czNjcmV0L3ZhIGx1ZQ=="}),
        fails(302, Location="https://login.example/?key=s3cret%2Fva%20lue"),
        raw(b""),
        raw(b"HTTP/1.1 banana\r\n\r\n"),
        fails(200, b"<html>s3cret/va lue"),
        fails(500, b"s3cret/va lue"),
    ],
)
def test_no_error_shows_a_secret(shop: Shop, connect, auth, fault):
    shop.faults.extend([fault] * 2)

    with pytest.raises(ConnectorError) as caught:
        read(connect(auth=auth, connection={"tries": 1}))

    told = f"{caught.value} {caught.value.text} {caught.value!r}"
    assert "s3cret" not in told
    assert "czNjcmV0" not in told


def test_no_outcome_shows_a_secret(shop: Shop, connect):
    shop.refuses["n0@x"] = "key s3cret-token is wrong"

    outcomes = write(connect(auth={"type": "bearer", "token": "s3cret-token"}), creates(1))

    assert str(outcomes[0].reason) == "Shop refused it with status 422: key ••• is wrong"


def test_a_token_echoed_by_the_system_is_masked(shop: Shop, connect):
    shop.tokens = ["other"]
    shop.answers["/token"] = (200, {"access_token": "fresh-token-value"})

    with pytest.raises(SettingsError, match="token ••• expired"):
        read(connect(auth={**TOKEN_CALL, "prefix": "Bearer "}, entity=SECURED))


def test_a_secret_repeated_in_a_next_address_is_not_kept(shop: Shop, connect):
    shop.answers["/loop"] = (200, {"items": [], "next": "/end?a=1&api_key=s3cret-key&b=2"})
    shop.answers["/end"] = (200, {"items": []})
    entity = {"list": {"path": "/loop", "pagination": {"type": "next_url", "path": "next"}}}

    pages = read(connect(auth={"type": "api_key", "name": "api_key", "key": "s3cret-key", "send_in": "query"}, entity=entity))

    assert pages[0].position["url"] == f"{shop.url}/end?a=1&b=2"
    assert str(shop.asked[-1].rel_url) == "/end?a=1&b=2&api_key=s3cret-key"


def test_a_secret_with_a_line_break_is_named_and_does_not_look_like_an_outage(shop: Shop, connect):
    with pytest.raises(SettingsError, match=r"A header of GET /contacts \(Shop\) has a line break in it"):
        connect(auth={"type": "bearer", "token": "pasted\n"}).check()

    assert shop.asked == []


def test_settings_show_no_secret():
    auth = {**TOKEN_CALL, "path": "/x"}
    settings = RestSettings.model_validate({"base_url": "https://x.example", "auth": auth, "connection": {"proxy_password": "s3cret-proxy"}})

    assert "s3cret" not in repr(settings) + str(settings)


@pytest.mark.parametrize("wrong", [{"token_url": ""}, {"authorization_url": "/authorize"}, {"client_id": ""}])
def test_consent_needs_full_addresses_and_a_client(wrong):
    auth = {"type": "oauth2_authorization_code", "token_url": "https://x.example/t", "authorization_url": "https://x.example/a", "client_id": "hub"}
    RestSettings.model_validate({"base_url": "https://x.example", "auth": auth})

    with pytest.raises(ValueError, match=next(iter(wrong))):
        RestSettings.model_validate({"base_url": "https://x.example", "auth": {**auth, **wrong}})


@pytest.mark.parametrize("url", ["ftp://x", "https://", "https://u:p@x.example", "https://x.example?key=1", "https://x.example:99999", "x"])
def test_an_address_that_cannot_be_one_is_refused(url):
    with pytest.raises(ValueError, match="base_url"):
        RestSettings.model_validate({"base_url": url})
