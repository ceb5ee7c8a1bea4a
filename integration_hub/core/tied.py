"""Ties a process to its parent: when the parent ends, in whatever way, so does this one. Nothing is orphaned by a kill -9.

Run as a script it ties itself and becomes the given command, so that the tie holds for programs that know nothing of it:
`python tied.py PARENT COMMAND…`. Only Linux can do this; elsewhere the command runs untied. No import of the hub, it must start in milliseconds.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def tie(parent: int) -> None:
    """Have the kernel kill this process when the thread that started it ends. `parent` may have died before we asked, so look once."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    tie(int(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 the command comes from our own supervisor
