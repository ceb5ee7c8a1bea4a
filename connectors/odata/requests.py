"""Requests that write one record each, and many of them within one $batch: in JSON (OData JSON Format 4.01, section 19) or, as older services take it,
in MIME parts (OData Protocol 4.01, section 11.7.7). None depends on another, so each has an outcome of its own.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from email import message_from_bytes, policy
from typing import Any, Protocol

import msgspec
import orjson
from multidict import CIMultiDict

from connectors.base import BadAnswer, _
from connectors.rest.answers import Answer
from connectors.rest.client import Call, Client


@dataclass(frozen=True, slots=True)
class Request:
    """`path` stands behind the service's address."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes | None = None


class Batch(Protocol):
    """One way to write a $batch."""

    def call(self, client: Client, requests: Sequence[Request], headers: dict[str, str]) -> Call: ...

    def answers(self, answer: Answer, requests: Sequence[Request]) -> dict[int, Answer]:
        """The place of a request → its answer; those that were not answered are not in it. Raises BadAnswer."""
        ...


class JsonResponse(msgspec.Struct):
    id: str
    status: int
    headers: dict[str, str] = {}
    body: msgspec.Raw = msgspec.Raw(b"")


class JsonResponses(msgspec.Struct):
    responses: list[JsonResponse]


class JsonBatch:
    def call(self, client: Client, requests: Sequence[Request], headers: dict[str, str]) -> Call:
        listed = [self._listed(number, request) for number, request in enumerate(requests)]
        return client.call("POST", "/$batch", headers={**headers, "Prefer": "continue-on-error"}, body=orjson.dumps({"requests": listed}))

    @staticmethod
    def _listed(number: int, request: Request) -> dict[str, Any]:
        listed: dict[str, Any] = {
            "id": str(number), "method": request.method.lower(), "url": request.path.lstrip("/"), "headers": request.headers,
        }  # fmt: skip
        return listed if request.body is None else {**listed, "body": orjson.Fragment(request.body)}

    def answers(self, answer: Answer, requests: Sequence[Request]) -> dict[int, Answer]:
        try:
            found = msgspec.json.decode(answer.body, type=JsonResponses).responses
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            answer.tree()  # a page of another kind than JSON is told as what it is
            raise _no_batch(answer) from None
        places = {str(number): number for number in range(len(requests))}
        return {
            places[one.id]: _answer(answer, requests[places[one.id]], one.status, one.headers, bytes(one.body)) for one in found if one.id in places
        }


class MultipartBatch:
    def call(self, client: Client, requests: Sequence[Request], headers: dict[str, str]) -> Call:
        boundary = f"batch_{uuid.uuid4()}"
        body = b"".join(b"--" + boundary.encode() + b"\r\n" + self._part(request) + b"\r\n" for request in requests)
        kinds = {"Content-Type": f"multipart/mixed; boundary={boundary}", "Accept": "multipart/mixed", "Prefer": "odata.continue-on-error"}
        return client.call("POST", "/$batch", headers={**headers, **kinds}, body=body + b"--" + boundary.encode() + b"--\r\n")

    @staticmethod
    def _part(request: Request) -> bytes:
        lines = [
            "Content-Type: application/http", "Content-Transfer-Encoding: binary", "",
            f"{request.method} {request.path.lstrip('/')} HTTP/1.1", *(f"{name}: {value}" for name, value in request.headers.items()), "", "",
        ]  # fmt: skip
        return "\r\n".join(lines).encode() + (request.body or b"")

    def answers(self, answer: Answer, requests: Sequence[Request]) -> dict[int, Answer]:
        """Answers come in the order of the requests."""
        kind = answer.headers.get("Content-Type", "")
        if not kind.lower().startswith("multipart/mixed"):
            raise _no_batch(answer)
        whole = message_from_bytes(b"Content-Type: " + kind.encode("latin-1", "replace") + b"\r\n\r\n" + answer.body, policy=policy.HTTP)
        parts = [part.get_payload(decode=True) for part in whole.iter_parts()]
        return {
            number: self._taken(answer, request, part)
            for number, (request, part) in enumerate(zip(requests, parts, strict=False))
            if isinstance(part, bytes)
        }

    @staticmethod
    def _taken(answer: Answer, request: Request, part: bytes) -> Answer:
        first, _line, rest = part.lstrip().partition(b"\n")
        words = first.split()
        if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
            raise _no_batch(answer)
        inner = message_from_bytes(rest, policy=policy.HTTP)
        body = inner.get_payload(decode=True)
        return _answer(answer, request, int(words[1]), dict(inner.items()), body if isinstance(body, bytes) else b"")


def _answer(whole: Answer, request: Request, status: int, headers: dict[str, str], body: bytes) -> Answer:
    return Answer(status, CIMultiDict(headers), body.strip(), system=whole.system, place=f"{request.method} {request.path}")


def _no_batch(answer: Answer) -> BadAnswer:
    return BadAnswer(
        _("{system} answered {place} with something that is no $batch answer. Choose another format under Batches."),
        system=answer.system,
        place=answer.place,
    )
