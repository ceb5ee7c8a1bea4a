from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SystemsConfig(AppConfig):
    name = "integration_hub.systems"
    label = "systems"
    verbose_name = _("Systems")

    def ready(self) -> None:
        from integration_hub.core.registry import sweeps
        from integration_hub.systems import health

        sweeps.register("systems.checks", health.send_due_checks)
        sweeps.register("systems.history", health.prune_history)
