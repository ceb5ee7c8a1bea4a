"""Processes of the hub that tests kill. Each is forked from one that has imported all of it and used none: to import it anew takes seconds."""

from multiprocessing import forkserver, get_context
from multiprocessing.process import BaseProcess

import pytest
from django.conf import settings
from django.db import connection

_forks = get_context("forkserver")
_forks.set_forkserver_preload(["tests.forked_imports"])


def forked(work, *args) -> BaseProcess:
    """A process that does `work(*args)`, a function at the top of a module, on the database and in the folders of this test, and sends nothing to
    queues of others."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BROKER_URL", "memory://")
        forkserver.ensure_running()
    place = str(connection.settings_dict["NAME"]), settings.ALLOWED_FOLDERS
    process = _forks.Process(target=_in_place, args=(place, work, *args))
    process.start()
    return process


def _in_place(place, work, *args):
    connection.settings_dict["NAME"], settings.ALLOWED_FOLDERS = place
    work(*args)
