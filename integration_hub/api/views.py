from django.utils.translation import gettext_lazy as _

from integration_hub.accounts.views import SettingsPage


class ReferencePage(SettingsPage):
    """The API's reference, drawn in the browser from the schema by the Swagger UI that lies with the hub: nothing is fetched from elsewhere."""

    title = _("API reference")
    template_name = "api/reference.html"
