"""Behind a proxy, who asks is whom the proxy saw."""

import pytest

from integration_hub.audit.models import Entry

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("behind", "forwarded", "address"),
    [
        (True, "203.0.113.7", "203.0.113.7"),
        (True, "198.51.100.1, 203.0.113.7", "203.0.113.7"),
        (True, "2001:db8::7", "2001:db8::7"),
        (True, "unknown", "127.0.0.1"),
        (True, "", "127.0.0.1"),
        (False, "203.0.113.7", "127.0.0.1"),
    ],
    ids=["seen", "written by the caller before it", "IPv6", "no address", "no header", "no proxy to believe"],
)
def test_signing_in_is_recorded_with_the_address_that_the_proxy_saw(client, person, settings, behind, forwarded, address):
    settings.BEHIND_PROXY = behind
    person("viewer")

    client.post("/login/", {"username": "viewer", "password": "correct horse battery"}, headers={"X-Forwarded-For": forwarded})

    assert Entry.objects.get(event="person.signed_in").note == address


def test_wrong_passwords_of_one_address_shut_the_door_for_no_other(client, person, settings):
    settings.BEHIND_PROXY = True
    person("viewer")

    def sign_in(password, address):
        return client.post("/login/", {"username": "viewer", "password": password}, headers={"X-Forwarded-For": address}).status_code

    for _try in range(5):
        sign_in("wrong", "198.51.100.1")

    assert sign_in("correct horse battery", "198.51.100.1") == 429
    assert sign_in("correct horse battery", "203.0.113.7") == 302
