from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SystemsConfig(AppConfig):
    name = "integration_hub.systems"
    label = "systems"
    verbose_name = _("Systems")
