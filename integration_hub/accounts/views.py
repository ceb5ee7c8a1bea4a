from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext

from integration_hub.accounts import mail, services
from integration_hub.accounts.forms import PasswordForm, PersonForm, ProfileForm, TokenForm
from integration_hub.accounts.models import Token, TokenQuerySet, User
from integration_hub.accounts.roles import Role
from integration_hub.core.exports import csv_answer
from integration_hub.core.forms import add_refusal
from integration_hub.core.pages import Door, Filter, HubAction, HubPage, read_filters
from integration_hub.core.paging import key_page
from integration_hub.core.parts import Act, Link

TABS = (
    (gettext_lazy("Profile"), "accounts:profile", None),
    (gettext_lazy("Password"), "accounts:password", None),
    (gettext_lazy("API tokens"), "accounts:tokens", "tokens.own"),
    (gettext_lazy("API reference"), "api:reference", None),
    (gettext_lazy("People"), "accounts:people", "accounts.view"),
)

TOKEN_STATES = (("live", gettext_lazy("Live")), ("expired", gettext_lazy("Expired")), ("revoked", gettext_lazy("Revoked")))
PERSON_STATES = (("active", gettext_lazy("May sign in")), ("off", gettext_lazy("Switched off")))


def locked_out(request: HttpRequest, *more: Any) -> HttpResponse:
    """The answer to too many wrong passwords (AXES_LOCKOUT_CALLABLE)."""
    sentence = _("There were five wrong passwords in a row for this name: the door stays shut for it for 15 minutes.")
    context = {"title": _("Too many tries"), "sentence": sentence, "next": None, "status": 429, "hub_page": True, "site_title": "Integration Hub"}
    return render(request, "hub/error_outside.html", context, status=429)


class SettingsPage(HubPage):
    """A page under Settings, with the tabs of its neighbours."""

    nav = "settings"
    template_name = "accounts/form.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        here = self.request.resolver_match.view_name if self.request.resolver_match else ""
        tabs = [(title, reverse(name), name == here) for title, name, wanted in TABS if wanted is None or self.by.allows(wanted)]
        return super().get_context_data(**{"tabs": tabs, **kwargs})


class ProfilePage(SettingsPage):
    title = gettext_lazy("Profile")

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self.show(ProfileForm(instance=self.me))

    def post(self, request: HttpRequest) -> HttpResponse:
        form = ProfileForm(request.POST, instance=self.me)
        if form.is_valid():
            try:
                services.change_profile(User.objects.get(pk=self.me.pk), by=self.by, **form.cleaned_data)
            except ValidationError as refused:
                add_refusal(form, refused)
            else:
                messages.success(request, _("Saved."))
                return HttpResponseRedirect(reverse("accounts:profile"))
        return self.show(form)

    @property
    def me(self) -> User:
        return get_object_or_404(User, pk=self.by.user_id)

    def show(self, form: ProfileForm) -> HttpResponse:
        about = [(_("User name"), self.me.username), (_("Role"), self.me.get_role_display())]
        return self.render_to_response(self.get_context_data(form=form, submit=_("Save"), about=about))


class PasswordPage(SettingsPage):
    title = gettext_lazy("Password")

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self.render_to_response(self.get_context_data(form=PasswordForm(), submit=_("Change password")))

    def post(self, request: HttpRequest) -> HttpResponse:
        form = PasswordForm(request.POST)
        me = get_object_or_404(User, pk=self.by.user_id)
        if form.is_valid():
            try:
                services.change_password(me, old=form.cleaned_data["old_password"], new=form.cleaned_data["new_password"], by=self.by)
            except ValidationError as refused:
                add_refusal(form, refused)
            else:
                update_session_auth_hash(request, me)
                messages.success(request, _("The password was changed. Other browsers are signed out."))
                return HttpResponseRedirect(reverse("accounts:profile"))
        else:
            old, new = (form.cleaned_data.get(name, "") for name in ("old_password", "new_password"))
            add_refusal(form, ValidationError(services.problems_of_passwords(me, old=old, new=new)))
        return self.render_to_response(self.get_context_data(form=form, submit=_("Change password")))


