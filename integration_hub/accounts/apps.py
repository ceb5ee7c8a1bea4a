from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

EVENTS = {
    "person.created": gettext_noop("added the person {subject}"),
    "person.changed": gettext_noop("changed the person {subject}"),
    "person.signed_in": gettext_noop("signed in"),
    "person.signed_out": gettext_noop("signed out"),
    "person.locked_out": gettext_noop("shut the door for {subject} after wrong passwords"),
    "token.created": gettext_noop("made the API token {subject}"),
    "token.revoked": gettext_noop("revoked the API token {subject}"),
}


class AccountsConfig(AppConfig):
    name = "integration_hub.accounts"
    label = "accounts"
    verbose_name = _("Accounts")

    def ready(self) -> None:
        from integration_hub.accounts import mail, reference
        from integration_hub.core import overview
        from integration_hub.core.help import Topic, topics
        from integration_hub.core.pages import NavEntry, navigation
        from integration_hub.core.registry import event_texts, sweeps

        words = "settings profile password people users roles tokens api"
        navigation.register("settings", NavEntry("control", _("Settings"), "settings", "accounts:profile", order=90, words=words))
        sweeps.register("mails", mail.sweep)
        overview.problems.register("mails", mail.problems)
        for event, text in EVENTS.items():
            event_texts.register(event, text)
        topics.register(
            "roles",
            Topic(
                _("Roles and permissions"),
                _("Who may do what."),
                "help/roles.html",
                "around",
                10,
                context=reference.roles,
                words="role permission rights",
            ),
        )
