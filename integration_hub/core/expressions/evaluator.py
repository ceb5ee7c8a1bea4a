"""A few warm processes for work that people's own formulas could make endless: bounded in memory, killed when their time is over.

They are started afresh (not forked, and not by multiprocessing, whose children Celery's workers may not have), say what they are told over a
pipe, and end when the pipe closes. A child runs `module:function` with plain arguments; what comes back is data or a sentence.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import queue
import select
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any

from connectors.base import Text, _

SECONDS = 3.0
MEMORY_BYTES = 2 * 1024**3
PROCESSES = 2
MAX_MESSAGE = 64 * 1024**2
_HEAD = struct.Struct("!I")
_ROOT = Path(__file__).resolve().parents[3]


class EvaluationFailed(Exception):
    """The work could not be done within its bounds."""

    def __init__(self, template: str, /, **values: Any) -> None:
        self.text = Text(template, values)
        super().__init__(str(self.text))


class Evaluator:
    """A pool of such processes. They are started when first needed, and again when one was killed."""

    def __init__(self, processes: int = PROCESSES, *, memory: int = MEMORY_BYTES) -> None:
        self.memory = memory
        self._idle: queue.LifoQueue[_Child | None] = queue.LifoQueue()
        for _number in range(processes):
            self._idle.put(None)

    def run(self, function: str, *arguments: Any, seconds: float = SECONDS) -> Any:
        """`package.module:function(*arguments)` in a child. Raises EvaluationFailed when it takes too long, too much memory, or fails itself."""
        try:
            child = self._idle.get(timeout=seconds * 2)
        except queue.Empty:
            raise EvaluationFailed(_("Other previews are still being computed. Try again in a moment.")) from None
        try:
            if child is None or not child.is_alive():
                child = _Child(self.memory)
            return child.run(function, arguments, seconds)
        except BaseException as error:
            if not isinstance(error, EvaluationFailed) or child is None or not child.is_alive():
                if child is not None:
                    child.kill()
                child = None
            raise
        finally:
            self._idle.put(child)

    def close(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                if child := self._idle.get_nowait():
                    child.kill()


class _Child:
    def __init__(self, memory: int) -> None:
        environment = {
            **{
                name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT", "VIRTUAL_ENV")
            },
            "PYTHONPATH": os.pathsep.join([str(_ROOT), *(path for path in sys.path if path and path != str(_ROOT))]),
            "POLARS_MAX_THREADS": "1",
        }
        # No secret of ours is in its environment.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "integration_hub.core.expressions.evaluator", str(memory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd=_ROOT,
        )
        # Importing takes longer than any work may: it is not counted.
        if self._answer(time.monotonic() + 60) != "ready":
            self.kill()
            raise EvaluationFailed(_("The preview could not be started."))

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def run(self, function: str, arguments: tuple[Any, ...], seconds: float) -> Any:
        assert self._process.stdin is not None  # noqa: S101
        try:
            _write(self._process.stdin, (function, arguments))
            answer = self._answer(time.monotonic() + seconds)
        except (OSError, EOFError, pickle.UnpicklingError):
            self.kill()
            raise EvaluationFailed(_("This took more memory than a preview may have, and was stopped.")) from None
        if answer is _LATE:
            self.kill()
            raise EvaluationFailed(_("This took longer than {seconds} seconds, and was stopped."), seconds=round(seconds))
        done, result = answer
        if not done:
            raise EvaluationFailed(_("This could not be computed: {problem}"), problem=result)
        return result

    def _answer(self, until: float) -> Any:
        """One message, or _LATE."""
        assert self._process.stdout is not None  # noqa: S101
        pipe = self._process.stdout.fileno()
        head = self._read(pipe, _HEAD.size, until)
        if head is None:
            return _LATE
        (size,) = _HEAD.unpack(head)
        body = self._read(pipe, size, until)
        return _LATE if body is None else pickle.loads(body)  # noqa: S301  our own child, which reads no file and no network

    def _read(self, pipe: int, size: int, until: float) -> bytes | None:
        parts: list[bytes] = []
        while size:
            left = until - time.monotonic()
            if left <= 0 or not select.select([pipe], [], [], left)[0]:
                return None
            part = os.read(pipe, min(size, 1 << 20))
            if not part:
                raise EOFError
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def kill(self) -> None:
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._process.wait()


_LATE = object()
_pools: dict[int, Evaluator] = {}
_lock = threading.Lock()


def evaluate(function: str, *arguments: Any, seconds: float = SECONDS) -> Any:
    """Run `package.module:function` in this process's own pool (a forked child has another)."""
    with _lock:
        pool = _pools.setdefault(os.getpid(), Evaluator())
    return pool.run(function, *arguments, seconds=seconds)


def _write(pipe: IO[bytes], message: Any) -> None:
    body = pickle.dumps(message)
    if len(body) > MAX_MESSAGE:
        raise EvaluationFailed(_("This is too large for a preview."))
    pipe.write(_HEAD.pack(len(body)) + body)
    pipe.flush()


# --- the child --------------------------------------------------------------------------------------------------------


def serve(memory: int) -> None:
    """Answer until the pipe closes. Nothing but answers goes to the pipe: whatever prints, prints to nowhere."""
    import resource

    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    import polars as pl

    importlib.import_module("integration_hub.core.expressions.language")
    pl.DataFrame({"warm": ["up"]}).select(pl.col("warm").str.to_uppercase())
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _write(answers, "ready")
    while True:
        head = sys.stdin.buffer.read(_HEAD.size)
        if len(head) < _HEAD.size:
            return
        function, arguments = pickle.loads(sys.stdin.buffer.read(_HEAD.unpack(head)[0]))  # noqa: S301  from our own parent
        _write(answers, _attempt(function, arguments))


def _attempt(function: str, arguments: tuple[Any, ...]) -> tuple[bool, Any]:
    module, name = function.split(":")
    try:
        return True, getattr(importlib.import_module(module), name)(*arguments)
    except MemoryError:
        os._exit(1)
    except BaseException as error:  # a panic of Polars is no Exception
        return False, f"{type(error).__name__}: {error}"[:500]


if __name__ == "__main__":
    serve(int(sys.argv[1]))
