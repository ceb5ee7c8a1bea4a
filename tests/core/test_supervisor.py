"""The supervisor itself, over small real programs."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from integration_hub.core.supervisor import Kept, Program

STAYS = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
WITH_CHILD = "import subprocess, time; child = subprocess.Popen(['sleep', '60']); print(child.pid, flush=True); time.sleep(60)"


class Watched:
    """A kept program and what it said."""

    def __init__(self, code: str, **more):
        self.lines: list[str] = []
        self.kept = Kept(Program("one", [sys.executable, "-c", code], **more), environ=os.environ, show=lambda _name, line: self.lines.append(line))

    async def until(self, condition, seconds=10):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, self.lines
            await asyncio.sleep(0.02)

    async def until_up(self, times=1):
        await self.until(lambda: self.lines.count("up") == times)


def play(scene):
    """Run the scene on an event loop of its own; the browser tests leave one in the main thread."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(scene())).result()


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_what_dies_is_started_again():
    async def scene():
        watched = Watched(STAYS)
        watched.kept.start()
        await watched.until_up()
        os.kill(watched.kept.pid, signal.SIGKILL)
        await watched.until_up(times=2)
        await watched.kept.stop()
        return watched

    watched = play(scene)

    assert watched.lines == ["up", "was ended by SIGKILL, starts again in 0.5 s", "up"]
    assert watched.kept.pid is None


def test_what_dies_at_once_is_started_after_longer_and_longer_pauses_and_put_right_before():
    calls = []

    async def scene():
        watched = Watched("import sys; sys.exit(7)", early_death=lambda: calls.append(1))
        watched.kept.start()
        await watched.until(lambda: len(watched.lines) == 2)
        await watched.kept.stop()
        return watched.lines

    assert play(scene) == ["ended with code 7, starts again in 0.5 s", "ended with code 7, starts again in 1 s"]
    assert len(calls) == 2


def test_what_does_not_stop_in_time_is_ended():
    async def scene():
        watched = Watched(STUBBORN, stop_seconds=0.3)
        watched.kept.start()
        await watched.until_up()
        pid = watched.kept.pid
        await watched.kept.stop()
        return watched.lines, pid

    lines, pid = play(scene)

    assert lines[-1] == "did not stop within 0 seconds and was ended"
    assert not is_alive(pid)


def test_what_a_program_started_does_not_outlive_it():
    async def scene():
        watched = Watched(WITH_CHILD)
        watched.kept.start()
        await watched.until(lambda: watched.lines)
        child = int(watched.lines[0])
        assert is_alive(child)
        os.kill(watched.kept.pid, signal.SIGKILL)
        await watched.until(lambda: not is_alive(child))
        await watched.kept.stop()

    play(scene)


def test_a_line_without_end_is_shown_in_pieces():
    async def scene():
        watched = Watched("print('x' * 200_000)")
        await watched.kept.run_once()
        return watched.lines

    lines = play(scene)

    assert "".join(lines) == "x" * 200_000
    assert len(lines) > 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a process to its parent")
def test_a_program_ends_with_its_supervisor_even_after_a_kill():
    code = f"""
import asyncio, sys
from integration_hub.core.supervisor import Kept, Program
async def main():
    kept = Kept(Program("one", [sys.executable, "-c", {STUBBORN!r}]), environ={{}}, show=lambda name, line: print(kept.pid, flush=True))
    kept.start()
    await asyncio.sleep(60)
asyncio.run(main())
"""
    supervisor = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    with supervisor:
        child = int(supervisor.stdout.readline())

        supervisor.kill()
        supervisor.wait()

        deadline = time.monotonic() + 5
        while is_alive(child) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not is_alive(child)
