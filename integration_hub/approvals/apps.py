from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop


class ApprovalsConfig(AppConfig):
    name = "integration_hub.approvals"
    label = "approvals"
    verbose_name = _("Decisions")

    def ready(self) -> None:
        from integration_hub.core.registry import event_texts

        event_texts.register("decision.accepted", gettext_noop("accepted {subject}"))
        event_texts.register("decision.refused", gettext_noop("refused {subject}"))
