from __future__ import annotations

from typing import Any

from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from integration_hub.accounts.models import User
from integration_hub.core import texts
from integration_hub.core.rest.input import KnownNames
from integration_hub.core.rest.output import HasFields
from integration_hub.core.rest.views import HubApi
from integration_hub.systems import services
from integration_hub.systems.connection import installed
from integration_hub.systems.models import Entity, HealthCheck, System

Strict = serializers.Serializer[Any]


class OwnerField(serializers.SlugRelatedField[User]):
    """Who looks after it, by user name; null: nobody."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(slug_field="username", queryset=User.objects.filter(is_active=True), allow_null=True, required=False, **kwargs)


class SystemSerializer(KnownNames, serializers.ModelSerializer[System]):
    settings = serializers.DictField(help_text="As the connector's settings schema says. Secrets may be written here and are never read back.")
    error = serializers.CharField(source="error_text", read_only=True)
    owner = OwnerField()

    class Meta:
        model = System
        fields = (
            "id", "name", "slug", "connector", "settings", "read_only", "owner", "notes",
            "requests_per_second", "requests_per_minute", "requests_per_day", "check_interval_seconds", "in_flight", "time_out_seconds",
            "state", "state_since", "error", "last_answer_at", "latency_ms", "maintenance_until", "created_at",
        )  # fmt: skip
        read_only_fields = ("slug", "in_flight", "time_out_seconds", "state", "state_since", "last_answer_at", "latency_ms", "maintenance_until")


class HealthCheckSerializer(serializers.ModelSerializer[HealthCheck]):
    error = serializers.SerializerMethodField()

    class Meta:
        model = HealthCheck
        fields = ("at", "ok", "latency_ms", "error")

    def get_error(self, check: HealthCheck) -> str:
        return texts.render(check.error)


class EffectSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    kind = serializers.CharField()
    breaks = serializers.ListField(child=serializers.CharField())
    goes_on = serializers.ListField(child=serializers.CharField())


class EntitySerializer(serializers.ModelSerializer[Entity]):
    changes_found = serializers.SerializerMethodField(help_text="What accepting the schema that was found would change.")
    effects_found = serializers.SerializerMethodField(help_text="What that means for the mappings and syncs over the entity.")

    class Meta:
        model = Entity
        fields = ("name", "label", "selected", "schema", "changes_found", "effects_found", "is_missing", "found_at", "record_count", "read_last_at")

    def get_changes_found(self, entity: Entity) -> list[str]:
        return [texts.render(change.text) for change in services.changes_found(entity)]

    @extend_schema_field(EffectSerializer(many=True))
    def get_effects_found(self, entity: Entity) -> list[dict[str, Any]]:
        return [EffectSerializer(effect).data for effect in services.effects_found(entity)]


@extend_schema_field({"type": "object", "required": ["system", "entity"], "properties": {"system": {"type": "string"}, "entity": {"type": "string"}}})
class EntityReference(serializers.Field[Entity, dict[str, str], dict[str, str], Any]):
    """An entity as {"system": the system's slug, "entity": its name}; only one that is offered for mappings can be named."""

    def to_representation(self, value: Entity) -> dict[str, str]:
        return {"system": value.system.slug, "entity": value.name}

    def to_internal_value(self, data: Any) -> Entity:
        if not isinstance(data, dict) or not isinstance(data.get("system"), str) or not isinstance(data.get("entity"), str):
            raise serializers.ValidationError(_("Name it as an object with system and entity."))
        found = Entity.objects.selected().filter(system__slug=data["system"], name=data["entity"]).select_related("system").first()
        if found is None:
            raise serializers.ValidationError(_("{system} offers no entity {entity}.").format(**{name: data[name] for name in ("system", "entity")}))
        return found


class ConnectorSerializer(Strict):
    kind = serializers.CharField()
    title = serializers.CharField()
    description = serializers.CharField()
    settings_schema = serializers.DictField(help_text="JSON Schema of the settings.")


class SelectionSerializer(KnownNames, Strict):
    entities = serializers.ListField(child=serializers.CharField(), help_text="Names of exactly the entities that mappings may use.")


class SampleSerializer(HasFields, Strict):
    fields_ = serializers.ListField(child=serializers.CharField())
    rows = serializers.ListField(child=serializers.DictField())
    misfits = serializers.ListField(child=serializers.CharField())
    read_at = serializers.DateTimeField()


class MaintenanceSerializer(KnownNames, Strict):
    until = serializers.DateTimeField(required=False, allow_null=True, default=None)


class SystemViewSet(HubApi, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[System]):
    """Registered external systems."""

    permission = "systems.view"
    permissions = {
        "create": "systems.change", "partial_update": "systems.change", "destroy": "systems.delete", "check": "systems.check",
        "discover": "systems.change", "select": "systems.change", "start_maintenance": "systems.check", "end_maintenance": "systems.check",
    }  # fmt: skip
    serializer_class = SystemSerializer
    queryset = System.objects.none()
    lookup_field = "slug"
    lookup_value_regex = r"[-\w]+"
    order = ("name", "pk")
    filterset_fields = {"name": ["exact", "startswith"], "state": ["exact"], "connector": ["exact"]}

    def get_queryset(self) -> Any:
        return System.objects.visible_to(self.by).select_related("owner")

    def create(self, request: Request) -> Response:
        given = SystemSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        facts = {"owner": User.objects.get(pk=self.by.user_id), **given.validated_data}
        system = services.register_system(by=self.by, **facts)
        return Response(SystemSerializer(system).data, status=status.HTTP_201_CREATED)

    def partial_update(self, request: Request, slug: str) -> Response:
        system = self.get_object()
        given = SystemSerializer(system, data=request.data, partial=True)
        given.is_valid(raise_exception=True)
        if given.validated_data.pop("connector", system.connector) != system.connector:
            raise serializers.ValidationError({"connector": _("A system keeps its connector. Register another system.")})
        return Response(SystemSerializer(services.change_system(system, by=self.by, **given.validated_data)).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, slug: str) -> Response:
        """Refused (409) while anything works with it."""
        services.delete_system(self.get_object(), by=self.by)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses=HealthCheckSerializer)
    @action(detail=True, methods=["post"])
    def check(self, request: Request, slug: str) -> Response:
        """Ask the system now whether it can be spoken to."""
        return Response(HealthCheckSerializer(services.check_system(self.get_object(), by=self.by)).data)

    @extend_schema(responses=HealthCheckSerializer(many=True))
    @action(detail=True)
    def checks(self, request: Request, slug: str) -> Response:
        """Its last hundred checks."""
        return Response(HealthCheckSerializer(self.get_object().checks.order_by("-at")[:100], many=True).data)

    @extend_schema(request=None, responses=EntitySerializer(many=True))
    @action(detail=True, methods=["post"])
    def discover(self, request: Request, slug: str) -> Response:
        """Look what it holds now. What changed waits to be accepted."""
        return Response(EntitySerializer(services.discover_entities(self.get_object(), by=self.by), many=True).data)

    @extend_schema(request=SelectionSerializer, responses=EntitySerializer(many=True))
    @action(detail=True, methods=["post"])
    def select(self, request: Request, slug: str) -> Response:
        """Choose the entities that mappings may use."""
        given = SelectionSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        return Response(EntitySerializer(services.select_entities(self.get_object(), given.validated_data["entities"], by=self.by), many=True).data)

    @extend_schema(request=MaintenanceSerializer, responses=SystemSerializer)
    @action(detail=True, methods=["post"], url_path="start-maintenance")
    def start_maintenance(self, request: Request, slug: str) -> Response:
        given = MaintenanceSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        system = self.get_object()
        services.start_maintenance(system, until=given.validated_data["until"], by=self.by)
        return Response(SystemSerializer(system).data)

    @extend_schema(request=None, responses=SystemSerializer)
    @action(detail=True, methods=["post"], url_path="end-maintenance")
    def end_maintenance(self, request: Request, slug: str) -> Response:
        system = self.get_object()
        services.end_maintenance(system, by=self.by)
        return Response(SystemSerializer(system).data)


