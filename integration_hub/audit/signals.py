"""Sign-ins, which Django and the throttle tell by signals."""

from __future__ import annotations

from typing import Any

from axes.signals import user_locked_out
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.dispatch import receiver
from django.http import HttpRequest

from integration_hub.accounts.actor import Actor
from integration_hub.accounts.models import User
from integration_hub.audit import services


@receiver(user_logged_in)
def signed_in(request: HttpRequest, user: User, **more: Any) -> None:
    services.record("person.signed_in", user, by=Actor.of(user), note=_address(request))


@receiver(user_logged_out)
def signed_out(request: HttpRequest, user: User | None, **more: Any) -> None:
    if user is not None:
        services.record("person.signed_out", user, by=Actor.of(user), note=_address(request))


@receiver(user_locked_out)
def locked_out(request: HttpRequest, username: str | None = None, **more: Any) -> None:
    person = User.objects.filter(username=username).first() if username else None
    if person is not None:  # a guessed name that is nobody's is in the server's log
        services.record("person.locked_out", person, by=Actor.hub(), note=_address(request))


def _address(request: HttpRequest | None) -> str:
    return request.META.get("REMOTE_ADDR", "") if request is not None else ""
