"""A field whose value lies encrypted in the database and opens only where `reveal()` is written."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from django.core.exceptions import FieldError
from django.db import models
from django.db.models.lookups import IsNull
from django.db.models.query_utils import DeferredAttribute

from integration_hub.core.crypto import keyring

_CIPHERTEXT = re.compile(r"[A-Za-z0-9_-]{1,32}:gAAAA[A-Za-z0-9_=-]{95,}")


class Sealed:
    """A JSON value that is encrypted at rest. It says nothing of itself in logs, templates or error pages; `reveal()` opens it.

    Decrypted only when revealed: a key that is lost makes one credential unusable, never a list of systems.
    """

    __slots__ = ("ciphertext",)

    def __init__(self, ciphertext: str) -> None:
        self.ciphertext = ciphertext

    @classmethod
    def of(cls, value: Any) -> Sealed:
        return cls(keyring().encrypt(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()))

    def reveal(self) -> Any:
        """The value. Raises CannotDecrypt."""
        return json.loads(keyring().decrypt(self.ciphertext))

    def __repr__(self) -> str:
        return "<sealed>"

    def __reduce__(self) -> tuple[type[Sealed], tuple[str]]:
        return Sealed, (self.ciphertext,)


if TYPE_CHECKING:
    _TextField = models.TextField[Any, Any]  # reads as Sealed
else:
    _TextField = models.TextField


class _SealingAttribute(DeferredAttribute):
    """What is assigned to the field is sealed at once, so that no plain secret lies on a model instance."""

    def __set__(self, instance: models.Model, value: Any) -> None:
        instance.__dict__[self.field.attname] = self.field.to_python(value)


class EncryptedJSONField(_TextField):
    """JSON, encrypted at rest with a key id. Reads as a `Sealed`; cannot be searched, and leaves the database (dumpdata) only as ciphertext."""

    _pyi_private_set_type: Any
    _pyi_private_get_type: Any
    descriptor_class = _SealingAttribute

    def __init__(self, *args: Any, **options: Any) -> None:
        options.setdefault("editable", False)
        super().__init__(*args, **options)

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Sealed | None:
        return None if value is None else Sealed(value)

    def to_python(self, value: Any) -> Any:
        if value is None or isinstance(value, Sealed | models.expressions.DatabaseDefault):
            return value
        if isinstance(value, str) and _CIPHERTEXT.fullmatch(value):  # from a dump
            return Sealed(value)
        return Sealed.of(value)

    def get_prep_value(self, value: Any) -> str | None:
        sealed = self.to_python(value)
        return None if sealed is None else sealed.ciphertext

    def value_to_string(self, obj: models.Model) -> str | None:  # type: ignore[override]
        return self.get_prep_value(self.value_from_object(obj))

    def get_lookup(self, lookup_name: str) -> Any:
        if lookup_name in _LOOKUPS:
            return _LOOKUPS[lookup_name]
        raise FieldError(f"{self.name} is encrypted and cannot be searched.")

    def get_transform(self, lookup_name: str) -> None:
        raise FieldError(f"{self.name} is encrypted and cannot be searched.")


class _SealedAs(models.Lookup):
    """The stored ciphertext is this one: for replacing it only if nobody else has."""

    lookup_name = "sealed_as"
    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        left, parameters = self.process_lhs(compiler, connection)
        return f"{left} = %s", [*parameters, self.rhs]

    def get_db_prep_lookup(self, value: Any, connection: Any) -> tuple[str, Any]:
        return "%s", [value]


_LOOKUPS = {"isnull": IsNull, "sealed_as": _SealedAs}


def encrypted_fields() -> list[EncryptedJSONField]:
    """Every encrypted field of every installed model."""
    from django.apps import apps

    return [field for model in apps.get_models() for field in model._meta.concrete_fields if isinstance(field, EncryptedJSONField)]
