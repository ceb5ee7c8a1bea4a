from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SyncsConfig(AppConfig):
    name = "integration_hub.syncs"
    label = "syncs"
    verbose_name = _("Syncs")

    def ready(self) -> None:
        from integration_hub.core.registry import sweeps
        from integration_hub.syncs import services, stages

        sweeps.register("due syncs", services.start_due_syncs)
        sweeps.register("runs", stages.sweep)
