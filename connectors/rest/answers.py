"""An answer's body, opened only as far as it is asked: a page of records is decoded once, by type, not twice."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from connectors.base import BadAnswer, _

ABSENT = msgspec.UNSET
_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])
_exact = msgspec.json.Decoder(float_hook=Decimal)
_lists = msgspec.json.Decoder(list[msgspec.Raw])


Path = str | tuple[str, ...]  # names joined by dots, or the names themselves where one of them has a dot in it


def steps(path: Path) -> Sequence[str]:
    return path if isinstance(path, tuple) else path.split(".") if path else ()


def at(tree: Any, path: Path) -> Any:
    """The value at a path of decoded JSON, or ABSENT."""
    if type(tree) is dict and path in tree and "." not in path:  # the usual case, and millions of times
        return tree[path]
    for name in steps(path):
        if isinstance(tree, Mapping):
            tree = tree.get(name, ABSENT)
        elif isinstance(tree, list) and name.lstrip("-").isdigit() and -len(tree) <= int(name) < len(tree):
            tree = tree[int(name)]
        else:
            return ABSENT
        if tree is ABSENT:
            return ABSENT
    return tree


class Answer:
    """Status, headers and body of one answer. Values are looked up by paths."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes, *, system: str, place: str) -> None:
        self.status, self.headers, self.body = status, headers, body
        self.system, self.place = system, place  # for messages: the place is method and path, never a query
        self._tree: Any = ABSENT

    def value(self, path: Path) -> Any:
        """The decoded value at a path, ABSENT where there is none. Raises BadAnswer if the body is no JSON."""
        if self._tree is not ABSENT:
            return at(self._tree, path)
        raw = self.raw(path)
        if raw is None:
            return at(self.tree(), path)
        try:
            return msgspec.json.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return at(self.tree(), path)

    def raw(self, path: Path) -> bytes | msgspec.Raw | None:
        """The bytes of the value at a path without decoding it; None where that cannot be done (absent, or no strict JSON)."""
        piece: bytes | msgspec.Raw = self.body
        try:
            for name in steps(path):
                if name.isdigit() and bytes(piece[:1] if isinstance(piece, bytes) else memoryview(piece)[:1]) == b"[":
                    piece = _lists.decode(piece)[int(name)]
                else:
                    piece = _objects.decode(piece)[name]
        except (KeyError, IndexError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        return piece

    def tree(self) -> Any:
        """The whole body, decoded with patience: numbers keep their digits, NaN and broken characters are left for the fields to refuse."""
        if self._tree is ABSENT:
            self._tree = self._decode()
        return self._tree

    def _decode(self) -> Any:
        try:
            return _exact.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass
        text = self.text()
        try:
            return _patient.decode(text)
        except RecursionError:
            raise BadAnswer(
                _("{system} answered {place} with JSON that is nested too deeply to read."), system=self.system, place=self.place
            ) from None
        except ValueError as error:
            raise self._not_json(text, error) from None

    def text(self) -> str:
        return self.body.decode(_charset(self.headers), "surrogateescape").removeprefix("\ufeff")

    def _not_json(self, text: str, error: ValueError) -> BadAnswer:
        start = text.lstrip()[:200].lower()
        values: dict[str, Any] = {"system": self.system, "place": self.place}
        if not start:
            return BadAnswer(_("{system} answered {place} with an empty body where JSON was expected."), **values)
        if start.startswith("<"):
            return BadAnswer(
                _("{system} answered {place} with a web page instead of JSON, perhaps a sign-in page. Check its address and credentials."),
                **values,
            )
        if isinstance(error, json.JSONDecodeError) and _ends_early(error, text.rstrip()):
            return BadAnswer(_("{system} answered {place} with JSON that ends in the middle, after {size} bytes."), size=len(self.body), **values)
        position = error.pos if isinstance(error, json.JSONDecodeError) else 0
        return BadAnswer(_("{system} answered {place} with something that is not JSON (at character {position})."), position=position, **values)


def _ends_early(error: json.JSONDecodeError, text: str) -> bool:
    """Whether the text was good up to its end: what is missing stands behind it. A word such as `true` may be cut as well."""
    if error.msg.startswith("Extra data"):
        return False
    return error.msg.startswith("Unterminated string") or error.pos >= len(text) - len("false")


def _charset(headers: Mapping[str, str]) -> str:
    _kind, _sep, rest = headers.get("Content-Type", "").lower().partition("charset=")
    name = rest.split(";")[0].strip(" \"'")
    try:
        "".encode(name or "utf-8")
    except LookupError:
        return "utf-8"
    return name or "utf-8"


def _integer(digits: str) -> int | Decimal:
    return int(digits) if len(digits) < 4000 else Decimal(digits)


def _fraction(digits: str) -> Decimal | float:
    try:
        return Decimal(digits)
    except InvalidOperation:
        return float(digits)


_patient = json.JSONDecoder(parse_float=_fraction, parse_int=_integer, strict=False)
