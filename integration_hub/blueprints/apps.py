from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class BlueprintsConfig(AppConfig):
    name = "integration_hub.blueprints"
    label = "blueprints"
    verbose_name = _("Configuration")
