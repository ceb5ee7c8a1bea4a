import pickle
from io import StringIO

import pytest
from cryptography.fernet import Fernet
from django.core import serializers
from django.core.exceptions import FieldError, ImproperlyConfigured
from django.core.management import CommandError, call_command

from integration_hub.audit.models import Entry
from integration_hub.core.crypto import CannotDecrypt, Keyring
from integration_hub.core.fields import Sealed
from integration_hub.systems.models import System

OLD = "old:" + "o" * 40
NEW = "new:" + Fernet.generate_key().decode()


def test_the_first_key_encrypts_and_all_decrypt():
    by_old = Keyring(OLD).encrypt(b"secret")

    both = Keyring(f"{NEW}, {OLD}")

    assert by_old.startswith("old:")
    assert both.encrypt(b"secret").startswith("new:")
    assert both.decrypt(by_old) == b"secret"
    assert both.decrypt(both.encrypt(b"secret")) == b"secret"


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ("", "CREDENTIAL_KEYS is empty. Set it to id:key with a long random key."),
        ("k1:short", "keys of at least 32 characters; entry 1 does not"),
        (f"{OLD},nokey", "entry 2 does not"),
        ("a b:" + "x" * 40, "entry 1 does not"),
        (f"{OLD},{OLD}", "CREDENTIAL_KEYS names the key old twice"),
    ],
)
def test_a_wrong_keyring_is_one_sentence_without_the_key(keys, sentence):
    with pytest.raises(ImproperlyConfigured, match=sentence) as raised:
        Keyring(keys)

    assert "xxxx" not in str(raised.value)
    assert "short" not in str(raised.value).replace("of at least", "")


def test_what_a_missing_or_changed_key_encrypted_says_which_key():
    by_old = Keyring(OLD).encrypt(b"secret")

    with pytest.raises(CannotDecrypt, match="encrypted with the key old, which CREDENTIAL_KEYS does not hold"):
        Keyring(NEW).decrypt(by_old)
    with pytest.raises(CannotDecrypt, match="cannot be decrypted with the key old"):
        Keyring("old:" + "p" * 40).decrypt(by_old)
    with pytest.raises(CannotDecrypt, match="altered"):
        Keyring(OLD).decrypt(by_old[:-4] + "AAAA")


@pytest.fixture
def system(db):
    return System.objects.create(name="CRM", slug="crm", connector="memory", secrets={"password": "hunter2 密码"})


def test_a_secret_is_sealed_from_its_assignment_on_and_opens_only_by_reveal(system):
    assert repr(system.secrets) == str(system.secrets) == "<sealed>"
    assert "hunter2" not in repr(vars(system))

    system.refresh_from_db()

    assert system.secrets.reveal() == {"password": "hunter2 密码"}
    assert repr(system.secrets) == "<sealed>"
    assert pickle.loads(pickle.dumps(system.secrets)).reveal() == {"password": "hunter2 密码"}  # noqa: S301


def test_an_update_seals_too(system):
    System.objects.filter(pk=system.pk).update(secrets={"password": "new"})

    raw = System.objects.extra(select={"raw": "secrets"}).values_list("raw", flat=True).get()

    assert "new" not in raw
    assert raw.startswith("k1:")
    assert System.objects.get().secrets.reveal() == {"password": "new"}


def test_a_dump_holds_ciphertext(system):
    out = StringIO()
    call_command("dumpdata", "systems.system", stdout=out)

    assert "hunter2" not in out.getvalue()
    assert '"secrets": "k1:' in out.getvalue()


def test_a_dump_can_be_loaded_again(system):
    dump = serializers.serialize("json", [system])
    System.objects.all().delete()

    for loaded in serializers.deserialize("json", dump):
        loaded.save()

    assert System.objects.get().secrets.reveal() == {"password": "hunter2 密码"}


@pytest.mark.parametrize("lookup", ["secrets", "secrets__contains", "secrets__password", "secrets__startswith", "secrets__in"])
def test_secrets_cannot_be_searched(system, lookup):
    with pytest.raises(FieldError, match="secrets is encrypted and cannot be searched"):
        System.objects.filter(**{lookup: "x"}).count()


def test_rotation_encrypts_again_what_older_keys_encrypted(system, settings):
    settings.CREDENTIAL_KEYS = f"{NEW},{settings.CREDENTIAL_KEYS}"
    out = StringIO()

    call_command("rotate_keys", "--check", stdout=out)
    call_command("rotate_keys", stdout=out)
    settings.CREDENTIAL_KEYS = NEW

    assert out.getvalue().splitlines() == [
        "1 credentials are still encrypted with older keys.",
        "1 credentials are now encrypted with the key new.",
    ]
    assert System.objects.get().secrets.reveal() == {"password": "hunter2 密码"}
    (entry,) = Entry.objects.all()
    assert (entry.event, entry.changes, entry.note) == ("hub.keys_rotated", {"credentials": ["", 1]}, "new")


def test_rotation_names_what_it_cannot_open_and_leaves_it(system, settings):
    before = system.secrets.ciphertext
    settings.CREDENTIAL_KEYS = NEW
    errors = StringIO()

    with pytest.raises(CommandError, match="1 of 1 credentials could not be decrypted"):
        call_command("rotate_keys", stderr=errors)

    assert not Entry.objects.exists()
    assert f"systems.System {system.pk}: A credential is encrypted with the key k1" in errors.getvalue()
    assert System.objects.get().secrets.ciphertext == before


def test_a_lost_key_does_not_stop_a_list_of_systems(system, settings):
    settings.CREDENTIAL_KEYS = NEW

    (found,) = System.objects.all()

    with pytest.raises(CannotDecrypt):
        found.secrets.reveal()


def test_sealing_twice_never_gives_the_same_text():
    assert Sealed.of("x").ciphertext != Sealed.of("x").ciphertext
