"""All addresses of the hub. Each app lists its own in its urls.py; the console lives in the shell of the admin site, which comes last."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from integration_hub.core.language import set_language

urlpatterns = [
    path("language/", set_language, name="set_language"),
    path("api/v1/", include("integration_hub.api.urls")),
    path("systems/", include("integration_hub.systems.urls")),
    path("mappings/", include("integration_hub.mappings.urls")),
    path("decisions/", include("integration_hub.approvals.urls")),
    path("help/", include("integration_hub.core.help_urls")),
    path("settings/", include("integration_hub.accounts.urls")),
    path("password_change/", RedirectView.as_view(pattern_name="accounts:password")),  # the admin site's own writes no audit entry
    path("", include("integration_hub.syncs.urls")),
    path("", admin.site.urls),
]

handler400 = "integration_hub.core.pages.bad_request"
handler403 = "integration_hub.core.pages.forbidden"
handler404 = "integration_hub.core.pages.not_found"
handler500 = "integration_hub.core.pages.server_error"
