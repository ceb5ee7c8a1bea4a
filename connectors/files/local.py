"""Folders of this machine that the operator allows. Every path is held against the host's guard with its links resolved, and opened as it then is.

When a file came to be as it is, is the later of its two times: a file that is moved into the folder keeps the time of its content, but not the other.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from connectors.base import Host, PositionExpired, SettingsError, Stopped, SystemDown, _
from connectors.files.places import Found, Overtaken, Place, Writer
from connectors.files.settings import Connection, Folder

LOCK = ".lock"
LOCK_WAIT_SECONDS = 0.05
DRAFT_SECONDS = 3600.0  # nobody is still writing what has lain so long


class OpenedLocally:
    def __init__(self, descriptor: int, found: Found, place: Place) -> None:
        self.path, self.size = found.path, found.size
        self._descriptor, self._place = descriptor, place
        self._content = _content(os.fstat(descriptor))

    def read(self, start: int, length: int) -> bytes:
        with self._place.request():
            data = os.pread(self._descriptor, length, start)
        if _content(os.fstat(self._descriptor)) != self._content:
            raise changed(self.path, self._place.system)
        return data


class LocalPlace(Place):
    is_remote = False

    def __init__(self, host: Host, connection: Connection, settings: Folder) -> None:
        super().__init__(host, connection)
        self._folder = Path(settings.folder)

    def identity(self) -> dict[str, str]:
        with self._asked(""):
            folder = self._allowed("")
            self._need_folder()
            os.listdir(folder)
        return {"server": "the folder", "who": str(self._folder)}

    def listed(self, folder: str) -> list[Found]:
        with self._asked(folder):
            resolved = self._allowed(folder)
            if not resolved.is_dir():
                self._need_folder()
                return []
            names = [e.name for e in os.scandir(resolved) if not e.name.startswith(".") and e.is_file()]
            found = (self._found(str(Path(folder, name))) for name in names)
            return [f for f in found if f is not None]

    def find(self, path: str) -> Found | None:
        with self._asked(path):
            return self._found(path)

    def _found(self, path: str) -> Found | None:
        resolved = self._allowed(path)
        try:
            is_ = os.stat(resolved, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            self._need_folder()
            return None
        if not stat.S_ISREG(is_.st_mode):
            raise SettingsError(_("{path} of {system} is no file."), path=path, system=self.system)
        at = max(is_.st_mtime_ns, is_.st_ctime_ns) // 1000
        moment = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=at)
        return Found(moment, path, is_.st_size, f"{is_.st_ino}-{is_.st_mtime_ns}-{is_.st_ctime_ns}-{is_.st_size}")

    @contextlib.contextmanager
    def open(self, found: Found) -> Iterator[OpenedLocally]:
        with self._asked(found.path):
            try:
                descriptor = os.open(self._allowed(found.path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            except FileNotFoundError:
                raise changed(found.path, self.system) from None
        try:
            if self._found(found.path) != found:
                raise changed(found.path, self.system)
            yield OpenedLocally(descriptor, found, self)
        finally:
            os.close(descriptor)

    # --- writing ---

    def put(self, path: str, write: Writer, *, over: Found | None = None) -> None:
        with self._asked(path):
            target = self._allowed(path)
            folder = target.parent
            self._make(folder)
            draft = folder / f".{target.name}.draft"
            try:
                with open(draft, "wb") as file:
                    write(file)
                    file.flush()
                    os.fsync(file.fileno())
                if self._found(path) != over:
                    raise Overtaken
                if over is not None:
                    os.chmod(draft, stat.S_IMODE(os.stat(target).st_mode))
                os.replace(draft, target)
            finally:
                draft.unlink(missing_ok=True)
            _sync(folder)

    def _make(self, folder: Path) -> None:
        """The folder, and those above it inside of ours, which must be there: it may be a disk that is not mounted."""
        self._need_folder()
        missing = [one for one in (folder, *folder.parents) if not one.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        for one in missing:
            _sync(one.parent)

    def _need_folder(self) -> None:
        """Without it nothing is known of the files in it, not even that there are none. Raises SettingsError."""
        if not self._folder.is_dir():
            raise SettingsError(_("{system}: there is no folder {path}."), system=self.system, path=str(self._folder))

    def remove(self, path: str) -> None:
        with self._asked(path):
            self._allowed(path).unlink(missing_ok=True)

    @contextlib.contextmanager
    def alone(self, folder: str) -> Iterator[None]:
        with self._asked(folder):
            inside = self._allowed(folder)
            self._make(inside)
            descriptor = os.open(inside / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            for draft in inside.glob(".*.draft"):  # of those who were killed over it
                with contextlib.suppress(FileNotFoundError):  # it was finished just now
                    if time.time() - draft.stat().st_mtime > DRAFT_SECONDS:
                        draft.unlink()
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() + LOCK_WAIT_SECONDS >= self.host.deadline():
                        raise Stopped(_("The time to work on {system} is over; the next worker goes on."), system=self.system) from None
                    time.sleep(LOCK_WAIT_SECONDS)
            yield
        finally:
            os.close(descriptor)

    # --- paths ---

    def _allowed(self, path: str) -> Path:
        """The path with its links resolved. Raises AddressRefused where the operator does not allow it."""
        resolved = Path(os.path.realpath(self._folder / path))
        self.host.allow_path(str(resolved))
        return resolved

    @contextlib.contextmanager
    def _asked(self, path: str) -> Iterator[None]:
        with self.request():
            try:
                yield
            except PermissionError:
                raise SettingsError(
                    _("{system}: the hub may not open {path}. Give its user the right to."), system=self.system, path=path or str(self._folder)
                ) from None
            except OSError as error:
                reason = error.strerror or str(error)
                raise SystemDown(_("{system}: {path} cannot be used: {reason}"), system=self.system, path=path, reason=reason) from error


def changed(path: str, system: str) -> PositionExpired:
    return PositionExpired(_("{path} of {system} was changed while it was read. It is read again from its start."), path=path, system=system)


def _content(is_: os.stat_result) -> tuple[int, int]:
    return is_.st_size, is_.st_mtime_ns


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
