import threading
from functools import partial

import pytest
from django.core.exceptions import ValidationError
from django.urls import reverse

from integration_hub.accounts import services
from integration_hub.accounts.actor import Actor, Forbidden
from integration_hub.accounts.models import User
from integration_hub.audit.models import Entry
from tests.threads import at_once

pytestmark = pytest.mark.django_db
GOOD = "correct horse battery"


def test_an_administrator_makes_a_person_who_can_then_sign_in(administrator, client):
    services.create_person(username="ada", role="operator", password=GOOD, email="ada@example.com", language="zh-hans", by=administrator)

    assert client.post(reverse("admin:login"), {"username": "ada", "password": GOOD}).status_code == 302
    assert [(entry.event, entry.actor_name) for entry in Entry.objects.order_by("pk")] == [
        ("person.created", "administrator"),
        ("person.signed_in", "ada"),
    ]


@pytest.mark.parametrize(
    ("change", "field"),
    [({"password": "short"}, "password"), ({"role": "king"}, "role"), ({"username": "a b"}, "username"), ({"email": "no"}, "email")],
)
def test_a_person_that_makes_no_sense_is_refused(administrator, change, field):
    with pytest.raises(ValidationError) as raised:
        services.create_person(**{"username": "ada", "role": "operator", "password": GOOD, "by": administrator, **change})

    assert field in raised.value.message_dict
    assert not User.objects.filter(username="ada").exists()


def test_all_that_is_wrong_with_a_person_or_their_passwords_is_told_at_once(administrator, client):
    client.force_login(User.objects.get(), backend="django.contrib.auth.backends.ModelBackend")

    def wrong(name, *args, **values):
        return client.post(reverse(name, args=args), values).context["form"].errors

    assert wrong("accounts:add_person", username="a b", email="no", role="king", password="short").keys() == {"username", "email", "role", "password"}
    assert wrong("accounts:person", administrator.user_id, email="no", role="viewer", password="12345678").keys() == {"email", "password"}
    passwords = wrong("accounts:password", old_password="wrong", new_password="short", again="other")
    assert passwords.keys() == {"old_password", "new_password", "again"}
    assert wrong("accounts:password", old_password="", new_password="", again="") == {name: ["This field is required."] for name in passwords}
    assert User.objects.get().check_password(GOOD)


@pytest.mark.parametrize("role", ["integrator", "operator", "approver", "auditor", "viewer"])
def test_nobody_else_changes_people(person, role):
    somebody = person(role)
    by = Actor.of(somebody)

    with pytest.raises(Forbidden):
        services.create_person(username="ada", role="administrator", password=GOOD, by=by)
    with pytest.raises(Forbidden):
        services.change_person(somebody, role="administrator", by=by)


@pytest.mark.parametrize("change", [{"role": "viewer"}, {"is_active": False}])
def test_the_last_administrator_stays_one(administrator, change):
    with pytest.raises(ValidationError, match="administrator is the last administrator"):
        services.change_person(User.objects.get(), by=administrator, **change)


def test_one_of_two_administrators_may_go(administrator, person):
    other = person("administrator", username="other")

    services.change_person(other, role="viewer", by=administrator)

    assert Entry.objects.get(event="person.changed").changes == {"role": ["administrator", "viewer"]}


@pytest.mark.django_db(transaction=True)
def test_two_administrators_cannot_take_the_role_from_each_other_at_once(person):
    people = [person("administrator", username=name) for name in ("ada", "bob")]
    refused, start = [], threading.Barrier(2)

    def demote(who, by):
        try:
            start.wait()
            services.change_person(who, role="viewer", by=Actor.of(by))
        except ValidationError as error:
            refused.append(error)

    at_once(partial(demote, *people), partial(demote, *people[::-1]))

    assert len(refused) == 1
    assert User.objects.filter(role="administrator").count() == 1


def test_everyone_changes_their_own_profile_and_nobody_elses(operator, viewer):
    me, other = User.objects.get(pk=operator.user_id), User.objects.get(pk=viewer.user_id)

    services.change_profile(me, first_name="Ada", mail_failed_runs=True, by=operator)
    with pytest.raises(Forbidden):
        services.change_profile(other, first_name="Eve", by=operator)
    with pytest.raises(TypeError):
        services.change_profile(me, role="administrator", by=operator)


def test_a_password_is_changed_with_the_old_one(operator):
    me = User.objects.get(pk=operator.user_id)

    with pytest.raises(ValidationError, match="old password is not right"):
        services.change_password(me, old="wrong", new="another good one", by=operator)
    services.change_password(me, old=GOOD, new="another good one", by=operator)

    assert User.objects.get(pk=me.pk).check_password("another good one")
    assert "another good one" not in str(list(Entry.objects.values()))


def test_five_wrong_passwords_shut_the_door_with_one_sentence(person, client):
    person("operator")
    wrong = {"username": "operator", "password": "wrong"}

    answers = [client.post(reverse("admin:login"), wrong) for _ in range(5)]
    right = client.post(reverse("admin:login"), {"username": "operator", "password": GOOD})

    assert [answer.status_code for answer in answers[:4]] == [200] * 4
    assert (answers[4].status_code, right.status_code) == (429, 429)
    assert "the door stays shut for it for 15 minutes" in right.content.decode()
    assert Entry.objects.filter(event="person.locked_out").exists()


def test_signing_out_is_in_the_audit_log(person, client):
    client.force_login(person("operator"), backend="django.contrib.auth.backends.ModelBackend")

    client.post(reverse("admin:logout"))

    assert list(Entry.objects.values_list("event", flat=True)) == ["person.signed_in", "person.signed_out"]
