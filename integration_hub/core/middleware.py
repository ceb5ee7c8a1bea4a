from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse

from integration_hub.core import health, logs

log = logging.getLogger("hub.access")
SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

Answer = Callable[[HttpRequest], HttpResponse]


class RequestMiddleware:
    """Gives every request an id, which its log lines and its answer (X-Request-ID) carry, and writes the access log.

    An id that the caller sent is kept where it is harmless to log.
    """

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        sent = request.headers.get("X-Request-ID", "")
        request_id = sent if SANE_ID.fullmatch(sent) else logs.new_id()
        began = time.perf_counter()
        with logs.context(request=request_id):
            response = self.get_response(request)
            milliseconds = round((time.perf_counter() - began) * 1000, 1)
            level = logging.DEBUG if request.path.startswith(("/static/", "/healthz", "/readyz")) else logging.INFO
            log.log(level, "%s %s %s", request.method, request.path, response.status_code, extra={"ms": milliseconds})
        response["X-Request-ID"] = request_id
        return response


class ProxyMiddleware:
    """Behind a proxy, who asks is whom the proxy saw: the last address of X-Forwarded-For. Those before it the caller may have written.

    Without this, all the world would be one address to the lock-out after wrong passwords, and in the audit log.
    """

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        seen = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
        if settings.BEHIND_PROXY and seen:
            with suppress(ValueError):
                request.META["REMOTE_ADDR"] = str(ip_address(seen))
        return self.get_response(request)


class HealthMiddleware:
    """Answers /healthz (this process is alive) and /readyz (it can work) before all else.

    A probe has no session, asks by address rather than by one of ALLOWED_HOSTS, and does not follow the redirect to https.
    """

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path == "/healthz":
            return JsonResponse({"status": "ok"})
        if request.path == "/readyz":
            parts = health.parts()
            return JsonResponse(parts, status=200 if health.is_ready(parts) else 503)
        return self.get_response(request)
