"""Keeps the programs of one machine running: starts them, shows what they say under their names, restarts what dies, stops them in order.

Each program leads a process group of its own, so that Ctrl-C reaches the supervisor alone, and is tied to the supervisor, so that it ends with
it even after a kill -9 (core/tied.py). Nothing here knows of Django; what is to be run, `manage.py start` says.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 10.0  # shorter than a lease: a worker that is killed again and again is back when its work may be taken over
STEADY_SECONDS = 60.0  # a program that ran as long has recovered: its next pause is the first again
TIED = str(Path(__file__).with_name("tied.py"))

Show = Callable[[str, str], None]  # (name of the program, one line of what it says)


@dataclass(frozen=True)
class Program:
    """What is to be run. `early_death` is called when it ended within two seconds, to put right what it may have stumbled over."""

    name: str
    command: Sequence[str]
    stop_seconds: float = 10.0
    early_death: Callable[[], None] | None = None


class Kept:
    """A program that is kept running: started again whenever it ends, after a pause that doubles, until it is told to stop."""

    def __init__(self, program: Program, *, environ: Mapping[str, str], show: Show) -> None:
        self.program = program
        self._environ = environ
        self._show = show
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.returncode is None else None

    def start(self) -> None:
        self._task = asyncio.create_task(self._keep())

    async def run_once(self) -> int:
        """Run it to its end and return its exit code. What it started itself does not outlive it."""
        tied = [sys.executable, "-I", "-S", TIED, str(os.getpid()), *self.program.command]
        ours, its = os.pipe()  # not asyncio's: `wait` would wait for the pipe too, and a child of a dead program may hold it open
        try:
            process = self._process = await asyncio.create_subprocess_exec(
                *tied, stdin=asyncio.subprocess.DEVNULL, stdout=its, stderr=its, env=self._environ, start_new_session=True
            )
        finally:
            os.close(its)
        if self._stopping.is_set():  # told to stop while it was being started
            self._signal(signal.SIGTERM)
        reading = asyncio.create_task(self._read(ours))
        code = await process.wait()
        self.kill()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(reading, 1)
        return code

    async def stop(self) -> None:
        """Ask it to end; after its `stop_seconds` end it and all that it started."""
        self._stopping.set()
        self._signal(signal.SIGTERM)
        if self._task and not (await asyncio.wait([self._task], timeout=self.program.stop_seconds))[0]:
            self._show(self.program.name, f"did not stop within {self.program.stop_seconds:.0f} seconds and was ended")
            self.kill()
            await self._task

    def kill(self) -> None:
        """End its whole process group at once; harmless when it is gone already."""
        self._signal(signal.SIGKILL, group=True)

    async def _keep(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not self._stopping.is_set():
            began = time.monotonic()
            code = await self.run_once()
            if self._stopping.is_set():
                break
            lived = time.monotonic() - began
            if lived < 2 and self.program.early_death:
                self.program.early_death()
            pause = FIRST_PAUSE_SECONDS if lived > STEADY_SECONDS else pause
            self._show(self.program.name, f"{_said(code)}, starts again in {pause:g} s")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _read(self, pipe: int) -> None:
        """Show each line; a line without end is shown in pieces."""
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        transport, _protocol = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(pipe, "rb", 0))
        try:
            await self._show_lines(reader)
        finally:
            transport.close()

    async def _show_lines(self, reader: asyncio.StreamReader) -> None:
        rest = b""
        while block := await reader.read(65536):
            *lines, rest = (rest + block).split(b"\n")
            if len(rest) > 65536:
                lines, rest = [*lines, rest], b""
            for line in lines:
                self._show(self.program.name, line.decode(errors="replace").rstrip())
        if rest:
            self._show(self.program.name, rest.decode(errors="replace").rstrip())

    def _signal(self, number: int, *, group: bool = False) -> None:
        if self._process:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if group:
                    os.killpg(self._process.pid, number)
                elif self._process.returncode is None:
                    self._process.send_signal(number)


def _said(code: int) -> str:
    return f"ended with code {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"
