"""The whole hub as `manage.py start` starts it, in a data folder of its own, seen from outside: its processes, its database, its sandbox."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import redis

from sandbox.testing import Sandbox

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
OURS = ("HUB_TESTING", "DATA_DIR", "BROKER_URL", "SECRET_KEY", "CREDENTIAL_KEYS", "DATABASE_URL", "DJANGO_SETTINGS_MODULE", "ALLOWED_NETWORKS")


class Hub:
    """`manage.py start` with all of its programs, until closed: with the demo, and with what it is told by `environ`."""

    def __init__(self, folder: Path, *, demo: bool = True, **environ: str) -> None:
        self.folder, self.port, sandbox_port = folder, free_port(), free_port()
        self.dies_at = folder / "dies-at"  # a file named after a point: the next worker to reach it removes the file and kills itself
        self.dies_at.mkdir()
        self.environ = {name: value for name, value in os.environ.items() if name not in OURS}
        self.environ |= {"DATA_DIR": str(folder / "data"), "PORT": str(self.port), "SANDBOX_PORT": str(sandbox_port), "LOG_FORMAT": "json"}
        self.environ |= {"DIES_AT": str(self.dies_at), "PYTHONPATH": os.pathsep.join((str(HERE / "dying"), str(ROOT)))}
        self.environ |= {"ALLOWED_NETWORKS": "127.0.0.0/8", **environ}
        self.sandbox = Sandbox(f"http://127.0.0.1:{sandbox_port}")
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "log"
        with self.log.open("wb") as log:
            command = [sys.executable, "manage.py", "start", *(["--demo"] if demo else [])]
            self.process = subprocess.Popen(command, cwd=ROOT, env=self.environ, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        self.environ["SANDBOX_URL"] = self.sandbox.url
        self.wait_for(self._is_ready, seconds=120, what="the hub to be ready")

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, self.tail()
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def wait_for(self, happened: Any, *, seconds: float, what: str) -> float:
        """Wait until `happened()`; the seconds it took."""
        began = time.monotonic()
        while not happened():
            assert time.monotonic() - began < seconds, f"waited {seconds:.0f} s for {what}\n{self.tail()}"
            time.sleep(0.1)
        return time.monotonic() - began

    def tail(self, lines: int = 60) -> str:
        """What there is to go by when something went wrong: the last lines said, the work that is not done, and what its runs say."""
        said = [line[:400] for line in self.log.read_text(errors="replace").splitlines()[-lines:]]
        with contextlib.suppress(sqlite3.Error, psycopg.Error):
            live = "run_id IN (SELECT id FROM syncs_run WHERE ended_at IS NULL)"
            said += [f"now {self.rows('SELECT CURRENT_TIMESTAMP')}"]
            columns = "id, state, page_number, lease_number, lease_until, lease_holder, lost_leases, not_before, sent_at, failures, error"
            said += [str(row) for row in self.rows(f"SELECT {columns} FROM syncs_partition WHERE {live}")]
            said += [str(row) for row in self.rows(f"SELECT at, text FROM syncs_logline WHERE {live}")]
            said += [str(row) for row in self.rows("SELECT name, seen_at FROM core_heartbeat")]
        return "\n".join(said)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(40)
        if self.process.poll() is None:
            self.process.kill()  # what it started is tied to it
            self.process.wait()

    # --- what it keeps ------------------------------------------------------------------------------------------------

    def rows(self, question: str, *values: Any) -> list[tuple[Any, ...]]:
        if "DATABASE_URL" in self.environ:
            with psycopg.connect(self.environ["DATABASE_URL"]) as server:
                return server.execute(question.replace("?", "%s"), values).fetchall()
        with contextlib.closing(sqlite3.connect(f"file:{self.folder}/data/hub.sqlite3?mode=ro", uri=True, timeout=20)) as database:
            return database.execute(question, values).fetchall()

    def order(self, *what: str) -> Any:
        """What a person would order; see order.py."""
        done = subprocess.run(
            [sys.executable, str(HERE / "order.py"), *what], cwd=ROOT, env=self.environ, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout.splitlines()[-1])

    # --- its processes --------------------------------------------------------------------------------------------------

    def program(self, name: str) -> int | None:
        """The process of a program: web, scheduler, quick, bulk, sandbox, broker."""
        mark = {
            "web": b"gunicorn",
            "scheduler": b"beat-schedule",
            "quick": b"quick@",
            "bulk": b"bulk@",
            "sandbox": b"sandbox",
            "broker": b"unixsocket",
        }[name]
        for pid in children(self.process.pid):
            with contextlib.suppress(OSError):
                if mark in Path(f"/proc/{pid}/cmdline").read_bytes():
                    return pid
        return None

    def kill_program(self, name: str) -> None:
        """kill -9 of a program and all that it started."""
        pid = self.program(name)
        assert pid is not None, f"{name} does not run"
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)

    def flush_broker(self) -> None:
        """Take from the embedded broker all that it holds: messages, queues, what is in hand."""
        title = Path(f"/proc/{self.program('broker')}/cmdline").read_bytes().decode()
        path = re.split(r"unixsocket[:\0]", title)[1].split("\0")[0].strip()  # in its title once it serves, among its arguments before
        with redis.Redis(unix_socket_path=path) as broker:
            broker.flushall()

    def kill_holder(self, partition: int) -> bool:
        """kill -9 of the one process that holds the partition's lease; false where none does."""
        ((holder,),) = self.rows("SELECT lease_holder FROM syncs_partition WHERE id = ?", partition)
        if not holder:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(holder.rsplit(":", 1)[1]), signal.SIGKILL)
        return True


@contextlib.contextmanager
def running_hub(*, demo: bool = True, **environ: str) -> Iterator[Hub]:
    with tempfile.TemporaryDirectory(prefix="hub-faults-") as folder:
        hub = Hub(Path(folder), demo=demo, **environ)
        try:
            yield hub
        finally:
            hub.close()
            print(hub.tail())  # shown where the test has failed


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def children(pid: int) -> list[int]:
    try:
        return [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]
    except OSError:
        return []