class EntityViewSet(HubApi, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Entity]):
    """What a system holds, with the fields the hub works with."""

    permission = "systems.view"
    permissions = {"accept": "systems.change", "sample": "records.view"}
    serializer_class = EntitySerializer
    queryset = Entity.objects.none()
    lookup_field = "name"
    lookup_value_regex = "[^/]+"
    order = ("name", "pk")
    filterset_fields = ("selected",)

    def get_queryset(self) -> Any:
        system = get_object_or_404(System.objects.visible_to(self.by), slug=self.kwargs["slug"])
        return Entity.objects.visible_to(self.by).filter(system=system)

    @extend_schema(request=None, responses=EntitySerializer)
    @action(detail=True, methods=["post"])
    def accept(self, request: Request, slug: str, name: str) -> Response:
        """Work with the schema that was found."""
        return Response(EntitySerializer(services.accept_schema(self.get_object(), by=self.by)).data)

    @extend_schema(responses=SampleSerializer)
    @action(detail=True)
    def sample(self, request: Request, slug: str, name: str) -> Response:
        """Its first records, read now."""
        sample = services.read_sample(self.get_object(), by=self.by)
        misfits = [f"{misfit.field}: {texts.render(misfit.reason)}" for misfit in sample.misfits]
        return Response({"fields": sample.fields, "rows": sample.rows, "misfits": misfits, "read_at": sample.read_at})


class ConnectorsView(HubApi):
    """The kinds of systems that can be registered, each with the JSON Schema of its settings."""

    permission = "systems.view"

    @extend_schema(responses=ConnectorSerializer(many=True))
    def get(self, request: Request) -> Response:
        return Response(
            [{"kind": c.kind, "title": c.title, "description": c.description, "settings_schema": c.Settings.model_json_schema()} for c in installed()]
        )
