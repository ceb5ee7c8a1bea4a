from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop


class ApprovalsConfig(AppConfig):
    name = "integration_hub.approvals"
    label = "approvals"
    verbose_name = _("Decisions")

    def ready(self) -> None:
        from integration_hub.approvals import overview
        from integration_hub.core import overview as core
        from integration_hub.core.pages import NavEntry, navigation
        from integration_hub.core.registry import event_texts

        event_texts.register("decision.accepted", gettext_noop("accepted {subject}"))
        event_texts.register("decision.refused", gettext_noop("refused {subject}"))
        entry = NavEntry(
            "syncs", _("Decisions"), "front_hand", "decisions:list", "decisions.view", badge=overview.badge, order=25, words="guard withheld approve"
        )
        navigation.register("decisions", entry)
        core.problems.register("decisions", overview.problems)
