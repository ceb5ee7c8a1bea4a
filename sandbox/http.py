"""One request and one answer, as thin as they can be: the sandbox is the far end of speed measurements and must not be what is measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode

import orjson

Headers = Sequence[tuple[bytes, bytes]]
JSON = (b"content-type", b"application/json")
HTML = (b"content-type", b"text/html; charset=utf-8")


class NotJson(Exception):
    """The body of a request is not JSON."""


class Request:
    """What was asked. `path` is as it was sent (signatures cover it), `parts` what stands behind the system's prefix, unquoted;
    `what` is said by whoever serves it, for the log; `fault` by the faults."""

    __slots__ = ("_query", "body", "fault", "headers", "method", "parts", "path", "raw_query", "scheme", "what")

    def __init__(self, method: str, path: str, raw_query: bytes, headers: Headers, body: bytes, scheme: str = "http") -> None:
        self.method = method
        self.path = path
        parts = path.split("/")[2:]
        self.parts = [unquote(part) for part in parts] if "%" in path else parts
        self.raw_query = raw_query
        self.headers = headers
        self.body = body
        self.scheme = scheme
        self.what = ""
        self.fault: dict[str, Any] | None = None
        self._query: dict[str, str] | None = None

    @property
    def query(self) -> dict[str, str]:
        if self._query is None:
            self._query = dict(parse_qsl(self.raw_query.decode("latin-1"), keep_blank_values=True)) if self.raw_query else {}
        return self._query

    @property
    def target(self) -> str:
        """Path and query as they came."""
        return f"{self.path}?{self.raw_query.decode('latin-1')}" if self.raw_query else self.path

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{self.header(b'host')}"

    def header(self, name: bytes) -> str:
        """The header's value; "" where it is missing."""
        for key, value in self.headers:
            if key == name:
                return value.decode("latin-1")
        return ""

    def json(self) -> Any:
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise NotJson(str(error)) from None

    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    def url(self, **changed: Any) -> str:
        """This address with some query parameters replaced, or taken out where the value is None."""
        query = {**self.query, **changed}
        return f"{self.origin}{self.path}?{urlencode({k: v for k, v in query.items() if v is not None})}"


class Answer:
    """What is answered."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        self.status = status
        self.body = body
        self.headers = headers


def json_answer(value: Any, status: int = 200, *headers: tuple[bytes, bytes]) -> Answer:
    return Answer(status, orjson.dumps(value), [JSON, *headers])


def html_answer(page: str, status: int = 200) -> Answer:
    return Answer(status, page.encode(), [HTML])
