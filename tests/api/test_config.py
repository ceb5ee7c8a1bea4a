"""The configuration as a file, through the API."""

import pytest

from integration_hub.syncs.models import Sync
from integration_hub.systems.connection import revealed
from integration_hub.systems.models import System
from tests.blueprints.conftest import CRM, SECRETS, secrets

__all__ = ["secrets"]
pytestmark = pytest.mark.django_db
ADDRESS = "/api/v1/config/"
JSON = "application/json"


def files(text=CRM, **more):
    return {"files": [{"name": "hub.yaml", "text": text}], **more}


def test_a_file_is_compared_applied_and_got_back(api, integrator):
    client = api(integrator)

    would = client.post(f"{ADDRESS}diff/", files(secrets=SECRETS), content_type=JSON).json()
    assert not System.objects.exists()
    did = client.post(f"{ADDRESS}apply/", files(secrets=SECRETS), content_type=JSON).json()
    again = client.post(f"{ADDRESS}apply/", files(secrets=SECRETS), content_type=JSON).json()
    exported = client.get(ADDRESS)

    assert would == did
    assert [(change["section"], change["name"], change["is_new"]) for change in did["changes"]][-1] == ("syncs", "Contacts → customers", True)
    assert (again["changes"], again["unchanged_count"]) == ([], 4)
    assert exported["Content-Type"] == "application/yaml"
    assert "t-secret" not in exported.content.decode()
    assert client.post(f"{ADDRESS}diff/", files(exported.content.decode()), content_type=JSON).json()["changes"] == []
    assert client.get(f"{ADDRESS}?name=Shop").content.decode().startswith("version: 1\nsystems:\n  Shop:")


def test_what_is_wrong_names_its_line_and_nothing_is_applied(api, integrator):
    text = CRM.replace("interval_seconds: 60", "interval_seconds: 1")

    answer = api(integrator).post(f"{ADDRESS}apply/", files(text, secrets=SECRETS), content_type=JSON)

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["detail"].startswith("hub.yaml:")
    assert not Sync.objects.exists()


def test_a_reference_never_reads_the_environment_of_the_hub(api, integrator, secrets):
    refused = api(integrator).post(f"{ADDRESS}apply/", files(), content_type=JSON)
    api(integrator).post(f"{ADDRESS}apply/", files(secrets=SECRETS | {"CRM_TOKEN": "given"}), content_type=JSON)

    assert "CRM_TOKEN" in refused.content.decode()
    assert revealed(System.objects.get(name="CRM")) == {"auth/token": "given"}
