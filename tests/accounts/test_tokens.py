from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from integration_hub.accounts import services
from integration_hub.accounts.actor import Actor, Forbidden
from integration_hub.accounts.models import Token, User
from integration_hub.accounts.roles import PERMISSION_TEXTS, PERMISSIONS
from integration_hub.audit.models import Entry

pytestmark = pytest.mark.django_db


def make(by, **more):
    return services.create_token(**{"name": "CI", "scopes": ["systems.view"], "by": by, **more})


def test_a_key_is_shown_once_and_kept_as_a_hash(operator):
    token, key = make(operator)

    assert key.startswith("hub_")
    assert len(key) > 40
    assert key not in str(Token.objects.values().get())
    assert key not in str(list(Entry.objects.values()))
    assert services.find_token(key) == token
    assert services.find_token(key + "x") is None


def test_a_token_does_what_its_scopes_and_its_owner_may_do_whichever_is_less(operator):
    token, _key = make(operator, scopes=["systems.view", "systems.check"])
    by = Actor.of_token(token)

    assert by.allows("systems.check")
    assert not by.allows("syncs.run")  # its owner may, it may not
    assert (by.kind, by.name, by.user_id) == ("token", "operator · CI", operator.user_id)

    User.objects.filter(pk=operator.user_id).update(role="viewer")
    token.refresh_from_db()
    assert not Actor.of_token(Token.objects.get()).allows("systems.check")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"scopes": ["systems.fly"]}, "There is no permission systems.fly"),
        ({"scopes": ["accounts.change"]}, "Your own role does not allow accounts.change"),
        ({"scopes": []}, "Choose at least one permission"),
        ({"expires_at": timezone.now() - timedelta(days=1)}, "The end must lie in the future"),
        ({"name": ""}, "cannot be blank"),
    ],
)
def test_a_token_that_makes_no_sense_is_refused(operator, change, sentence):
    with pytest.raises(ValidationError, match=sentence):
        make(operator, **change)


def test_a_token_makes_no_tokens(operator):
    token, _key = make(operator, scopes=["tokens.own"])

    with pytest.raises(ValidationError, match="Only a person"):
        make(Actor.of_token(token))


@pytest.mark.parametrize("end", ["expired", "revoked", "owner switched off"])
def test_a_token_that_ended_opens_nothing(operator, end):
    token, key = make(operator)
    if end == "expired":
        Token.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    elif end == "revoked":
        services.revoke_token(token, by=operator)
    else:
        User.objects.update(is_active=False)

    assert services.find_token(key) is None


def test_only_its_owner_or_an_administrator_revokes_a_token(operator, viewer, administrator):
    token, _key = make(operator)

    with pytest.raises(Forbidden):
        services.revoke_token(token, by=viewer)
    services.revoke_token(token, by=administrator)

    assert Entry.objects.filter(event="token.revoked", actor_name="administrator").exists()


def test_its_use_is_noted_at_most_once_a_minute(operator):
    token, _key = make(operator)
    now = timezone.now()

    token.note_use(now)
    token.refresh_from_db()
    token.note_use(now + timedelta(seconds=30))
    assert Token.objects.get().last_used_at == now
    token.note_use(now + timedelta(seconds=61))
    assert Token.objects.get().last_used_at == now + timedelta(seconds=61)


def test_everyone_sees_their_own_tokens_and_administrators_and_auditors_all(operator, viewer, administrator, auditor):
    make(operator)

    seen = {actor.name: Token.objects.visible_to(actor).count() for actor in (operator, viewer, administrator, auditor)}

    assert seen == {"operator": 1, "viewer": 0, "administrator": 1, "auditor": 1}


def test_every_permission_is_said_in_words():
    assert PERMISSION_TEXTS.keys() == PERMISSIONS.keys()
