"""A worker in a process of its own that is killed at a named point, and its lease that runs out."""

import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db import connection
from django.db.models.functions import Now

from integration_hub.syncs.models import Partition
from tests.dying import POINTS

# Where all of them are tried on SQLite, two do on another database: test_takeover and test_dialects try all on both.
SOME_POINTS = POINTS if connection.vendor == "sqlite" else ("after the answer", "after commit")
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
    Partition.objects.filter(pk=partition.pk).exclude(lease_until=None).update(lease_until=Now() - timedelta(seconds=1))
