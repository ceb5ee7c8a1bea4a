"""The points of a portion's life at which tests end a worker, and how a worker's process is made to notice them."""

import asyncio
from collections.abc import Callable

# after send: some of the portion's requests are out, and not all are answered
POINTS = ("before send", "after send", "after the answer", "before commit", "after commit")


def watch(reached: Callable[[str], None]) -> None:
    """Have this process call `reached(point)` at each of POINTS, which may not return."""
    from connectors.rest import writing
    from integration_hub.syncs import record, write

    _around(write, "write", "before send", "after the answer", reached)
    _around(record, "commit", "before commit", "after commit", reached)
    writing.Writing.send_all = _in_the_middle(writing.Writing.send_all, reached)


def _around(owner, attribute, before, after, reached):
    original = getattr(owner, attribute)

    def wrapped(*args, **kwargs):
        reached(before)
        result = original(*args, **kwargs)
        reached(after)
        return result

    setattr(owner, attribute, wrapped)


def _in_the_middle(original, reached):
    async def wrapped(self, *args, **kwargs):
        going = asyncio.ensure_future(original(self, *args, **kwargs))
        await asyncio.sleep(0.02)
        reached("after send")
        return await going

    return wrapped
