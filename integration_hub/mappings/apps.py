from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class MappingsConfig(AppConfig):
    name = "integration_hub.mappings"
    label = "mappings"
    verbose_name = _("Mappings")

    def ready(self) -> None:
        from integration_hub.core import overview
        from integration_hub.core.help import Topic, topics
        from integration_hub.core.pages import NavEntry, navigation
        from integration_hub.core.palette import searches
        from integration_hub.core.registry import effects, event_texts, uses
        from integration_hub.mappings import audited, console, reference
        from integration_hub.mappings.effects import mappings_touched
        from integration_hub.mappings.uses import mappings_using

        words = "mapping fields transforms formulas transformation"
        navigation.register(
            "mappings", NavEntry("connections", _("Mappings"), "conversion_path", "mappings:list", "mappings.view", order=20, words=words)
        )
        searches.register("mappings", console.find_mappings)
        overview.steps.register("mappings", console.steps)
        uses.register("mappings", mappings_using)
        effects.register("mappings", mappings_touched)
        for event, text in audited.EVENTS.items():
            event_texts.register(event, text)
        topics.register(
            "transforms",
            Topic(
                _("Transforms"),
                _("The steps a mapping may take, with their parameters and examples."),
                "help/transforms.html",
                "reference",
                10,
                context=reference.transforms,
                words="transform step reference mapping",
            ),
        )
