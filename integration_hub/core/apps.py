from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class CoreConfig(AppConfig):
    name = "integration_hub.core"
    label = "core"
    verbose_name = _("Core")

    def ready(self) -> None:
        import integration_hub.celery  # noqa: F401 so that tasks sent from the web find our app
        from integration_hub.core import backups, heartbeat, help, outbox, overview, space
        from integration_hub.core.crypto import keyring
        from integration_hub.core.pages import NavEntry, navigation
        from integration_hub.core.palette import searches
        from integration_hub.core.registry import restored, sweeps
        from integration_hub.core.rest import idempotency

        keyring()  # a wrong CREDENTIAL_KEYS stops the start, not the first use of a credential
        sweeps.register("outbox", outbox.sweep)
        sweeps.register("idempotency keys", idempotency.forget_keys)
        sweeps.register("lost workers", heartbeat.forget_lost)
        restored.register("processes", backups.forget_processes)
        overview.problems.register("space", space.problems)
        navigation.register("overview", NavEntry("overview", _("Overview"), "dashboard", "admin:index", order=0, words="home dashboard start"))
        navigation.register("help", NavEntry("control", _("Help"), "help", "help:index", order=95, words="help manual documentation tour"))
        searches.register("help", help.find_topics)
        help.register_topics()
