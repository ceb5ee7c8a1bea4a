"""Places for the tests of the files connector: a folder, a bucket and an SFTP server, filled by other means than what is tested."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh
import botocore.session
import pytest

KINDS = ("folder", "s3", "sftp", "openssh")
OPENSSH = ("/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server", "/usr/libexec/sftp-server")
KEYS = {"aws_access_key_id": "hub", "aws_secret_access_key": "s3cret-key-of-hub"}


@dataclass
class Place:
    """Where a test's files are. `put` writes one as another program would; `content` is what a reader of the file finds."""

    kind: str
    settings: dict[str, Any]
    folder: Path | None = None
    bucket: Any = None

    def put(self, path: str, content: bytes | str) -> None:
        content = content.encode() if isinstance(content, str) else content
        if self.folder is not None:
            target = self.folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            draft = target.with_name(f"{target.name}.{uuid.uuid4().hex}")
            draft.write_bytes(content)
            os.replace(draft, target)
        else:
            self.bucket.put_object(Bucket=self.settings["bucket"], Key=path, Body=content)

    def content(self, path: str) -> bytes:
        if self.folder is not None:
            return (self.folder / path).read_bytes()
        return self.bucket.get_object(Bucket=self.settings["bucket"], Key=path)["Body"].read()

    def names(self) -> set[str]:
        """Of everything there, however hidden, but locks."""
        if self.folder is not None:
            return {str(p.relative_to(self.folder)) for p in self.folder.rglob("*") if p.is_file() and p.name != ".lock"}
        return {entry["Key"] for entry in self.bucket.list_objects_v2(Bucket=self.settings["bucket"]).get("Contents", [])}

    def of(self, path: str, **more: Any) -> dict[str, Any]:
        """Settings with this one file."""
        more = {"name": "contacts", "key": ["id"], **more}
        return {"place": self.settings, "files": [{"path": path, **more}], "connection": {"page_rows": 10}}


def fresh(kind: str, folder: Path, servers: Servers) -> Place:
    if kind == "s3":
        return servers.bucket()
    if kind in ("sftp", "openssh"):
        return servers.home(folder, kind)
    return Place("folder", {"type": "folder", "folder": str(folder)}, folder)


class Servers:
    """An S3-compatible server and two SFTP servers, each started when it is first needed: what they answer is asyncssh's, or OpenSSH's own."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._s3: Any = None
        self._sftp: dict[str, dict[str, Any]] = {}

    def close(self) -> None:
        self._stack.close()

    def bucket(self) -> Place:
        if self._s3 is None:
            self._s3 = self._stack.enter_context(_s3_server())
        url, client = self._s3
        name = f"hub-{uuid.uuid4().hex[:12]}"
        client.create_bucket(Bucket=name)
        way = {"type": "s3", "endpoint": url, "bucket": name, "access_key": KEYS["aws_access_key_id"], "secret_key": KEYS["aws_secret_access_key"]}
        return Place("s3", way, bucket=client)

    def home(self, folder: Path, kind: str) -> Place:
        if kind not in self._sftp:
            self._sftp[kind] = self._stack.enter_context(_sftp_server(_OpenSSHDoorman if kind == "openssh" else _Doorman))
        return Place("sftp", {**self._sftp[kind], "folder": str(folder)}, folder)


@contextlib.contextmanager
def _s3_server() -> Iterator[tuple[str, Any]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = shutil.which("moto_server", path=str(Path(sys.executable).parent)) or "moto_server"
    server = subprocess.Popen([program, "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        for _try in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.1)
        client = botocore.session.get_session().create_client("s3", endpoint_url=url, region_name="us-east-1", **KEYS)
        yield url, client
        client.close()
    finally:
        server.terminate()
        server.wait()


class _Doorman(asyncssh.SSHServer):
    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == ("hub", "s3cret-password")


def _openssh() -> str:
    program = next((path for path in (os.environ.get("TEST_SFTP_SERVER", ""), *OPENSSH) if path and Path(path).exists()), None)
    return program or pytest.skip("OpenSSH's sftp-server is not installed; TEST_SFTP_SERVER names another place.")


class _OpenSSHDoorman(_Doorman):
    """Lets OpenSSH's own program answer those who were let in."""

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn

    def session_requested(self) -> tuple[asyncssh.SSHServerChannel, asyncssh.SSHServerSession]:
        return self._connection.create_server_channel(encoding=None), _OpenSSHSession()


class _OpenSSHSession(asyncssh.SSHServerSession):
    def connection_made(self, chan: asyncssh.SSHServerChannel) -> None:
        self._channel = chan

    def subsystem_requested(self, subsystem: str) -> bool:
        return subsystem == "sftp"

    def session_started(self) -> None:
        self._program = subprocess.Popen([_openssh()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        threading.Thread(target=self._answer, args=(asyncio.get_running_loop(), self._program.stdout), daemon=True).start()

    def _answer(self, loop: asyncio.AbstractEventLoop, answers: Any) -> None:
        with contextlib.suppress(RuntimeError, ValueError):  # the loop, or the pipe, is closed
            while some := answers.read(65_536):
                loop.call_soon_threadsafe(self._channel.write, some)

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        sent = memoryview(data)
        while sent:
            sent = sent[self._program.stdin.write(sent) :]

    def connection_lost(self, exc: Exception | None) -> None:
        self._program.stdin.close()
        self._program.terminate()
        self._program.wait()
        self._program.stdout.close()


@contextlib.contextmanager
def _sftp_server(doorman: type[_Doorman]) -> Iterator[dict[str, Any]]:
    if doorman is _OpenSSHDoorman:
        _openssh()
    key = asyncssh.generate_private_key("ssh-ed25519")
    loop = asyncio.new_event_loop()

    async def listen() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen("127.0.0.1", 0, server_host_keys=[key], server_factory=doorman, sftp_factory=asyncssh.SFTPServer)

    server = loop.run_until_complete(listen())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield {
            "type": "sftp",
            "host": "127.0.0.1",
            "port": server.get_port(),
            "user": "hub",
            "password": "s3cret-password",
            "host_key": key.export_public_key().decode().strip(),
        }
    finally:

        async def stop() -> None:
            server.close()
            await server.wait_closed()

        asyncio.run_coroutine_threadsafe(stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
