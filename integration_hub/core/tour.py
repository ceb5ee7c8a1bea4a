"""A short tour for whoever is new: five stops, shown on the overview until it is put away. A cookie of the person remembers that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from integration_hub.core.pages import HubAction, entries_for

YEAR = 365 * 24 * 3600


@dataclass(frozen=True)
class Stop:
    """Somewhere to look at, and what is to be seen there."""

    title: str
    text: str
    href: str


def cookie_of(request: HttpRequest) -> str:
    return f"hub-tour-{request.user.pk}"


def stops_for(by: Any) -> list[Stop]:
    """The stops whose pages exist and are open to this actor."""
    entries = dict(entries_for(by))
    found = (
        (
            "systems",
            _("See who is connected"),
            _("Each system tells its state, its latency and what depends on it. Open one to see its entities and real records."),
        ),
        (
            "mappings",
            _("Follow a record through a mapping"),
            _("Open a mapping: beside each field stands what a real record becomes, step by step. Nothing is lost by trying."),
        ),
        (
            "syncs",
            _("Watch a sync at work"),
            _("Open a sync and press Run now. The page follows the run until it ends; the balance accounts for every record."),
        ),
        (
            "rejects",
            _("Clear what was rejected"),
            _("Records that could not go through wait here by cause, with their reason. Replay them when the cause is gone."),
        ),
        (
            "help",
            _("Make your own"),
            _("First steps leads from two systems to a sync that runs by itself; a dry run shows everything before anything is written."),
        ),
    )
    return [Stop(title, text, entries[name].href) for name, title, text in found if name in entries]


def tour_for(request: HttpRequest, by: Any) -> list[Stop]:
    """The tour, unless this person has put it away."""
    return [] if request.COOKIES.get(cookie_of(request)) else stops_for(by)


class PutAwayTour(HubAction):
    """Hides the tour, or with `again` brings it back."""

    def act(self, request: HttpRequest) -> str:
        self.again = "again" in request.POST
        return _("The tour stands on the overview again.") if self.again else _("The tour is put away. It stays under Help.")

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        response = super().post(request, **kwargs)
        if self.again:
            response.delete_cookie(cookie_of(request))
        else:
            response.set_cookie(cookie_of(request), "1", max_age=YEAR, secure=request.is_secure(), httponly=True, samesite="Lax")
        return response

    def back(self) -> str:
        return reverse("admin:index")
