"""SFTP servers. The connection is opened to an address that the host allows, and only the server whose key the settings name is spoken to.

When a file was modified is what the server says: one that is moved into the folder keeps the time of its content, so that only a full reading sees it.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import socket
import stat
import tempfile
import time
import uuid
from collections.abc import Callable, Coroutine, Iterator
from pathlib import PurePosixPath
from typing import Any, BinaryIO, TypeVar

import asyncssh

from connectors.base import AddressRefused, Host, SettingsError, SystemDown, _
from connectors.files.local import changed
from connectors.files.places import Found, Overtaken, Writer
from connectors.files.remote import OpenedRemotely, RemotePlace
from connectors.files.settings import Connection, Sftp

T = TypeVar("T")
LOCK = ".lock"
LOCK_WAIT_SECONDS = 0.25
UPLOAD_BYTES = 4 * 1024 * 1024
GONE = (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath)

asyncssh.set_log_level("WARNING")  # else it tells of each step of each connection


class Known(asyncssh.SSHClient):
    """Knows the server by the key, or the key's fingerprint, of the settings."""

    def __init__(self, told: str) -> None:
        self._told = told

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        if self._told.startswith("SHA256:"):
            return bool(key.get_fingerprint() == self._told.strip())
        return bool(key.export_public_key().split()[:2] == self._told.encode().split()[:2])


