"""The form of files as systems, as a browser sends it."""

import pytest
from django.contrib.messages import get_messages
from django.urls import reverse

from integration_hub.systems.models import System

pytestmark = pytest.mark.django_db
ADDRESS = reverse("systems:register", args=["files"])
EXCHANGE = {
    "do": "save", "name": "Exchange", "check_interval_seconds": "60", "place#tag": "folder", "files#count": "1", "files/0/name": "orders",
    "files/0/path": "orders.csv", "files/0/key": "id", "files/0/format#tag": "csv", "files/0/format/header": "on", "files/0/format/quote": '"',
    "files/0/format/boolean": "true/false", "files/0/format/date": "iso", "files/0/format/datetime": "iso", "files/0/format/time": "iso",
    "files/0/format/zone": "UTC",
}  # fmt: skip


@pytest.fixture
def browser(client, person):
    client.force_login(person("integrator"), backend="django.contrib.auth.backends.ModelBackend")
    return client


def test_a_folder_of_files_is_registered(browser, tmp_path, settings):
    settings.ALLOWED_FOLDERS = [tmp_path]
    (tmp_path / "orders.csv").write_text("id,name\n1,a\n")

    page = browser.get(ADDRESS).content.decode()
    browser.post(ADDRESS, EXCHANGE | {"place/folder": str(tmp_path)})

    assert "Folder of this machine" in page
    assert System.objects.get(name="Exchange").settings["files"][0]["path"] == "orders.csv"


def test_what_is_wrong_is_told(browser, tmp_path):
    told = browser.post(ADDRESS, EXCHANGE | {"place/folder": str(tmp_path), "files/0/path": "../orders.csv"}).content.decode()

    assert "The path must lead to a file inside the folder" in told
    assert not System.objects.filter(name="Exchange").exists()


def test_a_file_of_formulas_is_saved_with_a_warning(browser, tmp_path):
    more = {"place/folder": str(tmp_path), "files/0/write": "on", "files/0/format/formulas": "as they are"}

    answer = browser.post(ADDRESS, EXCHANGE | more)

    assert "orders: a spreadsheet that opens the file runs the texts in it" in " ".join(map(str, get_messages(answer.wsgi_request)))
