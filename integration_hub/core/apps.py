from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class CoreConfig(AppConfig):
    name = "integration_hub.core"
    label = "core"
    verbose_name = _("Core")

    def ready(self) -> None:
        import integration_hub.celery  # so that tasks sent from the web find our app
        from integration_hub.core import heartbeat, registry

        registry.sweeps.register("forget lost workers", heartbeat.forget_lost)