class SftpPlace(RemotePlace):
    def __init__(self, host: Host, connection: Connection, settings: Sftp) -> None:
        super().__init__(host, connection)
        self._settings = settings
        self._connection: asyncssh.SSHClientConnection | None = None
        self._opened: asyncssh.SFTPClient | None = None

    # --- the connection ---

    async def _sftp(self) -> asyncssh.SFTPClient:
        if self._opened is None:
            way = self._settings
            keys = [self._private_key()] if way.private_key else None
            self._connection, _client = await asyncssh.create_connection(
                lambda: Known(way.host_key),
                way.host,
                way.port,
                sock=await self._dialled(),
                username=way.user,
                password=way.password or None,
                client_keys=keys,
                known_hosts=b"",
                config=None,
                agent_path=None,
                login_timeout=self.connection.connect_seconds,
            )
            self._opened = await self._connection.start_sftp_client()
        return self._opened

    async def _dialled(self) -> socket.socket:
        loop, way, refusal = asyncio.get_running_loop(), self._settings, None
        problem: OSError = OSError("no address")
        for family, kind, protocol, _name, address in await loop.getaddrinfo(way.host, way.port, type=socket.SOCK_STREAM):
            try:
                self.host.allow_address(way.host, str(address[0]))
            except AddressRefused as error:
                refusal = error
                continue
            opened = socket.socket(family, kind, protocol)
            opened.setblocking(False)
            try:
                await asyncio.wait_for(loop.sock_connect(opened, address), self.connection.connect_seconds)
            except OSError as error:
                opened.close()
                problem, refusal = error, None
            else:
                return opened
        raise refusal or problem

    def _private_key(self) -> asyncssh.SSHKey:
        try:
            return asyncssh.import_private_key(self._settings.private_key, self._settings.passphrase or None)
        except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError):
            raise SettingsError(
                _("The private key entered for {system} cannot be read, or its passphrase is another. Paste its whole text."), system=self.system
            ) from None

    async def disconnect(self) -> None:
        if self._opened is not None:
            self._opened.exit()
        if self._connection is not None:
            self._connection.close()
            await self._connection.wait_closed()
        self._opened = self._connection = None

    def _drop(self) -> None:
        """After a failure no connection is trusted."""
        if self._connection is not None:
            self._connection.abort()
        self._opened = self._connection = None

    def _ask(self, work: Callable[..., Coroutine[Any, Any, T]], *values: Any) -> T:
        """One piece of work. Raises ConnectorError, or SFTPNoSuchFile for what the caller knows better."""
        with self.request():
            return self.run(self._understood(work, *values))

    async def _understood(self, work: Callable[..., Coroutine[Any, Any, T]], *values: Any) -> T:
        names: dict[str, Any] = {"system": self.system}
        try:
            return await work(*values)
        except GONE:
            raise
        except asyncssh.HostKeyNotVerifiable:
            raise SettingsError(
                _(
                    "{system} shows another host key than the one in its settings. Make sure that it is the right server before you enter the new one."
                ),
                **names,
            ) from None
        except asyncssh.PermissionDenied:
            raise SettingsError(_("{system} does not let {user} in. Enter password or key again."), user=self._settings.user, **names) from None
        except asyncssh.SFTPPermissionDenied as error:
            raise SettingsError(_("{system} refuses what it is asked: {reason}"), reason=error.reason, **names) from None
        except asyncio.CancelledError:
            self._drop()
            raise
        except (asyncssh.Error, OSError, EOFError) as error:
            self._drop()
            raise SystemDown(_("{system} does not answer: {reason}"), reason=str(error)[:300] or type(error).__name__, **names) from error

    def _full(self, path: str) -> str:
        return str(PurePosixPath(self._settings.folder or ".", path))

    # --- what is there ---

    def identity(self) -> dict[str, str]:
        async def looked() -> str:
            return str(await (await self._sftp()).realpath(self._settings.folder or "."))

        return {"server": f"{self._settings.user}@{self._settings.host}", "who": self._ask(looked)}

    def listed(self, folder: str) -> list[Found]:
        async def looked() -> list[Found]:
            entries = await (await self._sftp()).readdir(self._full(folder))
            return [
                _found(str(PurePosixPath(folder, str(e.filename))), e.attrs)
                for e in entries
                if not str(e.filename).startswith(".") and stat.S_ISREG(e.attrs.permissions or 0)
            ]

        try:
            return self._ask(looked)
        except GONE:
            return []

    def find(self, path: str) -> Found | None:
        async def looked() -> Found:
            return _found(path, await (await self._sftp()).stat(self._full(path)))

        try:
            return self._ask(looked)
        except GONE:
            return None

    @contextlib.contextmanager
    def open(self, found: Found) -> Iterator[OpenedRemotely]:
        async def opened() -> Any:
            file = await (await self._sftp()).open(self._full(found.path), "rb", encoding=None)
            if _version(await file.stat()) != found.version:
                await file.close()
                raise changed(found.path, self.system)
            return file

        try:
            file = self._ask(opened)
        except GONE:
            raise changed(found.path, self.system) from None
        try:
            yield OpenedRemotely(found.path, found.size, lambda start, length: self._read(file, found, start, length))
        finally:
            with contextlib.suppress(asyncssh.Error, OSError):
                self.run(file.close())

    def _read(self, file: Any, found: Found, start: int, length: int) -> bytes:
        async def got() -> bytes:
            data = await file.read(length, start)
            if len(data) != length or _version(await file.stat()) != found.version:
                raise changed(found.path, self.system)
            return bytes(data)

        return self._ask(got)

    # --- writing ---

    def put(self, path: str, write: Writer, *, over: Found | None = None) -> None:
        target = PurePosixPath(self._full(path))
        draft = str(target.parent / f".{target.name}.draft")
        with tempfile.TemporaryFile() as content:
            write(content)
            self._ask(self._sent, content, draft, str(target), over)

    async def _sent(self, content: BinaryIO, draft: str, target: str, over: Found | None) -> None:
        sftp = await self._sftp()
        await sftp.makedirs(str(PurePosixPath(target).parent), exist_ok=True)
        content.seek(0)
        async with sftp.open(draft, "wb", encoding=None) as file:
            while some := content.read(UPLOAD_BYTES):
                await file.write(some)
            with contextlib.suppress(asyncssh.SFTPOpUnsupported):
                await file.fsync()
        if await self._version_now(sftp, target) != (over.version if over else None):
            raise Overtaken
        before = int(over.modified.timestamp()) if over else 0
        if ((await sftp.stat(draft)).mtime or 0) <= before:  # servers know only seconds: what replaces is later than what it replaces
            await sftp.utime(draft, (before + 1, before + 1))
        await sftp.posix_rename(draft, target)

    async def _version_now(self, sftp: asyncssh.SFTPClient, target: str) -> str | None:
        try:
            return _version(await sftp.stat(target))
        except GONE:
            return None

    def remove(self, path: str) -> None:
        async def removed() -> None:
            await (await self._sftp()).remove(self._full(path))

        with contextlib.suppress(*GONE):
            self._ask(removed)

    @contextlib.contextmanager
    def alone(self, folder: str) -> Iterator[None]:
        """A folder that only one can make is the lock. Whoever made it and died is waited for as long as a request may take, then passed over."""
        lock = str(PurePosixPath(self._full(folder), LOCK))
        owner, since = None, time.monotonic()
        while (now := self._ask(self._lock_taken, lock)) is not None:
            if now != owner:
                owner, since = now, time.monotonic()
            elif time.monotonic() - since > self.connection.total_seconds:
                self._ask(self._unlocked, lock)
            time.sleep(LOCK_WAIT_SECONDS)
        try:
            yield
        finally:
            self._ask(self._unlocked, lock)

    async def _lock_taken(self, lock: str) -> str | None:
        """None: it is ours. Else whose it is."""
        sftp = await self._sftp()
        try:
            await sftp.mkdir(lock)
        except asyncssh.SFTPFailure:  # and its more exact kinds
            with contextlib.suppress(asyncssh.SFTPError):
                return "".join(sorted(await self._inside(sftp, lock)))
            return ""
        async with sftp.open(f"{lock}/{uuid.uuid4().hex}", "wb"):
            return None

    async def _inside(self, sftp: asyncssh.SFTPClient, folder: str) -> list[str]:
        return [str(name) for name in await sftp.listdir(folder) if str(name) not in (".", "..")]

    async def _unlocked(self, lock: str) -> None:
        sftp = await self._sftp()
        with contextlib.suppress(asyncssh.SFTPError):
            for name in await self._inside(sftp, lock):
                await sftp.remove(f"{lock}/{name}")
            await sftp.rmdir(lock)


def _found(path: str, attributes: asyncssh.SFTPAttrs) -> Found:
    modified = dt.datetime.fromtimestamp(attributes.mtime or 0, dt.UTC)
    return Found(modified, path, attributes.size or 0, _version(attributes))


def _version(attributes: asyncssh.SFTPAttrs) -> str:
    return f"{attributes.mtime}-{attributes.mtime_ns or 0}-{attributes.size}"
