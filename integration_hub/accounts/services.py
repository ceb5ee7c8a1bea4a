"""What can be done to people and to API tokens."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from integration_hub.accounts.actor import Actor
from integration_hub.accounts.models import Token, User
from integration_hub.accounts.roles import PERMISSIONS, Role
from integration_hub.core.registry import recorders

KEY_PREFIX = "hub_"
PREFERENCES = ("language", "mail_failed_runs", "mail_decisions", "mail_system_down")
PROFILE = ("first_name", "last_name", "email", *PREFERENCES)


# --- tokens -----------------------------------------------------------------------------------------------------------


def create_token(*, name: str, scopes: Iterable[str], by: Actor, expires_at: datetime | None = None) -> tuple[Token, str]:
    """(the token, its key): the key is shown once and kept nowhere. It may do what `scopes` name and its owner may do, whichever is less."""
    by.require("tokens.own")
    if by.user_id is None or by.kind != "person":
        raise ValidationError(_("Only a person can make a token."))
    wanted = sorted(set(scopes))
    if unknown := [scope for scope in wanted if scope not in PERMISSIONS]:
        raise ValidationError({"scopes": _("There is no permission {names}.").format(names=", ".join(unknown))})
    if beyond := [scope for scope in wanted if not by.allows(scope)]:
        raise ValidationError({"scopes": _("Your own role does not allow {names}.").format(names=", ".join(beyond))})
    if not wanted:
        raise ValidationError({"scopes": _("Choose at least one permission.")})
    if expires_at is not None and expires_at <= timezone.now():
        raise ValidationError({"expires_at": _("The end must lie in the future.")})
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    token = Token(user_id=by.user_id, name=name.strip(), prefix=key[:10], key_hash=hash_key(key), scopes=wanted, expires_at=expires_at)
    token.full_clean(exclude=["last_used_at", "revoked_at"])
    with transaction.atomic():
        token.save()
        _record("token.created", token, by=by, changes={"scopes": ["", ", ".join(wanted)], "expires_at": ["", str(expires_at or "")]})
    return token, key


def revoke_token(token: Token, *, by: Actor) -> None:
    """One's own, or as an administrator anyone's. From now on it opens nothing."""
    if token.user_id != by.user_id:
        by.require("accounts.change", token)
    by.require("tokens.own", token)
    with transaction.atomic():
        if Token.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now()):
            _record("token.revoked", token, by=by)


def find_token(key: str) -> Token | None:
    """The live token with this key."""
    if not key.startswith(KEY_PREFIX) or len(key) > 100:
        return None
    return Token.objects.live().select_related("user").filter(key_hash=hash_key(key)).first()


def hash_key(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


# --- people -----------------------------------------------------------------------------------------------------------


def create_person(*, username: str, role: str, password: str, by: Actor, **profile: Any) -> User:
    """Raises ValidationError by field."""
    by.require("accounts.change")
    person = User(username=username.strip(), role=role, is_staff=True)
    _set_profile(person, profile)
    _refuse(problems_of(person, password=password))
    person.set_password(password)
    with transaction.atomic():
        person.save()
        _record("person.created", person, by=by, changes={"role": ["", role]})
    return person


def change_person(
    person: User, *, by: Actor, role: str | None = None, is_active: bool | None = None, password: str | None = None, **profile: Any
) -> User:
    """Change what a person may do and how they are reached. The last administrator stays one. A password ends their other sessions."""
    by.require("accounts.change", person)
    with transaction.atomic():
        # All administrators are locked, lest two of them take the role from each other at once.
        list(User.objects.select_for_update().filter(role=Role.ADMINISTRATOR).values_list("pk"))
        person = User.objects.select_for_update().get(pk=person.pk)
        before = _state(person)
        person.role = role if role is not None else person.role
        person.is_active = is_active if is_active is not None else person.is_active
        _set_profile(person, profile)
        _refuse(problems_of(person, password=password or None))
        if password:
            person.set_password(password)
        _keep_an_administrator(person)
        person.save()
        changes = {name: [before[name], value] for name, value in _state(person).items() if value != before[name]}
        if password:
            changes["password"] = ["", "changed"]
        if changes:
            _record("person.changed", person, by=by, changes=changes)
    return person


def change_profile(person: User, *, by: Actor, **profile: Any) -> User:
    """What everyone may change of themselves: name, address, language, e-mails."""
    if by.kind != "person" or by.user_id != person.pk:
        by.require("accounts.change", person)
    before = _state(person)
    _set_profile(person, profile)
    person.full_clean()
    changes = {name: [before[name], value] for name, value in _state(person).items() if value != before[name]}
    with transaction.atomic():
        person.save(update_fields=list(PROFILE))
        if changes:
            _record("person.changed", person, by=by, changes=changes)
    return person


def change_password(person: User, *, old: str, new: str, by: Actor) -> None:
    """One's own. Ends every session but keeps tokens, which are revoked one by one."""
    if by.kind != "person" or by.user_id != person.pk:
        raise ValidationError(_("Only the person themselves can do this."))
    _refuse(problems_of_passwords(person, old=old, new=new))
    with transaction.atomic():
        person.set_password(new)
        person.save(update_fields=["password"])
        _record("person.changed", person, by=by, changes={"password": ["", "changed"]})


def problems_of(person: User, *, password: str | None = None) -> dict[str, list[str]]:
    """What is wrong with a person who is to be saved, and with the password they are to get, by field."""
    problems: dict[str, list[str]] = {}
    try:
        person.full_clean(exclude=["last_login", "password"])
    except ValidationError as error:
        problems = error.message_dict
    if password is not None and (said := _problems_of_password(password, person)):
        problems["password"] = said
    return problems


def problems_of_passwords(person: User, *, old: str, new: str) -> dict[str, list[str]]:
    """What stands against changing the old password into the new one, by field."""
    problems: dict[str, list[str]] = {}
    if not person.check_password(old):
        problems["old_password"] = [_("The old password is not right.")]
    if said := _problems_of_password(new, person):
        problems["new_password"] = said
    return problems


def _refuse(problems: dict[str, list[str]]) -> None:
    if problems:
        raise ValidationError(problems)


def _set_profile(person: User, profile: dict[str, Any]) -> None:
    if unknown := set(profile) - set(PROFILE):
        raise TypeError(f"no part of a profile: {', '.join(sorted(unknown))}")
    for name, value in profile.items():
        setattr(person, name, value)


def _problems_of_password(password: str, person: User) -> list[str]:
    try:
        validate_password(password, person)
    except ValidationError as error:
        return error.messages
    return []


def _keep_an_administrator(person: User) -> None:
    is_one = person.role == Role.ADMINISTRATOR and person.is_active
    if not is_one and not User.objects.filter(role=Role.ADMINISTRATOR, is_active=True).exclude(pk=person.pk).exists():
        raise ValidationError(_("{name} is the last administrator. Make somebody else one first.").format(name=person))


def _state(person: User) -> dict[str, Any]:
    return {name: getattr(person, name) for name in ("role", "is_active", *PROFILE)}


def _record(event: str, subject: Any, **more: Any) -> None:
    """Accounts lie below the audit log, and reach it through the registry."""
    recorders["audit"](event, subject, **more)
