"""Python imports this at its start wherever its folder is on the path: workers then die by SIGKILL at a named point, when a file asks for it.

A file named after one of the points of tests/dying.py, in the folder DIES_AT, is removed by the worker that dies there, so each asks for one death.
"""

import contextlib
import importlib.abc
import importlib.machinery
import os
import signal
import sys


def reached(point):
    with contextlib.suppress(FileNotFoundError):
        os.remove(os.path.join(os.environ["DIES_AT"], point))
        os.kill(os.getpid(), signal.SIGKILL)


class Carrying(importlib.abc.MetaPathFinder):
    """Has the worker watched once the module that carries partitions has been imported."""

    def find_spec(self, name, path, target=None):
        if name != "integration_hub.syncs.carrying":
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        execute = spec.loader.exec_module

        def executed(module):
            from tests.dying import watch

            execute(module)
            watch(reached)

        spec.loader.exec_module = executed
        return spec


if "DIES_AT" in os.environ:
    sys.meta_path.insert(0, Carrying())
