from __future__ import annotations

import socket

import pytest

from connectors.base import AddressRefused, FreeHost, SettingsError
from connectors.guard import AddressPolicy
from connectors.rest import RestConnector, RestSettings
from tests.connectors.conftest import contacts
from tests.connectors.shop import Shop

NEVER = [
    "169.254.169.254", "169.254.1.1", "100.100.100.200", "168.63.129.16", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "224.0.0.1", "ff02::1",
    "0.0.0.0", "::", "0.1.2.3", "255.255.255.255", "240.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "no address",
]  # fmt: skip
ONLY_IF_ALLOWED = [
    "127.0.0.1",
    "127.8.9.1",
    "::1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "fc00::1",
    "::ffff:10.1.2.3",
    "::ffff:127.0.0.1",
    "100.64.0.1",
    "::7f00:1",
]


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8"])
def test_public_addresses_are_reached(address):
    AddressPolicy().allow("crm.example.com", address)


@pytest.mark.parametrize("address", NEVER)
@pytest.mark.parametrize("networks", [[], ["0.0.0.0/0", "::/0"]])
def test_some_addresses_are_never_reached(address, networks):
    with pytest.raises(AddressRefused, match=r"crm\.example\.com resolves to"):
        AddressPolicy(networks).allow("crm.example.com", address)


@pytest.mark.parametrize("address", ONLY_IF_ALLOWED)
def test_private_and_loopback_addresses_are_reached_in_allowed_networks_only(address):
    with pytest.raises(AddressRefused, match="setting ALLOWED_NETWORKS"):
        AddressPolicy(["203.0.113.0/24"]).allow("erp.corp", address)

    AddressPolicy(["127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "100.64.0.0/10"]).allow("erp.corp", address)


def test_loopback_is_not_allowed_by_private_networks():
    with pytest.raises(AddressRefused, match="this machine itself"):
        AddressPolicy(["10.0.0.0/8", "192.168.0.0/16"]).allow("localhost", "127.0.0.1")


def test_a_wrong_network_is_named():
    with pytest.raises(ValueError, match=r"10\.0\.0\.0/99"):
        AddressPolicy(["10.0.0.0/99"])


class Guarded(FreeHost):
    def __init__(self, *networks: str) -> None:
        super().__init__("Shop")
        self.policy = AddressPolicy(networks)
        self.asked: list[tuple[str, str]] = []

    def allow_address(self, host: str, address: str) -> None:
        self.asked.append((host, address))
        self.policy.allow(host, address)


def connector(url: str, host: FreeHost, **settings) -> RestConnector:
    return RestConnector(RestSettings.model_validate({"base_url": url, "entities": [contacts()], **settings}), host)


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1"])
def test_no_spelling_of_this_machine_gets_through(shop: Shop, name):
    host = Guarded()
    with (
        connector(shop.url.replace("127.0.0.1", name), host) as shop_connector,
        pytest.raises(SettingsError, match=r"this machine itself|is not valid"),
    ):
        shop_connector.check()

    assert shop.asked == []


def test_every_connection_is_to_an_address_that_was_checked(shop: Shop, monkeypatch):
    """The name resolves to a public address first and to this machine when it is asked again (DNS rebinding)."""
    found = iter(["203.0.113.9", "127.0.0.1", "127.0.0.1"])
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *a, **k: real(next(found) if host == "rebind.example" else host, *a, **k))
    host = Guarded()

    with connector(shop.url.replace("127.0.0.1", "rebind.example"), host, connection={"connect_seconds": 0.2, "tries": 1}) as shop_connector:
        with pytest.raises(Exception, match=r"connect|documentation|private"):
            shop_connector.check()
        with pytest.raises(AddressRefused):
            shop_connector.check()

    assert shop.asked == []


def test_a_redirect_is_not_followed(shop: Shop):
    shop.answers["/contacts"] = (302, b"", {"Location": "http://169.254.169.254/latest/meta-data?token=abc"})

    with connector(shop.url, Guarded("127.0.0.0/8")) as shop_connector, pytest.raises(Exception, match="sends GET /contacts on to") as caught:
        shop_connector.check()

    assert "abc" not in str(caught.value)


def test_a_next_page_elsewhere_is_not_followed(shop: Shop):
    shop.answers["/contacts"] = (200, {"items": [], "next": "http://169.254.169.254/x"})
    entity = contacts(list={"pagination": {"type": "next_url", "path": "next"}})

    with connector(shop.url, Guarded("127.0.0.0/8"), entities=[entity]) as shop_connector, pytest.raises(AddressRefused, match="Other origins"):
        list(shop_connector.read(shop_connector.discover()[0]))


def test_what_a_proxy_is_asked_for_is_checked_too(shop: Shop):
    proxied = {"proxy": shop.url}

    with (
        connector("http://10.0.0.7", Guarded("127.0.0.0/8"), connection=proxied) as shop_connector,
        pytest.raises(AddressRefused, match=r"10\.0\.0\.7"),
    ):
        shop_connector.check()

    assert shop.asked == []


def test_a_proxy_is_checked_itself(shop: Shop):
    with (
        connector("http://8.8.8.8", Guarded(), connection={"proxy": shop.url}) as shop_connector,
        pytest.raises(AddressRefused, match=r"127\.0\.0\.1"),
    ):
        shop_connector.check()
