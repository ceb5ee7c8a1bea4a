"""Machines that share a database share the folder of its files, or do not work."""

import socket
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db.models.functions import Now

from integration_hub.core import installation
from integration_hub.core.models import Heartbeat, Installation

pytestmark = pytest.mark.django_db


@pytest.fixture
def use(settings, tmp_path):
    """A function that makes a folder this machine's storage: use("nfs"), or with own=True as one has it without STORAGE_URL."""

    def choose(name: str, *, own: bool = False) -> Path:
        folder = tmp_path / name
        settings.STORAGES = {**settings.STORAGES, "default": {**settings.STORAGES["default"], "OPTIONS": {"location": str(folder)}}}
        settings.STORAGE_IS_OWN = own
        return folder

    return choose


def beats(host: str, *, queues=("bulk",), seen_at=None):
    Heartbeat.objects.create(name=f"bulk@{host}", kind="worker", host=host, queues=list(queues), version="1", seen_at=seen_at or Now())


def not_marked(folder: Path) -> str:
    return (
        f"STORAGE_URL: {folder} is not marked as the folder of this hub's files. Set it to the one that all machines share, or mount that one; "
        "where it is lost, or this one shall take its place, run manage.py setup --take-storage."
    )


def test_the_folder_that_setup_marked_may_be_used_by_many_machines(use):
    use("nfs")
    installation.mark_storage(anew=False)
    installation.mark_storage(anew=False)
    beats("other")

    assert installation.misfit() == ""
    assert Installation.objects.count() == 1


def test_without_storage_url_a_machine_does_not_work_beside_another(use):
    use("data/storage", own=True)
    installation.mark_storage(anew=False)
    assert installation.misfit() == ""

    beats("other")

    assert installation.misfit() == "STORAGE_URL is not set, and other works for this hub too: set it to a folder that all machines share."


@pytest.mark.parametrize(
    "other",
    [
        {"host": socket.gethostname()},
        {"host": "lost", "seen_at": Now() - timedelta(seconds=21)},
        {"host": "refusing", "queues": []},
    ],
    ids=lambda other: other["host"] if other["host"] in ("lost", "refusing") else "itself",
)
def test_only_another_machine_that_works_counts(use, other):
    use("data/storage", own=True)
    beats(**other)

    assert installation.misfit() == ""


def test_a_folder_without_the_mark_is_refused_also_alone(use):
    use("nfs")
    installation.mark_storage(anew=False)

    folder = use("nfs that is not mounted")

    assert installation.misfit() == not_marked(folder)


def test_a_folder_that_nobody_marked_is_refused_beside_another_machine(use):
    folder = use("nfs")
    assert installation.misfit() == ""

    beats("other")

    assert installation.misfit() == not_marked(folder)


def test_setup_does_not_take_the_folder_of_another_hub_nor_give_this_hub_a_second_one(use):
    folder = use("of another hub")
    folder.mkdir()
    (folder / "installation").write_text("5f7f6b8e-0000-4000-8000-000000000000")
    with pytest.raises(ImproperlyConfigured) as refusal:
        installation.mark_storage(anew=False)
    assert str(refusal.value) == not_marked(folder)
    assert not Installation.objects.exists()

    use("nfs")
    installation.mark_storage(anew=False)
    second = use("second")
    with pytest.raises(ImproperlyConfigured) as refusal:
        installation.mark_storage(anew=False)
    assert str(refusal.value) == not_marked(second)


def test_a_lost_folder_is_replaced_when_somebody_says_so(use):
    use("lost")
    installation.mark_storage(anew=False)
    use("new")

    installation.mark_storage(anew=True)

    assert installation.misfit() == ""
