"""Encryption at rest under a keyring: every ciphertext names the key that opens it, so that keys can be changed one by one.

CREDENTIAL_KEYS is "id:key,id:key". The first key encrypts, all of them decrypt. A key is a Fernet key or any text of at least 32 characters,
from which one is derived. Cipher: Fernet of `cryptography` (AES-128-CBC with HMAC-SHA256), which notices every altered byte.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext as _

KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")
SHORTEST_KEY = 32
PROVEN = b"integration-hub"


class CannotDecrypt(Exception):
    """What is stored cannot be opened with the keys there are; says which key is missing or that the stored text was altered."""


class Keyring:
    """Keys by id, in the order of CREDENTIAL_KEYS."""

    def __init__(self, text: str) -> None:
        self._keys: dict[str, Fernet] = {}
        for item in filter(None, (part.strip() for part in text.split(","))):
            key_id, _colon, key = item.partition(":")
            if not KEY_ID.fullmatch(key_id) or len(key) < SHORTEST_KEY:
                raise ImproperlyConfigured(
                    f"CREDENTIAL_KEYS must read id:key,id:key with keys of at least {SHORTEST_KEY} characters; entry {len(self._keys) + 1} does not."
                )
            if key_id in self._keys:
                raise ImproperlyConfigured(f"CREDENTIAL_KEYS names the key {key_id} twice.")
            self._keys[key_id] = Fernet(_fernet_key(key))
        if not self._keys:
            raise ImproperlyConfigured("CREDENTIAL_KEYS is empty. Set it to id:key with a long random key.")
        self.first = next(iter(self._keys))

    def encrypt(self, plain: bytes) -> str:
        return f"{self.first}:{self._keys[self.first].encrypt(plain).decode()}"

    def decrypt(self, ciphertext: str) -> bytes:
        """Raises CannotDecrypt."""
        key_id, _colon, token = ciphertext.partition(":")
        if key_id not in self._keys:
            raise CannotDecrypt(_("A credential is encrypted with the key {key}, which CREDENTIAL_KEYS does not hold.").format(key=key_id))
        try:
            return self._keys[key_id].decrypt(token.encode())
        except InvalidToken:
            raise CannotDecrypt(
                _(
                    "A credential cannot be decrypted with the key {key}: the key has another value than it had, or the stored text was altered."
                ).format(key=key_id)
            ) from None

    def proofs(self) -> dict[str, str]:
        """Key id → a known text encrypted with that key: tells later whether a keyring has the same keys, and nothing of the keys."""
        return {key_id: key.encrypt(PROVEN).decode() for key_id, key in self._keys.items()}

    def lacks(self, proofs: Mapping[str, str]) -> list[str]:
        """The ids of the keys that made these proofs and are not here, or have another value here."""
        return [key_id for key_id, proof in proofs.items() if key_id not in self._keys or not _proves(self._keys[key_id], proof)]

    def is_current(self, ciphertext: str) -> bool:
        """Whether it is encrypted with the key that encrypts now."""
        return ciphertext.startswith(f"{self.first}:")


def _proves(key: Fernet, proof: str) -> bool:
    try:
        return key.decrypt(proof.encode()) == PROVEN
    except InvalidToken:
        return False


def keyring() -> Keyring:
    """The keyring of the settings. Raises ImproperlyConfigured."""
    return _keyring(settings.CREDENTIAL_KEYS)


@lru_cache(maxsize=4)
def _keyring(text: str) -> Keyring:
    return Keyring(text)


def _fernet_key(key: str) -> bytes:
    try:
        if len(base64.b64decode(key, altchars=b"-_", validate=True)) == 32:
            return key.encode()
    except (binascii.Error, ValueError):
        pass
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"integration-hub credentials").derive(key.encode())
    return base64.urlsafe_b64encode(derived)
