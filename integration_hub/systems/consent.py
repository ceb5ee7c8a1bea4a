"""Connecting a system that asks a person first (OAuth 2, authorization code with PKCE: RFC 6749, 7636).

Two steps around a visit to the system: `start_consent` says where to go, `finish_consent` takes what came back. Between the two the person's
session holds the state and the verifier, so that an answer is worth something only in the browser that asked.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from connectors.base import Connector, ConnectorError
from integration_hub.accounts.actor import Actor
from integration_hub.audit import services as audit
from integration_hub.systems.connection import connect, connect_unsaved, settings_of
from integration_hub.systems.models import Credential, System

PATIENCE = 900.0  # seconds between the two steps


@dataclass(frozen=True, slots=True)
class Consent:
    """What is kept between the two steps."""

    system: int
    state: str
    verifier: str
    asked_at: float


def asks_a_person(system: System) -> bool:
    """Whether a person has to agree in the system itself before it can be spoken to. False where its settings cannot be read."""
    try:
        with connect_unsaved(system, settings_of(system)) as connector:
            return by_person(connector)
    except ConnectorError:
        return False


def awaits_a_person(system: System) -> bool:
    """Whether that person has not agreed yet."""
    return asks_a_person(system) and not is_connected(system)


def is_connected(system: System) -> bool:
    """Whether a person has ever agreed; the system may have taken it back since."""
    return Credential.objects.filter(system=system, sealed__isnull=False).exists()


def by_person(connector: Connector) -> bool:
    return bool(getattr(connector, "is_connected_by_person", False))


def start_consent(system: System, *, by: Actor) -> tuple[str, dict[str, Any]]:
    """(the address in the system to which the person goes, what the session keeps). Raises ConnectorError."""
    by.require("systems.change", system)
    state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    with connect(system, for_check=True) as connector:
        address = _asking(connector).authorization_url(redirect_uri=return_address(), state=state, code_challenge=challenge)
    return address, asdict(Consent(system.pk, state, verifier, time.time()))


def finish_consent(kept: Mapping[str, Any] | None, answer: Mapping[str, str], *, by: Actor) -> System:
    """Exchange the code that came back for tokens, and keep them. Raises ValidationError with one sentence, or ConnectorError."""
    consent = Consent(**kept) if kept else None
    if consent is None or time.time() - consent.asked_at > PATIENCE or not secrets.compare_digest(consent.state, answer.get("state", "")):
        raise ValidationError(_("This answer belongs to no question of this session, or came too late. Press Connect once more."))
    system = System.objects.visible_to(by).filter(pk=consent.system).first()
    if system is None:
        raise ValidationError(_("The system was deleted meanwhile."))
    by.require("systems.change", system)
    if not answer.get("code"):
        raise ValidationError(_refusal(system, answer))
    with connect(system, for_check=True) as connector:
        token = _asking(connector).exchange_code(code=answer["code"], redirect_uri=return_address(), code_verifier=consent.verifier)
    expires_at = datetime.fromtimestamp(token.expires_at, UTC) if token.expires_at is not None else None
    with transaction.atomic():
        sealed = {"value": token.value, "refresh": token.refresh}
        about = {"sealed": sealed, "obtained_at": timezone.now(), "expires_at": expires_at, "lease_until": None}
        told = {} if is_connected(system) else {"told_state": System.State.UNKNOWN}  # nobody was told that it waits for its first consent
        Credential.objects.update_or_create(system=system, defaults=about)
        waiting = System.objects.filter(pk=system.pk, state=System.State.RECONNECT)
        waiting.update(state=System.State.UNKNOWN, state_since=Now(), **told)
        System.objects.filter(pk=system.pk, next_check_at__isnull=False).update(next_check_at=timezone.now())
        audit.record("system.connected", system, by=by, changes={"credential": ["", "changed"]})
    return system


def return_address() -> str:
    """Where systems send people back to; to be entered there as the redirect URI."""
    return settings.PUBLIC_URL.rstrip("/") + reverse("systems:connected")


def _refusal(system: System, answer: Mapping[str, str]) -> str:
    """Why the system sent the person back without a code (RFC 6749, section 4.1.2.1)."""
    if answer.get("error") == "access_denied":
        return _("{system} was not connected, because access was denied there. Nothing was changed; press Connect to ask again.").format(
            system=system.name
        )
    reason = (answer.get("error_description") or answer.get("error") or "—")[:200]
    return _("{system} was not connected. It said: {reason}. Nothing was changed; correct its settings, or press Connect to ask again.").format(
        system=system.name, reason=reason.rstrip(".")
    )


def _asking(connector: Connector) -> Any:
    if not by_person(connector):
        raise ValidationError(_("{system} is not connected by a person's consent.").format(system=connector.host.system))
    return connector