# --- tokens -----------------------------------------------------------------------------------------------------------


class TokensPage(SettingsPage):
    title = gettext_lazy("API tokens")
    permission = "tokens.own"
    template_name = "accounts/tokens.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        filters, tokens = chosen_tokens(self.request, self.by)
        pager = key_page(tokens, self.request)
        rows = [{"token": token, "revoke": self._revoke(token)} for token in pager.items]
        may_make = self.by.kind == "person"
        add = Act(_("Make a token"), href=reverse("accounts:add_token"), primary=True, icon="add") if may_make else None
        context = {"filters": filters, "export": reverse("accounts:export_tokens"), "pager": pager, "rows": rows, "add": add}
        return super().get_context_data(**kwargs) | context

    def _revoke(self, token: Token) -> Act | None:
        if token.revoked_at or not (token.user_id == self.by.user_id or self.by.allows("accounts.change")):
            return None
        return Act(
            _("Revoke"),
            post=reverse("accounts:revoke_token", args=[token.pk]),
            confirm=_("Revoke the token {name}?").format(name=token.name),
            note=_("Programs that use it are refused from now on. This cannot be taken back."),
            danger=True,
            quiet=True,
        )


def chosen_tokens(request: HttpRequest, by: Any) -> tuple[list[Filter], TokenQuerySet]:
    """The filters of the list, and the tokens that fit them."""
    filters = read_filters(request, Filter("q", _("Name begins with")), Filter("state", _("State"), TOKEN_STATES))
    named, state = (each.value for each in filters)
    tokens = Token.objects.visible_to(by).select_related("user")
    tokens = tokens.filter(name__istartswith=named) if named else tokens
    match state:
        case "live":
            tokens = tokens.live()
        case "expired":
            tokens = tokens.expired()
        case "revoked":
            tokens = tokens.exclude(revoked_at=None)
    return filters, tokens


class TokenExport(Door):
    """The tokens as chosen, newest first, without their keys, which are kept nowhere."""

    permission = "tokens.own"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        _filters, tokens = chosen_tokens(request, self.by)
        head = (
            _("Name"), _("Begins with"), _("Owner"), _("May do"), pgettext("time", "Created"), _("Last used"), _("Ends"), _("Revoked"),
        )  # fmt: skip
        return csv_answer("tokens", head, map(_token_cells, tokens.order_by("-pk").iterator(chunk_size=1_000)))


def _token_cells(token: Token) -> list[Any]:
    times = (token.created_at, token.last_used_at, token.expires_at, token.revoked_at)
    return [token.name, token.prefix, str(token.user), ", ".join(token.scopes), *(moment.isoformat() if moment else "" for moment in times)]


class AddToken(SettingsPage):
    title = gettext_lazy("Make an API token")
    permission = "tokens.own"

    def get_crumbs(self) -> list[Link]:
        return [Link(_("API tokens"), reverse("accounts:tokens"))]

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self.show(TokenForm(by=self.by, initial={"life": "90"}))

    def post(self, request: HttpRequest) -> HttpResponse:
        form = TokenForm(request.POST, by=self.by)
        if form.is_valid():
            said = form.cleaned_data
            try:
                token, key = services.create_token(name=said["name"], scopes=said["scopes"], expires_at=form.expires_at, by=self.by)
            except ValidationError as refused:
                add_refusal(form, refused)
            else:
                self.template_name = "accounts/token_made.html"
                response = self.render_to_response(self.get_context_data(token=token, key=key))
                response["Cache-Control"] = "no-store"
                return response
        return self.show(form)

    def show(self, form: TokenForm) -> HttpResponse:
        return self.render_to_response(self.get_context_data(form=form, submit=_("Make the token"), back=reverse("accounts:tokens"), tabs=()))


