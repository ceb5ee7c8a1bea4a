"""The console's pages: their base view, the navigation that apps register, and the answers to what went wrong.

`core` knows no people: the actor is whatever middleware put on the request, asked only what this module's `Actor` names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.generic import TemplateView, View

from integration_hub.core.parts import Link
from integration_hub.core.registry import Registry

StrOrPromise = Any  # a text, or one translated when it is shown


class Actor(Protocol):
    """What pages ask of the one who looks at them."""

    @property
    def name(self) -> str: ...
    def allows(self, permission: str) -> bool: ...
    def require(self, permission: str, subject: Any = None) -> None: ...


# --- navigation -------------------------------------------------------------------------------------------------------

SECTIONS: dict[str, StrOrPromise] = {
    "overview": "",
    "connections": gettext_lazy("Connections"),
    "syncs": gettext_lazy("Syncs"),
    "events": gettext_lazy("Events"),
    "workflows": gettext_lazy("Workflows"),
    "control": gettext_lazy("Control"),
}


@dataclass(frozen=True)
class Badge:
    """What needs a person, or goes on now; shown beside the entry. `text` is capped ("10,000+"), `state` one of warn, bad, run."""

    text: str
    state: str = "warn"


@dataclass(frozen=True)
class NavEntry:
    """A page in the sidebar. `permission` None: everyone signed in. `badge` is asked on every full page: one cheap, capped query."""

    section: str
    title: StrOrPromise
    icon: str
    url_name: str
    permission: str | None = None
    badge: Callable[[Actor], Badge | None] | None = None
    order: int = 100
    words: str = ""  # other words under which the palette finds it, in English

    @property
    def href(self) -> str:
        return reverse(self.url_name)

    def is_open_to(self, by: Actor) -> bool:
        return self.permission is None or by.allows(self.permission)


navigation: Registry[NavEntry] = Registry("navigation entries")


def entries_for(by: Actor) -> list[tuple[str, NavEntry]]:
    """The entries this actor may see whose page exists, in the order of the sidebar."""
    sections = list(SECTIONS)
    found = [(name, entry) for name, entry in navigation.items() if entry.is_open_to(by) and _resolves(entry.url_name)]
    return sorted(found, key=lambda pair: (sections.index(pair[1].section), pair[1].order))


def _resolves(url_name: str) -> bool:
    try:
        return bool(reverse(url_name))
    except NoReverseMatch:
        return False


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """For UNFOLD["SIDEBAR"]["navigation"]: what exists and this person may see, with the entry of the open page marked."""
    by = actor_of(request)
    entries = entries_for(by)
    here = getattr(request, "hub_nav", None) or _nearest(request.path, entries)
    groups: list[dict[str, Any]] = []
    for section, title in SECTIONS.items():
        items = [_sidebar_item(entry, by, name == here) for name, entry in entries if entry.section == section]
        if items:
            groups.append({"title": str(title), "items": items})
    return groups


def _sidebar_item(entry: NavEntry, by: Actor, here: bool) -> dict[str, Any]:
    badge = entry.badge(by) if entry.badge else None
    item: dict[str, Any] = {"title": str(entry.title), "icon": entry.icon, "link": entry.href, "active": here}
    return item | ({"badge": badge.text, "badge_state": badge.state} if badge else {})


def _nearest(path: str, entries: Sequence[tuple[str, NavEntry]]) -> str | None:
    """The entry with the longest address that begins this path; "/" only for itself."""
    fits = [(len(entry.href), name) for name, entry in entries if path == entry.href or (entry.href != "/" and path.startswith(entry.href))]
    return max(fits)[1] if fits else None


def account_links(request: HttpRequest) -> list[dict[str, Any]]:
    """For UNFOLD["ACCOUNT"]["navigation"]: what the person's menu offers besides theme, language and the way out."""
    links = ((gettext_lazy("Profile"), "accounts:profile"), (gettext_lazy("Change password"), "accounts:password"))
    return [{"title": str(title), "link": reverse(name)} for title, name in links if _resolves(name)]


def environment(request: HttpRequest) -> list[str] | None:
    """For UNFOLD["ENVIRONMENT"]: the label in the head of every page."""
    name = settings.ENVIRONMENT
    return [name, "info" if name.casefold() == "production" else "warning"] if name else None


# --- pages ------------------------------------------------------------------------------------------------------------


def actor_of(request: HttpRequest) -> Any:
    return request.actor  # type: ignore[attr-defined]


class Door(View):
    """Lets in who is signed in and has `permission`. Who may not even see it is told it does not exist, who may not do it that they may not."""

    permission: str | None = None

    @property
    def by(self) -> Any:
        return actor_of(self.request)

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return _sign_in(request)
        if self.permission and not self.by.allows(self.permission):
            if self.permission.endswith(".view"):
                raise Http404
            self.by.require(self.permission)
        return super().dispatch(request, *args, **kwargs)


def _sign_in(request: HttpRequest) -> HttpResponse:
    if request.headers.get("HX-Request"):  # a live part of a page whose session has ended
        shown = urlsplit(request.headers.get("HX-Current-URL", "/"))
        return HttpResponse(status=HTTPStatus.UNAUTHORIZED, headers={"HX-Redirect": redirect_to_login(shown.path, reverse("admin:login")).url})
    if request.method != "GET":  # the address of a button is no page to come back to; the page it was on is
        return redirect_to_login(page_before(request), reverse("admin:login"))
    return redirect_to_login(request.get_full_path(), reverse("admin:login"))


