"""A disk without room: nothing is taken in, everyone is told, and it goes on by itself."""

import errno
import os
import shutil
import subprocess

import pytest
from django.db import OperationalError
from django.urls import reverse

from integration_hub.core import health, space, texts
from integration_hub.syncs import carrying, changesets, pipeline, services
from integration_hub.syncs.models import ChangeSet, Partition
from tests.syncs.conftest import finish
from tests.syncs.equal import assert_equal

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def free(monkeypatch):
    """A function that says how many megabytes the disk has free: free(100)."""

    def say(megabytes):
        monkeypatch.setattr(space, "free_bytes", lambda folder: megabytes * space.MEGABYTE)

    return say


def carry(run):
    """Once, as a worker would; returns why the run waits."""
    partition = run.partitions.get()
    Partition.objects.filter(pk=partition.pk).update(not_before=None)
    carrying.carry_partition(partition.pk)
    partition.refresh_from_db()
    run.refresh_from_db()
    return texts.render(partition.error)


def test_a_run_waits_for_room_and_goes_on_by_itself(few, users_sync, by, free, settings):
    run = services.start_run(users_sync, by=by)

    told = []
    for less in range(12):
        free(settings.LEAST_FREE_MB - 1 - less)
        told.append(carry(run))

    assert run.state == "queued"
    assert not ChangeSet.objects.exists()
    assert told[-1].startswith("Less than 500 MB are free for ")
    assert run.log.count() == 1  # a long wait is told once

    free(settings.LEAST_FREE_MB)
    assert finish(run).state == "succeeded"
    assert_equal(few)


def test_a_disk_that_fills_in_the_middle_of_a_run_stops_it_between_two_pages(sandbox, users_sync, by, free, settings, monkeypatch):
    sandbox.oa.has(user=3000)
    run = services.start_run(users_sync, by=by)
    original = pipeline.plan

    def fills(*args, **kwargs):
        free(1)
        return original(*args, **kwargs)

    free(10_000)
    monkeypatch.setattr(pipeline, "plan", fills)

    assert "are free for" in carry(run)
    assert run.state == "writing"
    settled = ChangeSet.objects.filter(run=run, state="settled").count()

    monkeypatch.setattr(pipeline, "plan", original)
    free(10_000)
    assert finish(run).balanced
    assert ChangeSet.objects.filter(run=run).count() > settled
    assert_equal(sandbox)


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), OperationalError("database or disk is full")], ids=["storage", "database"]
)
def test_a_write_that_finds_the_disk_full_waits_and_counts_as_no_failure(few, users_sync, by, monkeypatch, error):
    def full(*args, **kwargs):
        raise error

    run = services.start_run(users_sync, by=by)
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "plan", full)
        told = [carry(run) for __ in range(12)]

    assert told[-1] == "A disk of the hub is full. Runs go on by themselves once there is room."
    assert run.ended_at is None

    assert finish(run).state == "succeeded"
    assert_equal(few)


def test_readiness_and_the_overview_tell(users_sync, free, client, person, settings):
    client.force_login(person("viewer"))
    free(1)

    assert health.parts()["space"].startswith("Less than 500 MB are free for ")
    shown = client.get(reverse("admin:index")).content.decode()
    assert "The disk is full" in shown
    assert reverse("help:topic", args=["upkeep"]) in shown

    free(10_000)
    assert health.parts()["space"] == "ok"
    assert "The disk is full" not in client.get(reverse("admin:index")).content.decode()


@pytest.fixture
def small_disk(tmp_path, settings):
    """A disk of four megabytes under the storage."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = shutil.which("mount") and os.getuid() == 0
    if not mounted or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", folder], capture_output=True).returncode:
        pytest.skip("A small disk cannot be mounted here.")
    settings.STORAGES = {**settings.STORAGES, "default": {**settings.STORAGES["default"], "OPTIONS": {"location": str(folder)}}}
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_real_disk_that_is_full_stops_runs_until_there_is_room(few, users_sync, by, small_disk, settings, monkeypatch):
    monkeypatch.setattr(changesets, "INLINE_BYTES", 0)
    settings.LEAST_FREE_MB = 1
    (small_disk / "filler").write_bytes(b"x" * 3_500_000)
    run = services.start_run(users_sync, by=by)

    assert f"are free for {small_disk}" in carry(run)

    (small_disk / "filler").unlink()
    settings.LEAST_FREE_MB = 0
    with pytest.raises(OSError, match="No space left"):
        (small_disk / "filler").write_bytes(b"x" * 8_000_000)
    assert carry(run) == "A disk of the hub is full. Runs go on by themselves once there is room."

    (small_disk / "filler").unlink()
    assert finish(run).state == "succeeded"
    assert_equal(few)
