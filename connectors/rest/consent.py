"""The Connect button: a person agrees in the system itself before it can be spoken to (OAuth 2, authorization code)."""

from __future__ import annotations

from connectors.base import Host, SettingsError, Token, _
from connectors.rest.auth import authorization_url, exchange_code
from connectors.rest.client import Client
from connectors.rest.settings import Auth, OAuthAuthorizationCode


class AsksPerson:
    """What a connector over HTTP offers for it, by its authentication settings."""

    auth: Auth
    client: Client
    host: Host

    @property
    def is_connected_by_person(self) -> bool:
        """A person has to agree in the system itself before it can be spoken to."""
        return isinstance(self.auth, OAuthAuthorizationCode)

    def authorization_url(self, *, redirect_uri: str, state: str, code_challenge: str) -> str:
        """Where to send that person; the system sends them back to `redirect_uri` with `state` and a code."""
        return authorization_url(self._consent(), redirect_uri=redirect_uri, state=state, code_challenge=code_challenge)

    def exchange_code(self, *, code: str, redirect_uri: str, code_verifier: str) -> Token:
        """The tokens for the code that came back, for the host to keep. Raises ConnectorError."""
        return self.client.run(exchange_code(self.client, self._consent(), code=code, redirect_uri=redirect_uri, code_verifier=code_verifier))

    def _consent(self) -> OAuthAuthorizationCode:
        if not isinstance(self.auth, OAuthAuthorizationCode):
            raise SettingsError(_("{system} is not connected by a person's consent; there is nothing to connect."), system=self.host.system)
        return self.auth
