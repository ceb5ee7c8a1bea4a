"""One renewal of a token for all workers: under a lease in its row, with no network call inside a transaction.

Providers that rotate refresh tokens burn the whole grant when an old one is used twice, so whoever does not hold the lease waits for the row to
change. What is saved replaces only what the renewal began with, so that a worker that slept through its lease cannot overwrite a newer token.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import F, Q
from django.db.models.functions import Now

from connectors.base import SettingsError, Stopped, SystemBusy, Token, _
from integration_hub.systems.models import Credential, System

log = logging.getLogger(__name__)

MARGIN = 60.0  # seconds before its end a token is renewed; of a short-lived one a quarter of its life


class Tokens:
    """One worker's view of a system's credential. `on_revoked` is told when the system no longer takes the refresh token."""

    def __init__(
        self,
        system: System,
        in_database: Callable[[Callable[[], Any]], Any],
        *,
        deadline: Callable[[], float],
        on_revoked: Callable[[SettingsError], None],
    ) -> None:
        self._system = system
        self._in_database = in_database
        self._deadline = deadline
        self._on_revoked = on_revoked
        self._value: str | None = None
        self._renew_at = float("-inf")  # Unix time

    def get(self, fetch: Callable[[str | None], Token], *, stale: str | None = None) -> str:
        if self._value is not None and self._value != stale and time.time() < self._renew_at:
            return self._value
        give_up = time.monotonic() + 2 * self._system.time_out_seconds
        while True:
            held = self._in_database(lambda: self._read_or_lease(stale))
            if isinstance(held, Credential):
                return self._renew(held, fetch)
            if held:
                return self._value or ""
            if time.monotonic() >= self._deadline():
                raise Stopped(_("The time to work was over while the token of {system} was being renewed."), system=self._system.name)
            if time.monotonic() >= give_up:
                raise SystemBusy(_("The token of {system} is being renewed by another worker."), retry_after=5, system=self._system.name)
            time.sleep(0.1)

    def _read_or_lease(self, stale: str | None) -> Credential | bool:
        """True: there is a good token, in `_value`. A credential: we hold its lease. False: somebody else renews it."""
        row, _created = Credential.objects.get_or_create(system=self._system)
        if self._is_good(row, stale):
            return True
        free = Credential.objects.filter(Q(lease_until=None) | Q(lease_until__lt=Now()), pk=row.pk)
        lease = timedelta(seconds=2 * self._system.time_out_seconds + 30)
        if not free.update(lease_number=F("lease_number") + 1, lease_until=Now() + lease):
            return False
        row.refresh_from_db()  # whoever held the lease until now may have renewed it since we looked
        if self._is_good(row, stale):
            self._release(row)
            return True
        return row

    def _is_good(self, row: Credential, stale: str | None) -> bool:
        """Whether the row holds a token that can be used; it is then kept."""
        if row.sealed is None:
            return False
        self._keep(row.sealed.reveal()["value"], row.obtained_at, row.expires_at)
        return bool(self._value) and self._value != stale and time.time() < self._renew_at

    def _renew(self, row: Credential, fetch: Callable[[str | None], Token]) -> str:
        refresh = row.sealed.reveal().get("refresh") if row.sealed else None
        try:
            token = fetch(refresh)
            self._in_database(lambda: self._save(row, token, token.refresh or refresh))
        except SettingsError as error:
            self._in_database(lambda: self._release(row))
            if refresh is not None:
                self._on_revoked(error)
            raise
        except BaseException:
            self._in_database(lambda: self._release(row))
            raise
        return token.value

    def _save(self, row: Credential, token: Token, refresh: str | None) -> None:
        obtained_at = datetime.now(UTC)
        expires_at = datetime.fromtimestamp(token.expires_at, UTC) if token.expires_at is not None else None
        unchanged = Q(sealed__isnull=True) if row.sealed is None else Q(sealed__sealed_as=row.sealed.ciphertext)
        saved = Credential.objects.filter(unchanged, pk=row.pk).update(
            sealed={"value": token.value, "refresh": refresh}, obtained_at=obtained_at, expires_at=expires_at, lease_until=None
        )
        if not saved:
            log.warning("a token was renewed twice; the other one is kept", extra={"system": self._system.name})
        self._keep(token.value, obtained_at, expires_at)

    def _release(self, row: Credential) -> None:
        Credential.objects.filter(pk=row.pk, lease_number=row.lease_number).update(lease_until=None)

    def _keep(self, value: str, obtained_at: datetime | None, expires_at: datetime | None) -> None:
        self._value = value
        if expires_at is None:
            self._renew_at = float("inf")
            return
        life = (expires_at - (obtained_at or expires_at)).total_seconds()
        self._renew_at = expires_at.timestamp() - min(MARGIN, max(0.0, life) / 4)
