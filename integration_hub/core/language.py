"""The language of the one who reads: what they chose, else what their browser asks for."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.views.i18n import set_language as set_in_cookie


class LanguageMiddleware:
    """After sign-in the person's own choice counts, on every device. Stands behind the authentication and Django's LocaleMiddleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        chosen = getattr(request.user, "language", "")
        if chosen and translation.check_for_language(chosen):
            translation.activate(chosen)
            request.LANGUAGE_CODE = chosen
        return self.get_response(request)


def set_language(request: HttpRequest) -> HttpResponse:
    """Keep the choice in the browser, and with the person where one is signed in."""
    answer = set_in_cookie(request)
    chosen = request.POST.get("language", "")
    user = request.user
    if user.is_authenticated and hasattr(user, "language") and translation.check_for_language(chosen):
        user.language = chosen
        user.save(update_fields=["language"])
    return answer
