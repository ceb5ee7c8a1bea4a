"""Templates of paths, queries and bodies, compiled once and filled for each request."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import orjson

_PLACEHOLDER = re.compile(r"\{([A-Za-z_#][\w.\-#]*)\}")
Lookup = Callable[[str], Any]  # placeholder → its value; raises KeyError


NO_SEGMENTS = ("", ".", "..")  # as part of a path they lead to another address (RFC 3986, section 5.2.4), however they are quoted


class TextTemplate:
    """A text with {placeholders}, each filled by the text of its value, quoted where it goes into a path."""

    def __init__(self, text: str, *, quoted: bool = False) -> None:
        self.text, self.quoted = text, quoted
        pieces = _PLACEHOLDER.split(text)
        self._fixed, self.names = pieces[::2], pieces[1::2]

    def fill(self, lookup: Lookup) -> str:
        if not self.names:
            return self.text
        parts = [self._fixed[0]]
        for name, after in zip(self.names, self._fixed[1:], strict=True):
            text = as_text(lookup(name))
            parts += (quote(text, safe="") if self.quoted else text, after)
        return "".join(parts)


class JsonTemplate:
    """A JSON body whose texts may be {placeholders}. One that is a whole text is filled by the value itself, else by its text."""

    def __init__(self, body: Any) -> None:
        self.names: set[str] = set()
        self._pieces: list[bytes | tuple[str, bool]] = []
        self._compile(body)
        self._joined = _join(self._pieces)

    def _compile(self, node: Any) -> None:
        if isinstance(node, Mapping):
            for number, (name, value) in enumerate(node.items()):
                self._pieces.append((b"," if number else b"{") + orjson.dumps(str(name)) + b":")
                self._compile(value)
            self._pieces.append(b"}" if node else b"{}")
        elif isinstance(node, list | tuple):
            for number, value in enumerate(node):
                self._pieces.append(b"," if number else b"[")
                self._compile(value)
            self._pieces.append(b"]" if node else b"[]")
        elif isinstance(node, str) and _PLACEHOLDER.search(node):
            self._compile_text(node)
        else:
            self._pieces.append(orjson.dumps(node))

    def _compile_text(self, text: str) -> None:
        if whole := _PLACEHOLDER.fullmatch(text):
            self.names.add(whole[1])
            self._pieces.append((whole[1], True))
            return
        self._pieces.append(b'"')
        for number, piece in enumerate(_PLACEHOLDER.split(text)):
            if number % 2:
                self.names.add(piece)
                self._pieces.append((piece, False))
            else:
                self._pieces.append(orjson.dumps(piece)[1:-1])
        self._pieces.append(b'"')

    def fill(self, lookup: Lookup) -> bytes:
        return b"".join(
            [
                piece if isinstance(piece, bytes) else _json(lookup(piece[0])) if piece[1] else orjson.dumps(as_text(lookup(piece[0])))[1:-1]
                for piece in self._joined
            ]
        )


class Ready(bytes):
    """JSON that is written already."""


def _json(value: Any) -> bytes:
    return value if isinstance(value, Ready) else orjson.dumps(value)


def _join(pieces: list[bytes | tuple[str, bool]]) -> list[bytes | tuple[str, bool]]:
    joined: list[bytes | tuple[str, bool]] = []
    for piece in pieces:
        if isinstance(piece, bytes) and joined and isinstance(joined[-1], bytes):
            joined[-1] += piece
        else:
            joined.append(piece)
    return joined


def as_text(value: Any) -> str:
    """A value as it stands in a path or query."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return ""
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, bytes):
        return value.decode()
    text = orjson.dumps(value).decode()
    return text.strip('"') if text.startswith('"') else text
