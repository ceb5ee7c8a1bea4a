from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SystemsConfig(AppConfig):
    name = "integration_hub.systems"
    label = "systems"
    verbose_name = _("Systems")

    def ready(self) -> None:
        from integration_hub.core import overview
        from integration_hub.core.help import Topic, topics
        from integration_hub.core.pages import NavEntry, navigation
        from integration_hub.core.palette import searches
        from integration_hub.core.registry import event_texts, sweeps
        from integration_hub.systems import console, health, reference

        sweeps.register("systems.checks", health.send_due_checks)
        sweeps.register("systems.history", health.prune_history)
        entry = NavEntry(
            "connections", _("Systems"), "dns", "systems:list", "systems.view", badge=console.systems_badge, order=10, words="connections"
        )
        navigation.register("systems", entry)
        searches.register("systems", console.find_systems)
        overview.strip.register("systems", console.strip)
        overview.problems.register("systems", console.problems)
        overview.notes.register("systems", console.notes)
        overview.steps.register("systems", console.steps)
        for event, text in console.EVENTS.items():
            event_texts.register(event, text)
        topics.register(
            "connectors",
            Topic(
                _("Connector settings"),
                _("What can be set for a system, and what it means."),
                "help/connectors.html",
                "reference",
                30,
                context=reference.connectors,
                words="connector rest settings authentication pagination",
            ),
        )
