"""What the hub gives a connector: permits, tokens, the outgoing guard, the circuit and the time it still has (`connectors.base.Host`)."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from django.conf import settings
from django.db import connection
from django.db.models import Q
from django.db.models.functions import Now

from connectors.base import AddressRefused, SettingsError, Stopped, Token, _
from connectors.guard import AddressPolicy
from connectors.versions import Versions
from integration_hub.systems.breaker import Breaker
from integration_hub.systems.models import System
from integration_hub.systems.permits import Permits
from integration_hub.systems.tokens import Tokens

T = TypeVar("T")
TEN_SECONDS = timedelta(seconds=10)


@lru_cache(maxsize=4)
def address_policy(networks: tuple[str, ...]) -> AddressPolicy:
    return AddressPolicy(networks)


def forever() -> float:
    return float("inf")


class GuardedHost:
    """A host for settings that are not saved: the guard and the deadline hold, tokens live as long as it does, nothing is shared or limited."""

    def __init__(self, system: System, *, deadline: Callable[[], float] = forever, versions: Versions | None = None) -> None:
        self.system = system.name
        self.deadline = deadline
        self.versions = versions if versions is not None else Versions()
        self.last_seconds: float | None = None  # of the last request that was answered
        self._token: Token | None = None

    def permit(self, wanted: int = 1) -> tuple[int, float]:
        return wanted, 0.0

    def token(self, fetch: Callable[[str | None], Token], *, stale: str | None = None) -> str:
        if self._token is None or self._token.value == stale:
            self._token = fetch(self._token.refresh if self._token else None)
        return self._token.value

    def allow_address(self, host: str, address: str) -> None:
        address_policy(tuple(str(network) for network in settings.ALLOWED_NETWORKS)).allow(host, address)

    def allow_path(self, path: str) -> None:
        if not any(Path(path).is_relative_to(folder) for folder in settings.ALLOWED_FOLDERS):
            raise AddressRefused(
                _("{path} is in no folder that the hub may open. To allow it, add its folder to the setting ALLOWED_FOLDERS."), path=path
            )

    def before_request(self) -> None:
        if time.monotonic() >= self.deadline():
            raise Stopped(_("The time to speak to {system} was over."), system=self.system)

    def after_request(self, *, ok: bool, seconds: float) -> None:
        if ok:
            self.last_seconds = seconds

    def asked_to_wait(self, seconds: float) -> None:
        return

    def close(self) -> None:
        return


class SystemHost(GuardedHost):
    """The host of a registered system. Its state lies in rows that all workers share; close it after use."""

    def __init__(
        self,
        system: System,
        *,
        deadline: Callable[[], float] = forever,
        on_revoked: Callable[[SettingsError], None] = lambda error: None,
        for_check: bool = False,
        versions: Versions | None = None,
    ) -> None:
        super().__init__(system, deadline=deadline, versions=versions)
        self._row = system
        self._owner = threading.get_ident()
        self._thread: ThreadPoolExecutor | None = None
        self._starting = threading.Lock()
        self._permits = Permits(system, self._in_database)
        self._breaker = Breaker(system, self._in_database, always=for_check)
        self._tokens = Tokens(system, self._in_database, deadline=deadline, on_revoked=on_revoked)

    def permit(self, wanted: int = 1) -> tuple[int, float]:
        return self._permits.take(wanted)

    def token(self, fetch: Callable[[str | None], Token], *, stale: str | None = None) -> str:
        return self._tokens.get(fetch, stale=stale)

    def before_request(self) -> None:
        super().before_request()
        self._breaker.before()

    def after_request(self, *, ok: bool, seconds: float) -> None:
        super().after_request(ok=ok, seconds=seconds)
        self._breaker.after(ok=ok)

    def asked_to_wait(self, seconds: float) -> None:
        self._breaker.rest(seconds)

    def close(self) -> None:
        """Give back permits, write down the last answer, and close the connection to the database that this host opened."""
        self._permits.give_back()
        self._breaker.finish()
        if self.last_seconds is not None:
            self._in_database(self._note_answer)
        if self._thread is not None:
            self._thread.submit(lambda: connection.close()).result()  # looked up there: each thread has its own
            self._thread.shutdown()

    def _note_answer(self) -> None:
        # At most every ten seconds, for many workers may speak to one system.
        old = System.objects.filter(Q(last_answer_at=None) | Q(last_answer_at__lt=Now() - TEN_SECONDS), pk=self._row.pk)
        old.update(last_answer_at=Now(), latency_ms=round((self.last_seconds or 0) * 1000))

    def _in_database(self, work: Callable[[], T]) -> T:
        """Run `work` where the database may be used: in the thread that made this host, else in one of its own.

        Connectors call from event loops and from threads that end; neither should hold connections to the database.
        """
        if threading.get_ident() == self._owner and not _in_event_loop():
            return work()
        with self._starting:
            if self._thread is None:
                self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"host-{self._row.slug}")
        return self._thread.submit(contextvars.copy_context().run, work).result()


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
