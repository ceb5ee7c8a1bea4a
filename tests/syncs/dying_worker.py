"""A worker that carries one partition and kills itself at one of the points of tests/dying.py: `dying_worker.py PARTITION POINT TIMES SIGNAL`.

One that stops itself goes on from that point once it is told to by the file that TEST_WAKE names, however often it is stopped until then.
"""

import os
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ["DJANGO_SETTINGS_MODULE"] = "integration_hub.settings"

import django
from django.conf import settings

settings.DATABASES["default"]["NAME"] = os.environ["TEST_DATABASE"]
django.setup()

from integration_hub.syncs import carrying
from tests.dying import watch

partition, point, left, how = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), signal.Signals[sys.argv[4]]


def reached(name):
    global left
    if name == point:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), how)
            while not Path(os.environ["TEST_WAKE"]).exists():
                time.sleep(0.02)


watch(reached)
carrying.carry_partition(partition)
