"""Who does something: a person, a token, a schedule, a rule, an instance, the hub itself. Every service takes one as `by`."""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied
from django.utils.translation import gettext as _

from integration_hub.accounts.roles import PERMISSION_TEXTS, PERMISSIONS, Role

if TYPE_CHECKING:
    from integration_hub.accounts.models import Token, User


class Forbidden(PermissionDenied):
    """The actor may not do this. Answers 403; what it may not even see answers 404."""


@dataclass(frozen=True, slots=True)
class Actor:
    """`role` None is the hub itself and what it does by itself: it may do all. `scopes` narrows a token to some of its owner's permissions."""

    kind: str
    name: str
    user_id: int | None = None
    role: Role | None = None
    scopes: frozenset[str] | None = None

    @classmethod
    def of(cls, user: User) -> Actor:
        return cls("person", user.get_full_name() or user.username, user.pk, Role(user.role))

    @classmethod
    def of_token(cls, token: Token) -> Actor:
        """The token's owner, narrowed to its scopes; named after both."""
        owner = cls.of(token.user)
        return cls("token", f"{owner.name} · {token.name}", owner.user_id, owner.role, frozenset(token.scopes))

    @classmethod
    def hub(cls) -> Actor:
        return cls("hub", "Integration Hub")

    @classmethod
    def schedule(cls) -> Actor:
        return cls("schedule", "Schedule")

    @classmethod
    def command(cls) -> Actor:
        """Whoever types commands on the hub's own machine: may do all, and is named after the account there."""
        return cls("hub", f"{_account()} (command line)")

    def allows(self, permission: str) -> bool:
        """Whether this actor may do `permission`, a key of PERMISSIONS; an unknown one is a programming error and raises KeyError."""
        roles = PERMISSIONS[permission]
        if self.scopes is not None and permission not in self.scopes:
            return False
        return self.kind in ("hub", "schedule") or self.role in roles

    def require(self, permission: str, subject: Any = None) -> None:
        """Raises Forbidden unless this actor may do `permission` (to `subject`)."""
        if not self.allows(permission):
            named = permission if self.kind == "token" else PERMISSION_TEXTS[permission]  # a token's scopes are known by their names
            raise Forbidden(
                _("{name} may not do this ({permission}). Ask an administrator for a role that may.").format(name=self.name, permission=named)
            )


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's number without a name
        return "unknown"


NOBODY = Actor("person", "", None, None, frozenset())
