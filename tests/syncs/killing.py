"""A worker in a process of its own that is killed at a named point, and its lease that runs out."""

import os
import signal
import sqlite3
import time
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

from django.db import OperationalError, connection, transaction
from django.db.models import F
from django.db.models.functions import Now

from integration_hub.core.leases import LEASE_SECONDS
from integration_hub.syncs.models import Partition
from tests.dying import POINTS
from tests.forked import forked
from tests.syncs import dying_work
from tests.waiting import wait_until

# Where all of them are tried on SQLite, two do on another database: test_takeover and test_dialects try all on both.
SOME_POINTS = POINTS if connection.vendor == "sqlite" else ("after the answer", "after commit")


def dying_worker(partition, point, *, at=1, by=signal.SIGKILL, wake=""):
    """A worker in a process of its own that gets this signal when it reaches the point for the `at`-th time."""
    return forked(dying_work.carry, partition.pk, point, at, by, str(wake))


def carry_until_killed(partition, point, *, at):
    """True when the worker came to the point for the `at`-th time, and so was killed."""
    return was_killed(dying_worker(partition, point, at=at))


def was_killed(process):
    """Whether it was killed; false where it came to its end."""
    try:
        process.join(60)
        assert process.exitcode in (-signal.SIGKILL, 0)
    finally:
        process.kill()
    return process.exitcode != 0


def let_the_lease_run_out(partition):
    """As if so much time had passed: what was sent is too old to be on its way still."""
    passed = timedelta(seconds=LEASE_SECONDS)
    Partition.objects.filter(pk=partition.pk).exclude(lease_until=None).update(lease_until=Now() - timedelta(seconds=1))
    partition.change_sets.exclude(sent_at=None).update(sent_at=F("sent_at") - passed)


@contextmanager
def stopped_worker(partition, told):
    """A worker that is stopped when it has its answer. What this gives wakes it by the file `told`, and waits for its end."""
    worker = dying_worker(partition, "after the answer", by=signal.SIGSTOP, wake=told)

    def wake():
        told.touch()
        os.kill(worker.pid, signal.SIGCONT)
        worker.join(60)

    try:
        wait_until(lambda: is_stopped(worker))
        while is_locked(partition):  # another of its threads was in the middle of a commit, which nobody else could get past
            os.kill(worker.pid, signal.SIGCONT)
            time.sleep(0.02)
            os.kill(worker.pid, signal.SIGSTOP)
            wait_until(lambda: is_stopped(worker))
        yield wake
    finally:
        worker.kill()
        worker.join()


def is_stopped(worker):
    assert worker.is_alive()
    return Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def is_locked(partition):
    """Whether somebody holds the row; on SQLite, the one lock that there is for writing."""
    if connection.vendor != "sqlite":
        try:
            with transaction.atomic():
                Partition.objects.select_for_update(nowait=True).get(pk=partition.pk)
        except OperationalError:
            return True
        return False
    with closing(sqlite3.connect(connection.settings_dict["NAME"], timeout=0, isolation_level=None)) as other:
        try:
            other.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        return False
