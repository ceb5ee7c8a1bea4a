"""Keeps what must stay secret out of every text."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

from pydantic import BaseModel

MASK = "•••"
SHORTEST = 4  # shorter secrets would mask half the language


class Veil:
    """Knows the secrets and hides them wherever they turn up: as they are, quoted for a URL, or in Base64."""

    def __init__(self, settings: BaseModel) -> None:
        self._hidden: set[str] = set()
        for secret in secrets_in(settings):
            self.add(secret)

    def add(self, secret: str) -> None:
        if len(secret) >= SHORTEST:
            self._hidden |= {secret, quote(secret, safe=""), quote_plus(secret), b64encode(secret.encode()).decode().rstrip("=")}

    def hide(self, text: str) -> str:
        for secret in sorted(self._hidden, key=len, reverse=True):
            text = text.replace(secret, MASK)
        return text


def secrets_in(model: BaseModel) -> Iterator[str]:
    """The values of a filled-in form that are marked secret, at any depth."""
    for name, info in type(model).model_fields.items():
        extra = info.json_schema_extra
        value = getattr(model, name)
        if isinstance(extra, Mapping) and extra.get("secret"):
            yield from _texts(value)
        else:
            yield from _inside(value)


def _inside(value: Any) -> Iterator[str]:
    if isinstance(value, BaseModel):
        yield from secrets_in(value)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _inside(each)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
