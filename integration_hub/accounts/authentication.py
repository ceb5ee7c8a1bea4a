"""How a program proves who it is: `Authorization: Bearer hub_…`. The console's own session works too, with Django's CSRF protection."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from integration_hub.accounts import services
from integration_hub.accounts.actor import Actor
from integration_hub.accounts.models import Token, User


class BearerToken(BaseAuthentication):
    def authenticate(self, request: Request) -> tuple[User, Token] | None:
        scheme, _space, key = get_authorization_header(request).decode("latin-1").partition(" ")
        if scheme.lower() != "bearer":
            return None
        token = services.find_token(key.strip())
        if token is None:
            raise AuthenticationFailed(_("This token is not known, has expired or was revoked. Make a new one under Settings, API tokens."))
        token.note_use(timezone.now())
        request._request.actor = Actor.of_token(token)  # type: ignore[attr-defined]
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="integration-hub"'


class BearerTokenScheme(OpenApiAuthenticationExtension):
    target_class = BearerToken
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "An API token, made under Settings, API tokens."}
