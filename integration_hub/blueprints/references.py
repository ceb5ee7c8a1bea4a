"""Secrets stay out of files: `${ENV:CRM_TOKEN}` stands for the environment variable CRM_TOKEN. `$${ENV:` is the text itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from django.utils.translation import gettext as _

REFERENCE = re.compile(r"(\$?)\$\{ENV:([A-Za-z_][A-Za-z0-9_]*)\}")
WHOLE = re.compile(r"\$\{ENV:[A-Za-z_][A-Za-z0-9_]*\}")
OF_THE_HUB = {"SECRET_KEY", "CREDENTIAL_KEYS", "DATABASE_URL", "BROKER_URL", "EMAIL_URL"}  # a file must not carry the hub's own secrets elsewhere
Path = tuple[str | int, ...]


class NotSet(LookupError):
    """The environment has no such variable, or a file may not ask for it."""

    def __init__(self, variable: str) -> None:
        self.variable = variable
        told = _("{variable} is the hub's own and cannot be used here.") if variable in OF_THE_HUB else _("The environment has no {variable}.")
        super().__init__(told.format(variable=variable))


def resolve(text: str, environ: Mapping[str, str]) -> str:
    """The text with the variables' values in it. Raises NotSet."""

    def value(match: re.Match[str]) -> str:
        escaped, variable = match.groups()
        if escaped:
            return match.group()[1:]
        if variable in OF_THE_HUB or not environ.get(variable):
            raise NotSet(variable)
        return environ[variable]

    return REFERENCE.sub(value, text)


def escape(text: str) -> str:
    """Plain text so that it is read back as it is."""
    return REFERENCE.sub(lambda match: f"${match.group()}", text)


def is_reference(text: str) -> bool:
    return WHOLE.fullmatch(text) is not None


def reference(*parts: str) -> str:
    """A reference whose variable is named after these parts."""
    name = re.sub(r"[^A-Z0-9]+", "_", "_".join(parts).upper()).strip("_") or "SECRET"
    return f"${{ENV:{name if not name[0].isdigit() else f'_{name}'}}}"


def texts_in(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Every text inside, with its path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for name, part in value.items():
            yield from texts_in(part, (*path, name))
    elif isinstance(value, list | tuple):
        for number, part in enumerate(value):
            yield from texts_in(part, (*path, number))