def page_before(request: HttpRequest) -> str:
    """`next` of the form, else the page the button was on, else the overview."""
    for place in (request.POST.get("next"), request.headers.get("Referer")):
        if place and url_has_allowed_host_and_scheme(place, {request.get_host()}, request.is_secure()):
            parts = urlsplit(place)
            return parts.path + (f"?{parts.query}" if parts.query else "") + (f"#{parts.fragment}" if parts.fragment else "")
    return reverse("admin:index")


class HubPage(Door, TemplateView):
    """A page of the console. Give it `permission`, `title` and `crumbs` (or `get_…`), and `template_name`, which extends hub/page.html.

    A request by htmx for a live part gets the same page without the shell around it.
    """

    title: StrOrPromise = ""
    crumbs: Sequence[Link] = ()
    nav: str | None = None  # the entry to mark, where the address does not say it

    def get_title(self) -> str:
        return str(self.title)

    def get_crumbs(self) -> Iterable[Link]:
        return self.crumbs

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        self.request.current_app = admin.site.name
        context = super().get_context_data(**kwargs)
        context |= {"hub_page": True, "by": self.by, "title": self.get_title(), "crumbs": [*self.get_crumbs()]}
        return context | shell_context(self.request, self.nav)


def shell_context(request: HttpRequest, nav: str | None = None) -> dict[str, Any]:
    """What the templates around a page need; almost nothing where htmx asks for a part of it."""
    if request.headers.get("HX-Request"):
        return {"shell": "hub/bare.html"}
    if nav:
        request.hub_nav = nav  # type: ignore[attr-defined]
    return {**admin.site.each_context(request), "shell": "admin/base.html", "hub_page": True}


class HubAction(Door):
    """The receiving end of a button: does one thing, says so, and returns to where the button was. The service checks the permission.

    Implement `act`; what it returns is the message. A refusal (ValidationError, or one of `refusals`) becomes an error message on the same page.
    """

    http_method_names = ["post"]
    refusals: tuple[type[Exception], ...] = ()

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> str | None:
        raise NotImplementedError

    def back(self) -> str:
        """Where to go on."""
        return page_before(self.request)

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        try:
            message = self.act(request, **kwargs)
        except PermissionDenied:
            raise
        except Exception as refusal:
            if not isinstance(refusal, (ValidationError, *self.refusals)):
                raise
            messages.error(request, sentence_of(refusal))
        else:
            if message:
                messages.success(request, message)
        return HttpResponseRedirect(self.back())


def sentence_of(refusal: Exception) -> str:
    """The one sentence an exception has for people."""
    return " ".join(refusal.messages) if isinstance(refusal, ValidationError) else str(refusal)


# --- filters and paging -----------------------------------------------------------------------------------------------


@dataclass
class Filter:
    """One choice above a list, kept in the address. `choices` None: a search field."""

    name: str
    label: StrOrPromise
    choices: Iterable[tuple[str, StrOrPromise]] | None = None
    any: StrOrPromise = field(default_factory=lambda: _("any"))
    value: str = ""
    placeholder: StrOrPromise = ""


MOST_SEARCHED = 500  # characters, as many as a record's key may have


def read_filters(request: HttpRequest, *filters: Filter) -> list[Filter]:
    """Give each filter its value from the address; one that is not among its choices counts as none."""
    for each in filters:
        value = request.GET.get(each.name, "").strip()[:MOST_SEARCHED]
        if each.choices is not None:
            each.choices = [(str(key), label) for key, label in each.choices]
            value = value if value in {key for key, _label in each.choices} else ""
        each.value = value
    return list(filters)


# --- when something went wrong ----------------------------------------------------------------------------------------


def _answer(request: HttpRequest, status: HTTPStatus, title: str, sentence: str, next_step: Link | None = None) -> HttpResponse:
    if request.path.startswith("/api/"):
        problem = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": sentence}
        return JsonResponse(problem, status=status, content_type="application/problem+json")
    context: dict[str, Any] = {"title": title, "sentence": sentence, "next": next_step, "status": status.value, "hub_page": True}
    user = getattr(request, "user", None)
    if user is not None and user.is_authenticated:
        return render(request, "hub/error.html", context | shell_context(request), status=status)
    return render(request, "hub/error_outside.html", context | {"site_title": "Integration Hub"}, status=status)


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _answer(request, HTTPStatus.BAD_REQUEST, _("Not understood"), _("The hub could not read this request. Go back and try it again."))


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    said = str(exception or "")
    return _answer(request, HTTPStatus.FORBIDDEN, _("Not allowed"), said or _("Your role may not do this. Ask an administrator for one that may."))


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    sentence = _("There is nothing at this address, or it is not for your role. It may have been deleted or renamed; the search finds what there is.")
    return _answer(request, HTTPStatus.NOT_FOUND, _("Not found"), sentence)


def server_error(request: HttpRequest) -> HttpResponse:
    """Says sorry without asking the database, which may be what failed."""
    if request.path.startswith("/api/"):
        return _answer(request, HTTPStatus.INTERNAL_SERVER_ERROR, "", _("Something failed inside the hub; its log says why. Try again in a moment."))
    return render(None, "hub/error_inside.html", {"CSP_NONCE": ""}, status=HTTPStatus.INTERNAL_SERVER_ERROR)


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    sentence = _("This form was too old, or cookies are switched off, so nothing was changed. Go back, load the page again and send it once more.")
    return _answer(request, HTTPStatus.FORBIDDEN, _("Send it again"), sentence)