class RevokeToken(HubAction):
    def act(self, request: HttpRequest, pk: int) -> str:
        token = get_object_or_404(Token.objects.visible_to(self.by), pk=pk)
        services.revoke_token(token, by=self.by)
        return _("The token {name} opens nothing any more.").format(name=token.name)


# --- people -----------------------------------------------------------------------------------------------------------


class PeoplePage(SettingsPage):
    title = gettext_lazy("People")
    permission = "accounts.view"
    template_name = "accounts/people.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        filters, people = chosen_people(self.request)
        pager = key_page(people, self.request, order=("username", "pk"))
        add = (
            Act(_("Add a person"), href=reverse("accounts:add_person"), primary=True, icon="person_add")
            if self.by.allows("accounts.change")
            else None
        )
        context = {"filters": filters, "export": reverse("accounts:export_people"), "pager": pager, "add": add}
        return super().get_context_data(**kwargs) | context


def chosen_people(request: HttpRequest) -> tuple[list[Filter], QuerySet[User]]:
    """The filters of the list, and the people who fit them."""
    filters = read_filters(
        request, Filter("q", _("Name begins with")), Filter("role", _("Role"), Role.choices), Filter("state", _("State"), PERSON_STATES)
    )
    named, role, state = (each.value for each in filters)
    people = User.objects.all()
    if named:
        people = people.filter(Q(username__istartswith=named) | Q(first_name__istartswith=named) | Q(last_name__istartswith=named))
    people = people.filter(role=role) if role else people
    return filters, people.filter(is_active=state == "active") if state else people


class PeopleExport(Door):
    """The people as chosen, by their user names."""

    permission = "accounts.view"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        _filters, people = chosen_people(request)
        head = (
            _("User name"), pgettext("of a person", "Name"), _("E-mail"), _("Role"), _("Switched off"), _("Signed in last"),
        )  # fmt: skip
        return csv_answer("people", head, map(_person_cells, people.order_by("username", "pk").iterator(chunk_size=1_000)))


def _person_cells(person: User) -> list[Any]:
    signed_in = person.last_login.isoformat() if person.last_login else ""
    return [person.username, person.get_full_name(), person.email, person.get_role_display(), "0" if person.is_active else "1", signed_in]


class AddPerson(SettingsPage):
    title = gettext_lazy("Add a person")
    permission = "accounts.change"

    def get_crumbs(self) -> list[Link]:
        return [Link(_("People"), reverse("accounts:people"))]

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self.show(PersonForm())

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        form = PersonForm(request.POST, instance=self.person())
        if form.is_valid():
            try:
                person = self.save(form.cleaned_data)
            except ValidationError as refused:
                add_refusal(form, refused)
            else:
                messages.success(request, _("{name} was saved.").format(name=person))
                return HttpResponseRedirect(reverse("accounts:people"))
        else:
            add_refusal(form, ValidationError(services.problems_of(form.instance, password=form.cleaned_data.get("password") or None)))
        return self.show(form)

    def person(self) -> User | None:
        return None

    def save(self, said: dict[str, Any]) -> User:
        return services.create_person(by=self.by, **said)

    def show(self, form: PersonForm) -> HttpResponse:
        return self.render_to_response(self.get_context_data(form=form, submit=_("Save"), back=reverse("accounts:people"), tabs=()))


class ChangePerson(AddPerson):
    def get_title(self) -> str:
        return str(self.person())

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self.show(PersonForm(instance=self.person()))

    def person(self) -> User:
        return get_object_or_404(User, pk=self.kwargs["pk"])

    def save(self, said: dict[str, Any]) -> User:
        return services.change_person(self.person(), by=self.by, **said)


class SendMails(HubAction):
    """Tries at once the mails that could not be sent; the overview tells of them."""

    def act(self, request: HttpRequest) -> str:
        count = mail.send_now(by=self.by)
        return ngettext("{n} e-mail is tried again now.", "{n} e-mails are tried again now.", count).format(n=count)
