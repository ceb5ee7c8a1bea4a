"""OAuth 2.0 as the CRM offers it: client credentials, and authorization code with a consent page, PKCE and rotating refresh tokens
(RFC 6749, 7636, 9700).

A refresh token works once. One that comes a second time was stolen or burned by a race, so the whole family of tokens is revoked: connect again.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import html
import secrets
from typing import Any
from urllib.parse import urlencode

from sandbox.http import Answer, Request, html_answer, json_answer
from sandbox.store import Clock, Memory

CODE_SECONDS = 60
CONSENT_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Sandbox CRM: allow access</title>
<body style="font-family:system-ui,sans-serif;max-width:32rem;margin:4rem auto;line-height:1.5">
<h1>Sandbox CRM</h1><p><strong>{client}</strong> asks to read and change accounts, contacts, opportunities and users.</p>
<form method="post" action="authorize">{fields}
<button name="decision" value="allow">Allow</button> <button name="decision" value="deny">Deny</button></form></body></html>"""


class TokenRefused(Exception):
    """An error of the token call, under its name in RFC 6749, section 5.2."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error, self.description, self.status = error, description, status


class OAuth:
    def __init__(self, client_id: str, client_secret: str, memory: Memory, clock: Clock) -> None:
        self.client_id, self.client_secret = client_id, client_secret
        self.memory, self.clock = memory, clock

    def is_valid(self, token: str) -> bool:
        known = self.memory.get(f"access:{token}")
        return known is not None and known["until"] > self.clock.now()

    def expire_all(self) -> int:
        """Make every access token invalid; refresh tokens stay."""
        return self.memory.drop_where(lambda key, _: key.startswith("access:"))

    def revoke_refresh_tokens(self) -> int:
        return self.memory.drop_where(lambda key, _: key.startswith("refresh:"))

    # --- the consent page ---

    def authorize(self, request: Request) -> Answer:
        asked = request.query if request.method == "GET" else request.form()
        if asked.get("client_id") != self.client_id or not asked.get("redirect_uri", "").startswith(("http://", "https://")):
            return html_answer("<h1>Unknown client_id, or no redirect_uri.</h1>", 400)
        if asked.get("response_type") != "code":
            return self._back(asked, error="unsupported_response_type")
        if request.method == "GET":
            kept = ("response_type", "client_id", "redirect_uri", "state", "scope", "code_challenge", "code_challenge_method")
            fields = "".join(f'<input type="hidden" name="{k}" value="{html.escape(asked[k])}">' for k in kept if k in asked)
            return html_answer(CONSENT_PAGE.format(client=html.escape(asked["client_id"]), fields=fields))
        if asked.get("decision") != "allow":
            return self._back(asked, error="access_denied")
        code = secrets.token_urlsafe(24)
        until = self.clock.now() + CODE_SECONDS * 1000
        self.memory.put(f"code:{code}", {"redirect_uri": asked["redirect_uri"], "challenge": asked.get("code_challenge", ""), "until": until})
        return self._back(asked, code=code)

    def _back(self, asked: dict[str, str], **result: str) -> Answer:
        if "state" in asked:
            result["state"] = asked["state"]
        joint = "&" if "?" in asked["redirect_uri"] else "?"
        return Answer(303, b"", [(b"location", (asked["redirect_uri"] + joint + urlencode(result)).encode("latin-1", "replace"))])

    # --- the token call ---

    def token(self, request: Request, seconds: int) -> Answer:
        form = request.form()
        try:
            self._hold_client(request, form)
            answer = self._grant(form, seconds)
        except TokenRefused as refused:
            return json_answer({"error": refused.error, "error_description": refused.description}, refused.status)
        return json_answer(answer, 200, (b"cache-control", b"no-store"))

    def _hold_client(self, request: Request, form: dict[str, str]) -> None:
        """The client's own password, in the Authorization header or in the form."""
        given = form.get("client_id", ""), form.get("client_secret", "")
        if request.header(b"authorization").lower().startswith("basic "):
            given = basic_credentials(request)
        if given != (self.client_id, self.client_secret):
            raise TokenRefused("invalid_client", "Unknown client or wrong secret.", 401)

    def _grant(self, form: dict[str, str], seconds: int) -> dict[str, Any]:
        match form.get("grant_type"):
            case "client_credentials":
                return self._tokens(seconds, family=None)
            case "authorization_code":
                return self._exchange_code(form, seconds)
            case "refresh_token":
                return self._rotate(form.get("refresh_token", ""), seconds)
        raise TokenRefused("unsupported_grant_type", "client_credentials, authorization_code or refresh_token.")

    def _exchange_code(self, form: dict[str, str], seconds: int) -> dict[str, Any]:
        code = form.get("code", "")
        known = self.memory.get(f"code:{code}")
        self.memory.drop(f"code:{code}")
        if known is None or known["until"] < self.clock.now() or known["redirect_uri"] != form.get("redirect_uri"):
            raise TokenRefused("invalid_grant", "The code is unknown, used, expired or of another redirect_uri.")
        if known["challenge"] and known["challenge"] != _challenge(form.get("code_verifier", "")):
            raise TokenRefused("invalid_grant", "The code_verifier does not fit.")
        return self._tokens(seconds, family=secrets.token_urlsafe(9))

    def _rotate(self, refresh: str, seconds: int) -> dict[str, Any]:
        known = self.memory.get(f"refresh:{refresh}")
        if known is None:
            raise TokenRefused("invalid_grant", "The refresh token is unknown or revoked.")
        if known["used"]:
            family = known["family"]
            self.memory.drop_where(lambda _, value: isinstance(value, dict) and value.get("family") == family)
            raise TokenRefused("invalid_grant", "The refresh token was used before; all tokens of this connection are revoked.")
        self.memory.put(f"refresh:{refresh}", {**known, "used": True})
        return self._tokens(seconds, family=known["family"])

    def _tokens(self, seconds: int, family: str | None) -> dict[str, Any]:
        access = secrets.token_urlsafe(24)
        self.memory.put(f"access:{access}", {"until": self.clock.now() + seconds * 1000, "family": family})
        answer = {"access_token": access, "token_type": "Bearer", "expires_in": seconds, "scope": "crm.read crm.write"}
        if family is not None:
            answer["refresh_token"] = secrets.token_urlsafe(24)
            self.memory.put(f"refresh:{answer['refresh_token']}", {"family": family, "used": False})
        return answer


def basic_credentials(request: Request) -> tuple[str, str]:
    """User and password of HTTP basic authentication; empty where there are none."""
    scheme, _, encoded = request.header(b"authorization").partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        user, _, password = base64.b64decode(encoded).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return user, password


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
