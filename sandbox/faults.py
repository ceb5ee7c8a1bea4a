"""Faults that are ordered. An order names a kind and when it applies; the first order that applies to a request spoils it.

An order: {"kind", "times"? (count; without: until cleared), "probability"?, "skip"? (let so many matching requests pass first), "method"?,
"path"? (part of the path and query)} and what the kind takes. KINDS says what each does.
"""

from __future__ import annotations

import random
import time
from email.utils import formatdate
from typing import Any

from sandbox.http import HTML, Answer, Request

KINDS = {
    "rate_limit": "429; retry_after: seconds, form: seconds | date | none",
    "error": "500",
    "unavailable": "503; retry_after: seconds (optional)",
    "status": "any other status; status: number",
    "expired_token": "the system's own answer to an expired token",
    "login_page": "200 with a page of HTML",
    "slow": "answers after ms milliseconds",
    "cut": "the connection ends in the middle of the body",
    "truncated_json": "a body of the announced length that is half of the JSON",
    "broken_utf8": "JSON with bytes that are no UTF-8",
    "huge": "the body is followed by bytes of blank space; bytes: number",
    "drop_before": "the connection ends before the request is looked at",
    "drop_after": "the connection ends after the request took effect, without an answer",
    "empty": "a listing is empty",
    "duplicate": "a page of a listing holds its last record twice",
    "stuck_page": "the next page of a listing is the same page again",
    "partial": "a bulk write refuses some rows; rows: [numbers], else every third",
}
INSTEAD = {"rate_limit", "error", "unavailable", "status", "expired_token", "login_page"}  # the request is not looked at
INSIDE = {"empty", "duplicate", "stuck_page", "partial"}  # the system itself answers so
LOGIN_PAGE = (
    b"<!doctype html><html><head><title>Sign in</title></head><body><form>Your session has ended. "
    b"<input name=user> <input type=password name=password></form></body></html>"
)


class Faults:
    """The orders standing for one system."""

    def __init__(self) -> None:
        self.orders: list[dict[str, Any]] = []
        self.chance = random.Random(0)
        self.served = 0

    def order(self, order: dict[str, Any]) -> None:
        if order.get("kind") not in KINDS:
            raise ValueError(f"There is no fault {order.get('kind')!r}; there are {', '.join(KINDS)}.")
        self.orders.append(dict(order))

    def clear(self) -> None:
        self.orders.clear()

    def take(self, request: Request) -> dict[str, Any] | None:
        for order in self.orders:
            if self._applies(order, request):
                if order.get("times") is not None:
                    order["times"] -= 1
                    if order["times"] <= 0:
                        self.orders.remove(order)
                self.served += 1
                return order
        return None

    def _applies(self, order: dict[str, Any], request: Request) -> bool:
        if order.get("method", request.method) != request.method or order.get("path", "") not in request.target:
            return False
        if order["kind"] != "expired_token" and not order.get("path") and is_door(request):
            return False
        if order.get("skip", 0) > 0:
            order["skip"] -= 1
            return False
        return self.chance.random() < order.get("probability", 1.0)


def is_door(request: Request) -> bool:
    """Token calls and documents fail only when a fault names their path."""
    return request.parts[:1] in (["gettoken"], ["oauth"], ["openapi.json"])


def instead(fault: dict[str, Any]) -> Answer:
    """The answer that a request gets without being looked at."""
    match fault["kind"]:
        case "login_page":
            return Answer(200, LOGIN_PAGE, [HTML])
        case "rate_limit":
            return Answer(429, b'{"message":"Too many requests"}', [(b"content-type", b"application/json"), *_retry_after(fault, 1)])
        case "unavailable":
            return Answer(503, b"Service unavailable", [(b"content-type", b"text/plain"), *_retry_after(fault, None)])
        case "status":
            return Answer(int(fault.get("status", 500)), b'{"message":"Ordered"}', [(b"content-type", b"application/json")])
    return Answer(500, b"Internal server error", [(b"content-type", b"text/plain")])


def _retry_after(fault: dict[str, Any], default: float | None) -> list[tuple[bytes, bytes]]:
    seconds = fault.get("retry_after", default)
    if seconds is None or fault.get("form") == "none":
        return []
    if fault.get("form") == "date":
        return [(b"retry-after", formatdate(time.time() + seconds, usegmt=True).encode())]
    return [(b"retry-after", str(int(seconds)).encode())]


def spoiled(fault: dict[str, Any], answer: Answer) -> Answer:
    """The answer with its body spoiled."""
    match fault["kind"]:
        case "truncated_json":
            return Answer(answer.status, answer.body[: len(answer.body) // 2], answer.headers)
        case "broken_utf8":
            at = answer.body.find(b'":"') + 3
            return Answer(answer.status, answer.body[:at] + b"\xff\xfe" + answer.body[at:], answer.headers)
        case "huge":
            return Answer(answer.status, answer.body + b" " * int(fault.get("bytes", 50_000_000)), answer.headers)
    return answer
