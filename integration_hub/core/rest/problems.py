"""Every error of the API is a problem as RFC 9457 describes it: what went wrong, where, and with which status."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS, PermissionDenied
from django.core.exceptions import ValidationError as InvalidInput
from django.http import Http404
from django.utils.translation import gettext as _
from rest_framework.exceptions import APIException, NotAuthenticated, ValidationError
from rest_framework.response import Response

from connectors.base import ConnectorError, SystemDown
from integration_hub.core import texts


def add_problems(result: dict[str, Any], **more: Any) -> dict[str, Any]:
    """For the schema: every operation may answer with a problem."""
    fields = {"type": "string", "title": "string", "status": "integer", "detail": "string", "instance": "string"}
    error = {"type": "object", "properties": {"detail": {"type": "string"}, "pointer": {"type": "string"}}}
    result["components"].setdefault("schemas", {})["Problem"] = {
        "type": "object",
        "description": "What the API says when it cannot do what was asked (RFC 9457).",
        "required": ["type", "title", "status", "detail"],
        "properties": {name: {"type": type_} for name, type_ in fields.items()} | {"errors": {"type": "array", "items": error}},
    }
    answer = {"description": "A problem.", "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    for methods in result["paths"].values():
        for operation in methods.values():
            if isinstance(operation, dict) and "responses" in operation:
                operation["responses"].setdefault("default", answer)
    return result


def problem_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Any exception as application/problem+json; None for one that is a fault of the hub, which Django then logs and answers with 500."""
    found = _problem(error)
    if found is None:
        return None
    status, detail, errors = found
    body: dict[str, Any] = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": int(status), "detail": detail}
    body["instance"] = context["request"].path
    if errors:
        body["errors"] = errors
    headers = {}
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if isinstance(error, SystemDown) and error.retry_after:
        headers["Retry-After"] = str(max(1, round(error.retry_after)))
    return Response(body, status=status, headers=headers, content_type="application/problem+json")


def _problem(error: Exception) -> tuple[int, str, list[dict[str, str]]] | None:
    """(status, detail, single errors). An exception of a service may name its own status as `http_status`."""
    status = getattr(error, "http_status", None)
    if isinstance(error, InvalidInput):
        errors = list(_single_errors(error))
        by_field = status is None and any("pointer" in each for each in errors)
        return status or HTTPStatus.BAD_REQUEST, _("The input is not valid.") if by_field else " ".join(error.messages), errors
    if isinstance(error, ValidationError):
        return HTTPStatus.BAD_REQUEST, _("The input is not valid."), list(_from_serializer(error.detail, ""))
    if isinstance(error, Http404):
        return HTTPStatus.NOT_FOUND, _("There is nothing at this address, or it is not for your role."), []
    if isinstance(error, PermissionDenied):
        return HTTPStatus.FORBIDDEN, str(error) or _("Your role may not do this. Ask an administrator for one that may."), []
    if isinstance(error, NotAuthenticated):
        return HTTPStatus.UNAUTHORIZED, _("Send an API token as “Authorization: Bearer …”. Tokens are made under Settings, API tokens."), []
    if isinstance(error, APIException):
        return error.status_code, str(error.detail), []
    if isinstance(error, ConnectorError):
        return HTTPStatus.BAD_GATEWAY, texts.render(error.text), []
    return (status, str(error), []) if status else None


def _single_errors(error: InvalidInput) -> Iterator[dict[str, str]]:
    if not hasattr(error, "error_dict"):
        yield from ({"detail": message} for message in error.messages)
        return
    for name, messages in error.message_dict.items():
        pointer = {} if name == NON_FIELD_ERRORS else {"pointer": "#/" + name.replace(".", "/")}
        yield from ({"detail": message, **pointer} for message in messages)


def _from_serializer(detail: Any, way: str) -> Iterator[dict[str, str]]:
    if isinstance(detail, Mapping):
        for name, part in detail.items():
            yield from _from_serializer(part, way if name == "non_field_errors" else f"{way}/{name}")
    elif isinstance(detail, list) and any(isinstance(part, Mapping | list) for part in detail):
        for number, part in enumerate(detail):
            yield from _from_serializer(part, f"{way}/{number}")
    else:
        for message in detail if isinstance(detail, list) else [detail]:
            yield {"detail": str(message), **({"pointer": f"#{way}"} if way else {})}
