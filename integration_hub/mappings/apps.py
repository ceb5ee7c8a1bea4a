from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class MappingsConfig(AppConfig):
    name = "integration_hub.mappings"
    label = "mappings"
    verbose_name = _("Mappings")
