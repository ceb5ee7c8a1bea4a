"""People and tokens through the API."""

import pytest

from integration_hub.accounts.models import User
from tests.test_permissions import things

__all__ = ["things"]

pytestmark = pytest.mark.django_db
JSON = "application/json"
PEOPLE, TOKENS, SYSTEMS = "/api/v1/people/", "/api/v1/tokens/", "/api/v1/systems/"
ADA = {"username": "ada", "role": "operator", "password": "correct horse battery"}


def test_a_person_is_made_and_changed(api, administrator):
    client = api(administrator)

    made = client.post(PEOPLE, ADA | {"is_active": True}, content_type=JSON)
    changed = client.patch(f"{PEOPLE}{made.json()['id']}/", {"username": "ada", "is_active": False}, content_type=JSON)

    assert (made.status_code, made.json()["is_active"]) == (201, True)
    assert (changed.status_code, changed.json()["is_active"]) == (200, False)


def test_what_would_not_be_done_is_refused(api, administrator):
    client = api(administrator)

    asleep = client.post(PEOPLE, ADA | {"is_active": False}, content_type=JSON)
    renamed = client.patch(f"{PEOPLE}{administrator.user_id}/", {"username": "root", "first_name": "Ada"}, content_type=JSON)

    assert [(answer.status_code, answer.json()["errors"][0]["pointer"]) for answer in (asleep, renamed)] == [
        (400, "#/is_active"),
        (400, "#/username"),
    ]
    assert [(person.username, person.first_name) for person in User.objects.all()] == [("administrator", "")]


@pytest.mark.parametrize(
    ("address", "found", "missed"),
    [
        (PEOPLE, {"username__startswith": "admin", "role": "administrator", "is_active": "true"}, {"role": "viewer"}),
        (TOKENS, {"name": "tests", "user__username": "administrator", "revoked_at__isnull": "true"}, {"name__startswith": "x"}),
        (SYSTEMS, {"name": "CRM", "name__startswith": "C", "state": "unknown"}, {"name__startswith": "O"}),
    ],
    ids=["people", "tokens", "systems"],
)
def test_lists_filter(api, administrator, make_system, address, found, missed):
    make_system()
    client = api(administrator)

    assert len(client.get(address, found).json()["items"]) == 1
    assert client.get(address, missed).json()["items"] == []


def test_pairs_are_found_by_their_entities(api, viewer, things):
    client = api(viewer)

    def found(**filters):
        return len(client.get("/api/v1/pairs/", filters).json()["items"])

    assert found(a__system__slug="oa", a__name="people", b__system__slug="crm", b__name="contacts") == 1
    assert found(a__system__slug="crm") == 0
