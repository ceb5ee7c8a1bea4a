"""A worker that carries one partition and kills itself at a named point: `dying_worker.py PARTITION POINT TIMES [SIGNAL]`."""

import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ["DJANGO_SETTINGS_MODULE"] = "integration_hub.settings"

import django
from django.conf import settings

settings.DATABASES["default"]["NAME"] = os.environ["TEST_DATABASE"]
django.setup()

from integration_hub.syncs import carrying, record, write

partition, point, left = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
how = signal.Signals[sys.argv[4]] if len(sys.argv) > 4 else signal.SIGKILL


def reached(name):
    global left
    if name == point:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), how)


def around(owner, attribute, before=None, after=None):
    original = getattr(owner, attribute)

    def wrapped(*args, **kwargs):
        if before:
            reached(before)
        result = original(*args, **kwargs)
        if after:
            reached(after)
        return result

    setattr(owner, attribute, wrapped)


def dying_in_the_middle(original):
    """After some of the portion's requests went out, before all were answered."""
    import asyncio

    async def wrapped(self, *args, **kwargs):
        going = asyncio.ensure_future(original(self, *args, **kwargs))
        await asyncio.sleep(0.02)
        reached("after send")
        return await going

    return wrapped


around(write, "write", before="before send", after="after the answer")
around(record, "commit", before="before commit", after="after commit")

if point == "after send":
    from connectors.rest import writing

    writing.Writing.send_all = dying_in_the_middle(writing.Writing.send_all)

carrying.carry_partition(partition)
