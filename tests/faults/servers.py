"""Servers of a test's own, which it may end as it likes: PostgreSQL, Redis and RabbitMQ, each with a folder and a port of its own."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from integration_hub.core.supervisor import TIED
from tests import services
from tests.faults.hub import free_port

START_SECONDS = 90.0


class Server:
    """A server program, tied to this process. `url` is its address for the hub."""

    program: ClassVar[str]  # of tests/services.py
    end_by: ClassVar[signal.Signals] = signal.SIGKILL
    user: str | None = None
    url: str

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.path = services.require(self.program)
        self.environ = dict(os.environ)
        self._processes: list[subprocess.Popen[bytes]] = []
        self.prepare()
        self.start()

    def prepare(self) -> None:
        """What is done once, before the first start."""

    def command(self) -> list[str]:
        raise NotImplementedError

    def answers(self) -> bool:
        raise NotImplementedError

    def start(self) -> None:
        """Start it, and wait until it answers."""
        process = self.run(*self.command())
        ends = time.monotonic() + START_SECONDS
        while not self.answers():
            assert process.poll() is None, self.tail()
            assert time.monotonic() < ends, self.tail()
            time.sleep(0.1)

    def end(self) -> None:
        """End it at once, as a lost machine would."""
        for process in reversed(self._processes):
            process.send_signal(self.end_by)
            process.wait()
        self._processes.clear()

    def run(self, *command: str) -> subprocess.Popen[bytes]:
        tied = [sys.executable, "-I", "-S", TIED, str(os.getpid()), *command]
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                tied, cwd=self.folder, env=self.environ, user=self.user, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )
        self._processes.append(process)
        return process

    def tail(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-3000:]


class PostgreSQL(Server):
    """It refuses root, and its processes share memory: so it runs as postgres where we are root, and is told to quit at once instead of killed."""

    program = "postgres"
    end_by = signal.SIGQUIT

    def prepare(self) -> None:
        if os.geteuid() == 0:
            self.user = "postgres"
            os.chown(self.folder, *owner(self.user))
        made = [
            str(Path(self.path).with_name("initdb")),
            "-D",
            str(self.folder / "data"),
            "-U",
            "postgres",
            "--auth=trust",
            "--no-sync",
            "-E",
            "UTF8",
        ]
        subprocess.run(made, cwd=self.folder, user=self.user, check=True, capture_output=True)
        self.url = f"postgres://postgres@127.0.0.1:{self.port}/postgres"

    def made(self, name: str) -> str:
        """The address of a new database."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return urlsplit(self.url)._replace(path=f"/{name}").geturl()

    def command(self) -> list[str]:
        return [self.path, "-D", str(self.folder / "data"), "-p", str(self.port), "-k", str(self.folder), "-c", "listen_addresses=127.0.0.1"]

    def answers(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


class Redis(Server):
    """It keeps nothing: ended, it has lost all messages."""

    program = "redis-server"

    def prepare(self) -> None:
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        return [self.path, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(self.folder)]

    def answers(self) -> bool:
        return said(self.port, b"PING\r\n").startswith(b"+PONG")


class RabbitMQ(Server):
    """It keeps its queues in its folder. Its nodes find each other by a program of their own, so it brings one."""

    program = "rabbitmq-server"

    def prepare(self) -> None:
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}//"
        self.names_port = free_port()
        self.environ |= {
            "HOME": str(self.folder),
            "ERL_EPMD_PORT": str(self.names_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"faults{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "none"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "none"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_ALLOW_INPUT": "1",  # the script becomes the server, instead of its parent
        }

    def start(self) -> None:
        self.run("epmd", "-port", str(self.names_port), "-address", "127.0.0.1")
        super().start()

    def command(self) -> list[str]:
        return [self.path, "-noinput"]

    def answers(self) -> bool:
        return said(self.port, b"AMQP\0\0\x09\x01").startswith(b"\x01")


@contextlib.contextmanager
def server(kind: type[Server]) -> Iterator[Any]:
    """One that runs for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="hub-faults-", ignore_cleanup_errors=True) as folder:
        made = kind(Path(folder))
        try:
            yield made
        finally:
            made.end()


def owner(user: str) -> tuple[int, int]:
    found = pwd.getpwnam(user)
    return found.pw_uid, found.pw_gid


def said(port: int, greeting: bytes) -> bytes:
    """The first that a server answers to these bytes, b"" where it does not."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(greeting)
            return connection.recv(64)
    except OSError:
        return b""
