"""Launches through the API take effect once, however often they arrive."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus
from typing import Any, TypeVar

from django.core.exceptions import ValidationError as InvalidInput
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from rest_framework.exceptions import APIException
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from integration_hub.core.models import IdempotencyKey

V = TypeVar("V", bound=Callable[..., Response])

KEY_HEADER = "Idempotency-Key"
KEYS_KEPT = timedelta(days=1)


class KeyReused(APIException):
    status_code = HTTPStatus.UNPROCESSABLE_ENTITY


def idempotent(handler: V) -> V:
    """A POST that carries an Idempotency-Key takes effect once: sent again, it gets the first answer again.

    The key, the effect and the answer are committed together, so that there is never one without the others; hence only for what speaks to
    no other system. An answer that is an error is not kept. The same key with another body is refused (422).
    """

    @functools.wraps(handler)
    def once(view: Any, request: Request, *args: Any, **kwargs: Any) -> Response:
        key = request.headers.get(KEY_HEADER, "")
        if not key:
            return handler(view, request, *args, **kwargs)
        if len(key) > 200:
            raise InvalidInput(_("An Idempotency-Key has at most 200 characters."))
        mine = {"owner": f"user {request.actor.user_id}", "key": key}  # type: ignore[attr-defined]
        asked = {"method": request.method, "path": request.path, "body_hash": _hash(request.data)}
        try:
            with transaction.atomic():
                row = IdempotencyKey.objects.create(**mine, **asked)
                response = handler(view, request, *args, **kwargs)
                row.status, row.answer = response.status_code, json.loads(JSONRenderer().render(response.data))
                row.save(update_fields=["status", "answer"])
                return response
        except IntegrityError:
            kept = IdempotencyKey.objects.filter(**mine).first()
            if kept is None:  # it was not the key that was there already
                raise
        if {name: getattr(kept, name) for name in asked} != asked:
            raise KeyReused(_("This Idempotency-Key was used for another request. Use a new one for each launch."))
        return Response(kept.answer, status=kept.status, headers={"Idempotent-Replayed": "true"})

    return once  # type: ignore[return-value]


def forget_keys() -> None:
    """The sweep: keys are kept for a day."""
    old = IdempotencyKey.objects.filter(created_at__lt=timezone.now() - KEYS_KEPT).order_by("created_at").values_list("pk", flat=True)[:500]
    if found := list(old):
        IdempotencyKey.objects.filter(pk__in=found).delete()


def _hash(body: Any) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, default=str).encode()).hexdigest()
