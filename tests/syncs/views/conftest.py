"""The pages of syncs, runs and rejects, as a browser asks for them, over runs between two real systems of the sandbox."""

import re

import pytest
from django.urls import reverse


@pytest.fixture
def enter(client, person):
    """A function that signs the client in with a role."""

    def as_(role="operator"):
        client.force_login(person(role))
        return client

    return as_


def shown(client, name, *args, **query):
    """The text of a page, without tags."""
    answer = client.get(reverse(name, args=args), query)
    assert answer.status_code == 200, answer
    body = re.sub(r"<(script|style|svg)\b.*?</\1>", " ", answer.content.decode(), flags=re.S)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body)).replace("&#x27;", "'").replace("&quot;", '"')


def press(client, place, /, *args, **values):
    return client.post(reverse(place, args=args), values, follow=True)
