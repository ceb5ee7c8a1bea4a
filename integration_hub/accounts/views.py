from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _


def locked_out(request: HttpRequest, *more: Any) -> HttpResponse:
    """The answer to too many wrong passwords (AXES_LOCKOUT_CALLABLE)."""
    sentence = _("There were five wrong passwords in a row for this name: the door stays shut for it for 15 minutes.")
    context = {"title": _("Too many tries"), "sentence": sentence, "next": None, "status": 429, "hub_page": True, "site_title": "Integration Hub"}
    return render(request, "hub/error_outside.html", context, status=429)
