"""/api/v1: every part registers its views here; what they do lies in the apps."""

from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView
from rest_framework.routers import SimpleRouter

from integration_hub.accounts.api import PersonViewSet, TokenViewSet
from integration_hub.api.views import ReferencePage
from integration_hub.approvals.api import DecisionViewSet
from integration_hub.blueprints.api import ApplyView, ConfigView, DiffView
from integration_hub.mappings.api import MappingViewSet
from integration_hub.syncs.api import GroupViewSet, PairViewSet, RejectViewSet, RunViewSet, SyncViewSet
from integration_hub.systems.api import ConnectorsView, EntityViewSet, SystemViewSet

app_name = "api"

router = SimpleRouter()
router.register("tokens", TokenViewSet)
router.register("people", PersonViewSet)
router.register("systems", SystemViewSet)
router.register(r"systems/(?P<slug>[-\w]+)/entities", EntityViewSet, basename="entity")
router.register("mappings", MappingViewSet)
router.register("syncs", SyncViewSet)
router.register("sync-groups", GroupViewSet, basename="sync-group")
router.register("pairs", PairViewSet)
router.register("runs", RunViewSet)
router.register("rejects", RejectViewSet)
router.register("decisions", DecisionViewSet)

urlpatterns = [
    path("connectors/", ConnectorsView.as_view(), name="connectors"),
    path("config/", ConfigView.as_view(), name="config"),
    path("config/diff/", DiffView.as_view(), name="config_diff"),
    path("config/apply/", ApplyView.as_view(), name="config_apply"),
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("reference/", ReferencePage.as_view(), name="reference"),
    path("", include(router.urls)),
]
