"""The admin site under which the console lives: open to everyone who can sign in, since roles decide what each may see."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.apps import AdminConfig
from django.http import HttpRequest, HttpResponse
from unfold.sites import UnfoldAdminSite


class HubSite(UnfoldAdminSite):
    final_catch_all_view = False  # what does not exist answers 404, signed in or not
    login_template = "admin/login.html"

    def __init__(self, name: str = "admin") -> None:
        from integration_hub.core.forms import SignInForm  # imports the user model, which is not there yet when the site's module is

        super().__init__(name)
        self.login_form = SignInForm

    def has_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_active)

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        return []  # the sidebar is ours; the list of models would ask for Django's own permissions on every page

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        from integration_hub.core.overview import OverviewPage

        return OverviewPage.as_view()(request)  # type: ignore[return-value]

    def search(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        from integration_hub.core.palette import PalettePage

        return PalettePage.as_view()(request)  # type: ignore[return-value]


class HubAdminConfig(AdminConfig):
    default_site = "integration_hub.core.site.HubSite"

    def ready(self) -> None:
        super().ready()
        from django.contrib import admin
        from django.contrib.auth.models import Group

        admin.site.unregister(Group)  # roles take the place of groups
