from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop


class AuditConfig(AppConfig):
    name = "integration_hub.audit"
    label = "audit"
    verbose_name = _("Audit log")

    def ready(self) -> None:
        from integration_hub.audit import sealing, services, signals  # noqa: F401  signals: sign-ins are told by Django itself
        from integration_hub.audit.overview import recent_changes
        from integration_hub.core import overview
        from integration_hub.core.registry import event_texts, manifest_parts, recorders, sweeps

        recorders.register("audit", services.record)
        recorders.register("command", services.record_command)
        event_texts.register("hub.backed_up", gettext_noop("made a backup of the hub"))
        event_texts.register("hub.keys_rotated", gettext_noop("re-encrypted the credentials with the first key"))
        event_texts.register("hub.restored", gettext_noop("restored the hub from a backup"))
        sweeps.register("audit log", sealing.sweep)
        manifest_parts.register("audit_head", sealing.head_in)
        overview.changes.register("audit", recent_changes)
