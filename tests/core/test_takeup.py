"""Real processes with a real broker: work that a machine may not do it leaves to others, and does it as soon as it may."""

import json
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from kombu import Connection

from integration_hub.core import broker
from tests import services
from tests.brokers import forget, own_queue
from tests.test_start import free_port

ROOT = Path(__file__).parents[2]
QUICK = ["-m", "celery", "-A", "integration_hub", "worker", "-n", "quick@%h", "-c", "1", "-Q"]
WEB = ["-m", "gunicorn", "-c", "python:integration_hub.gunicorn", "integration_hub.wsgi"]
NEWER, MISSING = ("core", "0999_newer"), ("core", "0005_installation")


class Machine:
    """A machine with a data folder, a database and a queue of its own, where setup was run."""

    def __init__(self, folder: Path, broker_url: str, queue: str = "interactive"):
        self.queue = queue
        inherited = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME")}
        self.environ = {**inherited, "DATA_DIR": str(folder), "BROKER_URL": broker_url, "HUB_TESTING": "1", "PORT": str(free_port())}
        self.folder = folder
        self.run("manage.py", "setup")

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, *command], cwd=ROOT, env=self.environ, capture_output=True, text=True, timeout=60)

    def sql(self, statement: str, *values) -> list:
        with closing(sqlite3.connect(self.folder / "hub.sqlite3", timeout=20)) as connection, connection:
            return connection.execute(statement, values).fetchall()

    def seen(self, migration: tuple[str, str], *, yes: bool) -> None:
        """The database has, or has not, seen a migration: as the setup of a newer release, or one that was not run yet, leaves it."""
        self.sql("DELETE FROM django_migrations WHERE app = ? AND name = ?", *migration)
        if yes:
            self.sql("INSERT INTO django_migrations (app, name, applied) VALUES (?, ?, ?)", *migration, datetime.now(UTC).isoformat())

    def send(self) -> int:
        """Send the worker a message, which names a row of the outbox."""
        self.sql("INSERT INTO core_message (type, subject, facts, at) VALUES ('test.happened', 'tests/1', '{}', ?)", datetime.now(UTC).isoformat())
        [[row]] = self.sql("SELECT max(id) FROM core_message")
        program = f"from integration_hub.core.tasks import tell; tell.apply_async(({row},), queue='{self.queue}')"
        assert self.run("manage.py", "shell", "--no-imports", "-c", program).returncode == 0
        return row

    def is_told(self, row: int) -> bool:
        return self.sql("SELECT 1 FROM core_message WHERE id = ? AND handled_at IS NOT NULL", row) != []

    def queues(self) -> list:
        return [json.loads(queues) for [queues] in self.sql("SELECT queues FROM core_heartbeat WHERE kind = 'worker'")]

    def log(self) -> list[dict]:
        return [json.loads(line) for line in (self.folder / "log").read_text().splitlines() if line.startswith("{")]

    @contextmanager
    def worker(self):
        with (self.folder / "log").open("w") as out:
            process = subprocess.Popen([sys.executable, *QUICK, self.queue], cwd=ROOT, env=self.environ, stdout=out, stderr=subprocess.STDOUT)
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)

    def wait_for(self, condition, seconds=40):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.05)


@pytest.fixture(scope="module", params=["embedded", "rabbitmq"])
def set_up(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("machine")
    if request.param == "embedded":
        with broker.embedded_broker(folder / "broker") as url:
            yield Machine(folder / "data", url)
        return
    queue = own_queue("interactive")
    yield Machine(folder / "data", services.require("rabbitmq"), queue.name)
    with Connection(services.address("rabbitmq")) as connection:
        forget(queue(connection.default_channel))


@pytest.fixture
def machine(set_up):
    set_up.sql("DELETE FROM core_heartbeat")
    return set_up


@pytest.mark.parametrize(
    ("migration", "while_upgrading", "why"),
    [
        (NEWER, True, "The database is of a newer release (core.0999_newer is not known here): bring this machine to that release."),
        (MISSING, False, "The database lacks 1 migrations of this release: run manage.py setup."),
    ],
    ids=["an older worker on a newer database", "a newer worker on an older database"],
)
def test_a_worker_of_another_release_than_the_database_leaves_the_work_and_says_so_once(machine, migration, while_upgrading, why):
    machine.seen(migration, yes=while_upgrading)
    row = machine.send()

    with machine.worker():
        machine.wait_for(lambda: machine.queues() == [[]])
        machine.wait_for(lambda: any(line.get("why") for line in machine.log()))
        second = machine.send()

        assert not machine.is_told(row)
        assert [line["why"] for line in machine.log() if line["level"] != "INFO"] == [why]

        machine.seen(migration, yes=not while_upgrading)
        machine.wait_for(lambda: machine.is_told(row) and machine.is_told(second))
        machine.wait_for(lambda: machine.queues() == [[machine.queue]])


@pytest.mark.parametrize("door", [WEB, [*QUICK, "interactive"]], ids=["web", "worker"])
def test_beside_another_machine_nothing_starts_on_storage_of_its_own(machine, door):
    machine.sql(
        "INSERT INTO core_heartbeat (name, kind, host, queues, slots, version, seen_at) VALUES ('bulk@other', 'worker', 'other', '[\"bulk\"]', 2, '1', ?)",
        datetime.now(UTC).replace(year=2999).isoformat(sep=" "),
    )

    ended = machine.run(*door)

    assert ended.returncode != 0
    assert "STORAGE_URL is not set, and other works for this hub too: set it to a folder that all machines share." in ended.stderr
    assert "Traceback" not in ended.stderr
