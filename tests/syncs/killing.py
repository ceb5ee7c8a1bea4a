"""A worker in a process of its own that is killed at a named point, and its lease that runs out."""

import signal
from datetime import timedelta

from django.db import connection
from django.db.models import F
from django.db.models.functions import Now

from integration_hub.core.leases import LEASE_SECONDS
from integration_hub.syncs.models import Partition
from tests.dying import POINTS
from tests.forked import forked
from tests.syncs import dying_work

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
