from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class CoreConfig(AppConfig):
    name = "integration_hub.core"
    label = "core"
    verbose_name = _("Core")

    def ready(self) -> None:
        from integration_hub.core.pages import NavEntry, navigation

        navigation.register("overview", NavEntry("overview", _("Overview"), "dashboard", "admin:index", order=0, words="home dashboard start"))
