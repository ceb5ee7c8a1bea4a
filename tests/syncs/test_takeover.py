"""A worker that dies at any point leaves nothing undone and nothing done twice."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from integration_hub.syncs import services
from integration_hub.syncs.models import Link, Partition
from tests.dying import POINTS
from tests.syncs.conftest import finish
from tests.syncs.test_run import mapped

pytestmark = pytest.mark.django_db(transaction=True)
WORKER = Path(__file__).parent / "dying_worker.py"


def carry_until_killed(partition, point, *, at):
    """A worker in a process of its own that kills itself (SIGKILL) when it reaches the point for the `at`-th time."""
    from django.db import connection

    environment = {**os.environ, "TEST_DATABASE": str(connection.settings_dict["NAME"])}
    done = subprocess.run(
        [sys.executable, WORKER, str(partition.pk), point, str(at)], env=environment, timeout=60, capture_output=True, text=True, check=False
    )
    assert done.returncode in (-signal.SIGKILL, 0), done.stderr[-3000:]
    return done.returncode != 0


def let_the_lease_run_out(partition):
    Partition.objects.filter(pk=partition.pk).exclude(lease_until=None).update(lease_until=Now() - timezone.timedelta(seconds=1))


@pytest.mark.parametrize("point", POINTS)
def test_a_worker_killed_at_a_named_point_is_taken_over(sandbox, users_sync, by, point):
    run = services.start_run(users_sync, by=by)
    partition = run.partitions.get()

    assert carry_until_killed(partition, point, at=1)
    let_the_lease_run_out(partition)
    run = finish(run)

    users = sandbox.records("crm", "users")
    expected = mapped(sandbox.records("oa", "user"))
    arrived = {u["employee_id"]: (u["full_name"], u["email"]) for u in users if u["employee_id"] in expected}
    assert arrived == expected
    assert len([u for u in users if u["employee_id"] in expected]) == len(expected)  # no twin
    assert Link.objects.count() == len(expected)
    assert run.balanced
