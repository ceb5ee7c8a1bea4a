"""A worker that dies at any point leaves nothing undone and nothing done twice."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone

from integration_hub.syncs import services
from integration_hub.syncs.models import Partition
from tests.dying import POINTS
from tests.syncs.conftest import finish
from tests.syncs.equal import assert_equal

pytestmark = pytest.mark.django_db(transaction=True)
WORKER = Path(__file__).parent / "dying_worker.py"


def dying_worker(partition, point, *, at=1, by="SIGKILL", wake=""):
    """A worker in a process of its own that sends itself this signal when it reaches the point for the `at`-th time."""
    own = {"TEST_DATABASE": str(connection.settings_dict["NAME"]), "TEST_WAKE": str(wake), "DATA_DIR": str(settings.DATA_DIR)}
    own["BROKER_URL"] = "memory://"  # not the queues of others
    return subprocess.Popen([sys.executable, WORKER, str(partition.pk), point, str(at), by], env={**os.environ, **own})


def carry_until_killed(partition, point, *, at):
    """True when the worker came to the point for the `at`-th time, and so was killed."""
    worker = dying_worker(partition, point, at=at)
    try:
        ended = worker.wait(60)
    finally:
        worker.kill()
    assert ended in (-signal.SIGKILL, 0)
    return ended != 0


def let_the_lease_run_out(partition):
    Partition.objects.filter(pk=partition.pk).exclude(lease_until=None).update(lease_until=Now() - timezone.timedelta(seconds=1))


@pytest.mark.parametrize("point", POINTS)
def test_a_worker_killed_at_a_named_point_is_taken_over(sandbox, users_sync, by, point):
    run = services.start_run(users_sync, by=by)
    partition = run.partitions.get()

    assert carry_until_killed(partition, point, at=1)
    let_the_lease_run_out(partition)
    run = finish(run)

    assert_equal(sandbox)
    assert run.balanced
