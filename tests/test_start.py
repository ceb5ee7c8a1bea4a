"""`make run`, with all its real processes, in a data folder of its own."""

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = [pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"), pytest.mark.xdist_group("start")]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environ(folder: Path, **more) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "TMPDIR", "LANG")}
    return {**inherited, "DATA_DIR": str(folder), "PORT": str(free_port()), "SANDBOX_PORT": str(free_port()), "HUB_TESTING": "1", **more}


class Hub:
    """A running hub: what it says, who belongs to it, what it answers."""

    def __init__(self, folder: Path, **more):
        self.environ = environ(folder, **more)
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "start", "--demo"], cwd=ROOT, env=self.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.lines: list[str] = []
        self.socket = ""
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip())

    def says(self, text: str) -> bool:
        return any(text in line for line in self.lines)

    def wait_for(self, condition, seconds=40):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "\n".join(self.lines)
            time.sleep(0.05)

    def wait_until_ready(self):
        self.wait_for(lambda: self.says("Integration Hub is ready") or self.process.poll() is not None)
        assert self.process.poll() is None, "\n".join(self.lines)
        self.socket = (Path(self.environ["DATA_DIR"]) / "broker.url").read_text().removeprefix("redis+socket://")
        return self

    def get(self, path: str) -> tuple[int, dict]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.environ['PORT']}{path}", timeout=10) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def processes(self) -> dict[int, str]:
        """All living processes of this hub but the supervisor, by its data folder in their environment (the broker overwrites its own)."""
        mark, found = f"DATA_DIR={self.environ['DATA_DIR']}".encode(), {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                ours = mark in (folder / "environ").read_bytes().split(b"\0") or (self.socket and self.socket in command)
                if ours and int(folder.name) != self.process.pid:
                    found[int(folder.name)] = command
            except OSError:
                continue
        return found

    def pids(self, words: str) -> set[int]:
        return {pid for pid, command in self.processes().items() if words in command}

    def end(self, number=signal.SIGTERM) -> int:
        self.process.send_signal(number)
        code = self.process.wait(60)
        self.reader.join(5)
        return code


@pytest.fixture
def start(tmp_path):
    hubs = []

    def run(**more):
        hubs.append(Hub(tmp_path / "data", **more))
        return hubs[-1]

    yield run
    for hub in hubs:
        hub.process.kill()
        hub.process.wait()
        hub.process.stdout.close()


def test_it_starts_survives_a_killed_worker_refuses_a_second_one_and_stops_without_a_trace(start):
    hub = start().wait_until_ready()
    status, parts = hub.get("/readyz")
    assert (status, set(parts.values())) == (200, {"ok"})
    assert hub.get("/healthz") == (200, {"status": "ok"})
    assert len([line for line in hub.lines if re.search(r"Sign in as admin with the password \S{16} ", line)]) == 1

    # a second one on the same data folder
    second = subprocess.run(
        [sys.executable, "manage.py", "start"], cwd=ROOT, env={**hub.environ, "PORT": str(free_port())}, capture_output=True, text=True, timeout=30
    )
    assert second.returncode != 0
    assert re.fullmatch(
        rf"Integration Hub already runs on \S+ \(process {hub.process.pid}, \S+\)\. Stop that one, or choose another DATA_DIR\.\n",
        second.stderr,
    )

    # a worker dies with its children, and comes back
    before = hub.pids("-Q bulk")
    main = min(before)
    os.kill(main, signal.SIGKILL)
    hub.wait_for(lambda: hub.says("was ended by SIGKILL, starts again"))
    hub.wait_for(lambda: len(hub.pids("-Q bulk")) == len(before) and not hub.pids("-Q bulk") & before)
    hub.wait_for(lambda: hub.get("/readyz")[0] == 200)

    # the broker dies, and all find it again
    os.kill(hub.pids(hub.socket).pop(), signal.SIGKILL)
    hub.wait_for(lambda: hub.says("broker    | was ended by SIGKILL"))
    hub.wait_for(lambda: hub.get("/readyz")[0] == 200)

    assert hub.end(signal.SIGINT) == 0
    assert hub.lines[-1] == "Integration Hub has stopped."
    assert hub.processes() == {}
    assert not Path(hub.socket).parent.exists()


def test_all_its_processes_end_with_a_killed_supervisor_and_the_next_start_changes_nothing(start):
    hub = start().wait_until_ready()
    hub.wait_for(lambda: len(hub.processes()) >= 10)  # broker, sandbox, web and its worker, scheduler, two workers and their children

    hub.process.kill()
    hub.process.wait()
    hub.wait_for(lambda: hub.processes() == {}, seconds=5)
    again = start().wait_until_ready()

    assert not Path(hub.socket).parent.exists()
    assert not again.says("Sign in as")
    assert again.end() == 0


def test_a_taken_port_is_one_sentence(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ended = subprocess.run(
            [sys.executable, "manage.py", "start"], cwd=ROOT, env=environ(tmp_path, PORT=str(port)), capture_output=True, text=True, timeout=30
        )

    assert ended.stderr == f"Port {port} is taken. Choose another one: make run PORT={port + 1}\n"
    assert ended.returncode == 1


def test_a_folder_of_its_own_beside_another_machine_is_one_sentence_and_no_endless_start(tmp_path):
    place = environ(tmp_path)
    subprocess.run([sys.executable, "manage.py", "setup"], cwd=ROOT, env=place, capture_output=True, check=True, timeout=120)
    with sqlite3.connect(tmp_path / "hub.sqlite3") as database:
        beat = "INSERT INTO core_heartbeat (name, kind, host, queues, slots, version, seen_at) VALUES (?, 'worker', ?, '[\"bulk\"]', 2, '1', ?)"
        database.execute(beat, ("bulk@elsewhere", "elsewhere", "2999-01-01 00:00:00"))

    ended = subprocess.run([sys.executable, "manage.py", "start"], cwd=ROOT, env=place, capture_output=True, text=True, timeout=120)

    assert ended.returncode == 1
    assert ended.stdout.count("STORAGE_URL is not set, and elsewhere works for this hub too: set it to a folder that all machines share.") == 1
    assert "starts again" not in ended.stdout
