"""Forgets what is old (`dying_delete.py 0 N`) or a pair with its history (`dying_delete.py PAIR N`) and kills itself behind its DELETE number N."""

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

from django.db import connection

from integration_hub.accounts.actor import Actor
from integration_hub.core.services import sweep
from integration_hub.syncs.models import Pair
from integration_hub.syncs.services import delete_pair

pair, left = map(int, sys.argv[1:])


def deleting(execute, sql, *more):
    global left
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
