from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from integration_hub.accounts.actor import NOBODY, Actor


class ActorMiddleware:
    """Gives every request its actor, `request.actor`: the signed-in person, or nobody."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        user = request.user
        request.actor = Actor.of(user) if user.is_authenticated else NOBODY  # type: ignore[attr-defined]
        return self.get_response(request)
