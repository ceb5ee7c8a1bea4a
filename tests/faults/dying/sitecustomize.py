"""Python imports this at its start wherever its folder is on the path: workers then die by SIGKILL at a named point, when a file asks for it.

The points are those of a portion's life: before send, after send (some requests are out, not all answered), after the answer, before commit,
after commit. A file of that name in the folder DIES_AT is removed by the worker that dies there, so each asks for one death.
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


def in_the_middle(original):
    import asyncio

    async def wrapped(self, *args, **kwargs):
        going = asyncio.ensure_future(original(self, *args, **kwargs))
        await asyncio.sleep(0.02)
        reached("after send")
        return await going

    return wrapped


def prepare():
    from connectors.rest import writing
    from integration_hub.syncs import record, write

    around(write, "write", before="before send", after="after the answer")
    around(record, "commit", before="before commit", after="after commit")
    writing.Writing.send_all = in_the_middle(writing.Writing.send_all)


class Carrying(importlib.abc.MetaPathFinder):
    """Prepares the worker once the module that carries partitions has been imported."""

    def find_spec(self, name, path, target=None):
        if name != "integration_hub.syncs.carrying":
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        execute = spec.loader.exec_module

        def executed(module):
            execute(module)
            prepare()

        spec.loader.exec_module = executed
        return spec


if "DIES_AT" in os.environ:
    sys.meta_path.insert(0, Carrying())
