"""What is asked of the place where files are, whichever it is. One module for each kind of place says how it is done there."""

from __future__ import annotations

import abc
import contextlib
import datetime as dt
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import BinaryIO

from connectors.base import ConnectorError, Host, SettingsError, SystemBusy, SystemDown, _
from connectors.files.readers import Opened
from connectors.files.settings import Connection
from connectors.permits import Permits, check_time

Writer = Callable[[BinaryIO], object]  # writes a file's content into what it is given


class Overtaken(Exception):
    """The file is no longer the version that was to be replaced: somebody else has written it."""


@dataclass(frozen=True, slots=True, order=True)
class Found:
    """A file as it is listed, in the order in which files are read. Another content has another `version`."""

    modified: dt.datetime
    path: str  # inside the system's folder
    size: int
    version: str


class Place(abc.ABC):
    """A folder of files. Paths are those of the settings, inside of it; what begins with a dot is never listed."""

    is_remote = True

    def __init__(self, host: Host, connection: Connection) -> None:
        self.host, self.system, self.connection = host, host.system, connection
        self._permits = Permits(host)

    def close(self) -> None:  # noqa: B027  not every place has something to close
        """Give back connections."""

    @abc.abstractmethod
    def identity(self) -> dict[str, str]:
        """ "server": what answered, "who": as whom or where we are. Raises ConnectorError."""

    def matching(self, pattern: str) -> list[Found]:
        """The files whose path matches, in the order of their modification."""
        path = PurePosixPath(pattern)
        found = sorted(f for f in self.listed(str(path.parent)) if fnmatchcase(PurePosixPath(f.path).name, path.name))
        for one in found:
            if not _is_text(one.path):
                shown = one.path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
                raise SettingsError(_("{system}: the name of the file {path} is not in UTF-8. Rename it."), system=self.system, path=shown)
        return found

    @abc.abstractmethod
    def listed(self, folder: str) -> list[Found]:
        """The files right in a folder whose names do not begin with a dot; none where there is no such folder."""

    @abc.abstractmethod
    def find(self, path: str) -> Found | None:
        """The file at this path, if there is one."""

    @abc.abstractmethod
    def open(self, found: Found) -> contextlib.AbstractContextManager[Opened]:
        """The file, as long as it stays that version."""

    @abc.abstractmethod
    def put(self, path: str, write: Writer, *, over: Found | None = None) -> None:
        """Make or replace a file at once and durably: whoever reads it finds the old content or the new one, never a part.
        `over` is the version to be replaced, None: there is no such file yet. Raises Overtaken where that is not so."""

    @abc.abstractmethod
    def remove(self, path: str) -> None:
        """Nothing happens where it is gone already."""

    @abc.abstractmethod
    def alone(self, folder: str) -> contextlib.AbstractContextManager[None]:
        """While this lasts, nobody else of the hub is inside for the same folder, where the place needs that to replace a file safely."""

    # --- what a request is to the host ---

    @contextmanager
    def request(self) -> Iterator[None]:
        """Around whatever is asked of a place at once: permits before it, the breaker told after it. Raises ConnectorError."""
        if self.is_remote:
            self._permits.use()
        check_time(self.host)
        self.host.before_request()
        started, ok = time.monotonic(), True
        try:
            yield
        except ConnectorError as error:
            ok = not isinstance(error, SystemDown) or isinstance(error, SystemBusy)
            raise
        finally:
            self.host.after_request(ok=ok, seconds=time.monotonic() - started)

    def missing(self, path: str) -> SettingsError:
        return SettingsError(_("{system} has no file {path}."), system=self.system, path=path)


def _is_text(path: str) -> bool:
    """Bytes that are no UTF-8 come as characters that cannot be stored."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
