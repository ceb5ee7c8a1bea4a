"""Every list is a file too: what its filters leave of it, and nothing that a spreadsheet would run."""

import csv
import io
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.html import escape

from integration_hub.accounts import services as accounts
from integration_hub.accounts.actor import Actor
from integration_hub.accounts.models import Token, User
from integration_hub.core.exports import csv_answer
from integration_hub.mappings.models import Mapping
from integration_hub.syncs.models import Pair, Sync
from integration_hub.systems.models import Entity
from tests.fakes import CONTACTS

pytestmark = pytest.mark.django_db
HARMFUL = "=1+1"
# list → its file, the column that names a row, a filter that leaves some rows, and the first and the second of all rows
LISTS = {
    "systems:list": ("systems:export", "System", {"state": "unreachable"}, "'=1+1 CRM", "OA"),
    "mappings:list": ("mappings:export", "Mapping", {"q": "=1"}, "'=1+1", "Back"),
    "syncs:list": ("syncs:export", "Sync", {"state": "paused"}, "'=1+1", "Back"),
    "accounts:tokens": ("accounts:export_tokens", "Name", {"state": "revoked"}, "'=1+1", "CI"),
    "accounts:people": ("accounts:export_people", "User name", {"role": "viewer", "state": "active", "q": "Ada"}, "'=1+1", "administrator"),
}


@pytest.fixture
def lists(client, person, make_system):
    """A client of an administrator, and two rows in each list."""
    client.force_login(administrator := person("administrator"))
    by = Actor.of(administrator)
    systems = make_system(f"{HARMFUL} CRM", state="unreachable"), make_system("OA")
    one, other = (Entity.objects.create(system=s, name="contacts", schema=CONTACTS.model_dump(mode="json"), selected=True) for s in systems)
    pair = Pair.objects.create(a=one, b=other)
    for name, more in ((HARMFUL, {"paused_at": "2026-11-01T00:00:00Z"}), ("Back", {"owner": administrator})):
        Sync.objects.create(name=name, pair=pair, mapping=Mapping.objects.create(name=name, source=one, target=other), **more)
    accounts.create_token(name="CI", scopes=["systems.view"], by=by)
    accounts.revoke_token(accounts.create_token(name=HARMFUL, scopes=["systems.view"], by=by)[0], by=by)
    User.objects.create(username=HARMFUL, first_name="Ada", role="viewer")
    return client


def rows_of(client, name, **query):
    answer = client.get(reverse(name), query)
    assert answer["Content-Type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode().removeprefix("\ufeff"))))


@pytest.mark.parametrize("shown", LISTS)
def test_a_list_is_exported_as_it_is_filtered(lists, shown):
    export, column, query, first, second = LISTS[shown]

    page = lists.get(reverse(shown), query).content.decode()

    assert f'href="{reverse(export)}?{escape(urlencode(query))}" download' in page
    assert [row[column] for row in rows_of(lists, export)][:2] == [first, second]
    assert [row[column] for row in rows_of(lists, export, **query)] == [first]
    assert rows_of(lists, export, q="nobody is called so") == []


def test_neither_names_nor_texts_of_an_export_are_run():
    rows = [["\n=1", "＝1"], ["\t-1", "'=1"], ["plain", -5]]

    lines = b"".join(csv_answer("list", ["=cmd", "name"], rows).streaming_content).decode().removeprefix("\ufeff")

    assert list(csv.reader(io.StringIO(lines, newline=""))) == [["'=cmd", "name"], ["'\n=1", "'＝1"], ["'\t-1", "''=1"], ["plain", "-5"]]


@pytest.mark.parametrize("export", [export for export, *_more in LISTS.values()])
def test_a_file_of_many_rows_asks_the_database_as_often_as_one_of_few(lists, make_system, export):
    def asked():
        with CaptureQueriesContext(connection) as caught:
            rows = rows_of(lists, export)
        return len(rows), len(caught)

    (few, before), pair, mapping = asked(), Pair.objects.get(), Mapping.objects.first()
    user = User.objects.get(username="administrator")
    for number in range(20):
        Entity.objects.create(system=make_system(f"S{number}"), name="contacts", schema=pair.a.schema)
        Mapping.objects.create(name=f"M{number}", source=pair.a, target=pair.b)
        Sync.objects.create(name=f"S{number}", pair=pair, mapping=mapping)
        Token.objects.create(user=user, name=f"T{number}", key_hash=f"{number}")
        User.objects.create(username=f"u{number}")

    assert asked() == (few + 20, before)


def test_what_is_exported_of_a_token_opens_nothing(lists):
    text = str(rows_of(lists, "accounts:export_tokens"))

    assert Token.objects.first().prefix in text
    assert not any(token.key_hash in text for token in Token.objects.all())


def test_a_person_exports_no_tokens_but_their_own(lists, person):
    lists.force_login(person("viewer"))

    assert rows_of(lists, "accounts:export_tokens") == []
    assert lists.get(reverse("accounts:export_people")).status_code == 404
