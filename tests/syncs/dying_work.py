"""Work of the hub that ends itself in the middle, for a process of its own (tests/forked.py)."""

import os
import signal
import time
from pathlib import Path

from django.db import connection

from integration_hub.accounts.actor import Actor
from integration_hub.core.services import sweep
from integration_hub.syncs import carrying
from integration_hub.syncs.models import Pair
from integration_hub.syncs.services import delete_pair
from tests.dying import watch


def carry(partition: int, point: str, at: int, how: signal.Signals, wake: str) -> None:
    """Carries a partition, and gets this signal at one of the points of tests/dying.py, when it comes there for the `at`-th time.

    One that is stopped goes on from that point once it is told to by the file `wake`, however often it is stopped until then.
    """
    left = at

    def reached(name):
        nonlocal left
        if name == point:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), how)
                while not Path(wake).exists():
                    time.sleep(0.02)

    watch(reached)
    carrying.carry_partition(partition)


def forget(pair: int, at: int) -> None:
    """Forgets what is old, or a pair with its history where it is not 0, and is killed behind its DELETE number `at`."""
    left = at

    def deleting(execute, sql, *more):
        nonlocal left
        result = execute(sql, *more)
        left -= sql.startswith("DELETE")
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    with connection.execute_wrapper(deleting):
        if pair:
            delete_pair(Pair.objects.get(pk=pair), by=Actor.hub())
        else:
            sweep()
