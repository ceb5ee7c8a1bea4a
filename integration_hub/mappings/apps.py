from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class MappingsConfig(AppConfig):
    name = "integration_hub.mappings"
    label = "mappings"
    verbose_name = _("Mappings")

    def ready(self) -> None:
        from integration_hub.core.registry import event_texts, uses
        from integration_hub.mappings import audited
        from integration_hub.mappings.uses import mappings_using

        uses.register("mappings", mappings_using)
        for event, text in audited.EVENTS.items():
            event_texts.register(event, text)
