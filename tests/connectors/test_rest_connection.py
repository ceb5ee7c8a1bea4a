"""The way there: TLS, time-outs, unreachable hosts, proxies."""

from __future__ import annotations

import socket
import time

import pytest

from connectors.base import FreeHost, SettingsError, SystemDown
from connectors.rest import RestConnector, RestSettings
from connectors.rest.verdicts import retry_after
from tests.connectors.conftest import contacts
from tests.connectors.shop import Shop, slow
from tests.threads import at_once


def connector(url: str, **settings) -> RestConnector:
    return RestConnector(RestSettings.model_validate({"base_url": url, "entities": [contacts()], **settings}), FreeHost("Shop"))


def test_a_certificate_nobody_knows_is_refused(secure):
    with connector(secure[0].shop.url.replace("127.0.0.1", "localhost")) as shop, pytest.raises(SettingsError) as caught:
        shop.check()

    assert "The TLS certificate of localhost (Shop) was not accepted: self-signed certificate" in str(caught.value)


def test_a_company_s_own_authority_is_accepted(secure):
    with connector(secure[0].shop.url.replace("127.0.0.1", "localhost"), connection={"ca_pem": secure[1]}) as shop:
        shop.check()


def test_a_certificate_for_another_name_is_refused(secure):
    with connector(secure[0].shop.url, connection={"ca_pem": secure[1]}) as shop, pytest.raises(SettingsError, match=r"was not accepted: .*mismatch"):
        shop.check()


def test_the_check_can_be_switched_off(secure):
    with connector(secure[0].shop.url, connection={"verify_tls": False}) as shop:
        shop.check()


def test_text_that_is_no_certificate_is_named(secure):
    with connector(secure[0].shop.url, connection={"ca_pem": "hello"}) as shop, pytest.raises(SettingsError, match="is no PEM text"):
        shop.check()


def test_tls_spoken_to_a_server_without_it_is_told(shop: Shop):
    with connector(shop.url.replace("http:", "https:"), connection={"tries": 1}) as there, pytest.raises(SettingsError, match="TLS certificate"):
        there.check()


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("http://127.0.0.1:9", r"127\.0\.0\.1 \(Shop\) could not be connected to"),
        ("http://no-such-host.invalid", r"The name no-such-host\.invalid \(Shop\) could not be resolved"),
    ],
)
def test_an_unreachable_host_is_down(url, sentence):
    with connector(url, connection={"tries": 1}) as shop, pytest.raises(SystemDown, match=sentence):
        shop.check()


def test_a_host_that_takes_no_connection_is_given_up():
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _number in range(3)]
        for one in waiting:  # fill the backlog
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        time.sleep(0.05)
        started = time.monotonic()

        brief = {"connect_seconds": 0.3, "total_seconds": 0.8, "tries": 1}
        with (
            connector(f"http://127.0.0.1:{full.getsockname()[1]}", connection=brief) as shop,
            pytest.raises(SystemDown, match=r"did not (take a connection within 0\.3 seconds|answer GET /contacts in time)"),
        ):
            shop.check()

        assert time.monotonic() - started < 2
        for one in waiting:
            one.close()


@pytest.mark.parametrize("limit", [{"read_seconds": 0.2}, {"total_seconds": 0.2}])
def test_a_slow_answer_is_given_up(shop: Shop, limit):
    shop.faults.append(slow(3))

    with connector(shop.url, connection={**limit, "tries": 1}) as there, pytest.raises(SystemDown, match="did not answer GET /contacts in time"):
        there.check()


def test_a_proxy_is_used_and_told_its_name(shop: Shop):
    shop.answers["/contacts"] = (200, {"items": []})

    with connector("http://127.0.0.1:1", connection={"proxy": shop.url, "proxy_user": "me", "proxy_password": "pass"}) as there:
        there.check()

    assert shop.asked[-1].headers["Proxy-Authorization"].startswith("Basic ")


def test_a_proxy_that_is_not_there_is_named():
    with (
        connector("http://127.0.0.1:1", connection={"proxy": "http://127.0.0.1:9", "tries": 1}) as there,
        pytest.raises(SystemDown, match="The proxy to Shop"),
    ):
        there.check()


def test_shared_headers_and_parameters_travel_with_each_request(shop: Shop):
    with connector(shop.url, connection={"headers": {"X-Tenant": "7"}, "query": {"client": "100"}}) as there:
        there.check()

    assert shop.asked[-1].headers["X-Tenant"] == "7"
    assert shop.asked[-1].query["client"] == "100"


def test_two_threads_take_turns(shop: Shop):
    shop.has(30)
    with connector(shop.url) as there:
        entity = there.discover()[0]
        found = at_once(*[lambda: sum(page.frame.height for page in there.read(entity))] * 4)

    assert found == [30] * 4


def test_check_says_who_we_are(shop: Shop):
    shop.answers["/me"] = (200, {"user": {"name": "hub@example.com"}})

    with connector(shop.url, check_path="/me", identity_path="user.name") as there:
        said = there.check()

    assert "Shop answered in" in str(said)
    assert "We are hub@example.com there" in str(said)


def test_a_sign_in_page_is_no_proof(shop: Shop):
    shop.answers["/me"] = (200, b"<html>")

    with connector(shop.url, check_path="/me") as there, pytest.raises(Exception, match="web page"):
        there.check()


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("5", 5), ("0", 0), ("-3", 0), ("1.5", 1.5), ("", None), (None, None), ("soon", None), ("Wed, 21 Oct 2015 07:28:00 GMT", 0)],
)
def test_retry_after_is_understood(header, seconds):
    assert retry_after(header) == seconds
