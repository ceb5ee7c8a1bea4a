from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import mixins, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from integration_hub.core import texts
from integration_hub.core.rest.idempotency import idempotent
from integration_hub.core.rest.input import KnownNames
from integration_hub.core.rest.views import HubApi
from integration_hub.syncs import causes, services
from integration_hub.syncs.api.syncs import IDEMPOTENT
from integration_hub.syncs.kept import unpacked_record
from integration_hub.syncs.models import OpenRow, Sync

MOST = 1000  # ids in one request


class AwaitedSerializer(serializers.Serializer[Any]):
    """The record whose link a parked one waits for."""

    system = serializers.CharField()
    entity = serializers.CharField()
    key = serializers.CharField()
    since = serializers.DateTimeField(allow_null=True, help_text="Null: it has waited too long, and is a reject now.")


class RejectSerializer(serializers.ModelSerializer[OpenRow]):
    sync_name = serializers.CharField(source="sync.name", read_only=True)
    reason = serializers.SerializerMethodField()
    is_replaying = serializers.SerializerMethodField(help_text="A replay was asked for and has not come round yet.")

    waits_for = serializers.SerializerMethodField(help_text="What it waits for; it goes on by itself once that is linked.")

    class Meta:
        model = OpenRow
        fields = (
            "id", "sync", "sync_name", "key", "part", "state", "cause", "reason", "field", "step", "value", "run", "tries", "is_replaying", "waits_for",
            "first_at", "last_at", "closed_at", "closed_as", "closed_by", "closed_note",
        )  # fmt: skip
        read_only_fields = fields

    def get_reason(self, row: OpenRow) -> str:
        return texts.render(row.reason)

    @extend_schema_field(AwaitedSerializer(allow_null=True))
    def get_waits_for(self, row: OpenRow) -> dict[str, Any] | None:
        if row.waits_pair is None or row.closed_at is not None:
            return None
        entity = row.waits_pair.side(row.waits_side)
        return {"system": entity.system.name, "entity": entity.name, "key": row.waits_key, "since": row.waits_since}

    def get_is_replaying(self, row: OpenRow) -> bool:
        return row.replay_at is not None and row.closed_at is None


class OneRejectSerializer(RejectSerializer):
    record = serializers.SerializerMethodField(help_text="The source record as it was read.")

    class Meta(RejectSerializer.Meta):
        fields: tuple[str, ...] = (*RejectSerializer.Meta.fields, "record")  # type: ignore[assignment]
        read_only_fields: tuple[str, ...] = fields  # type: ignore[assignment]

    @extend_schema_field(OpenApiTypes.OBJECT)
    def get_record(self, row: OpenRow) -> dict[str, Any]:
        return unpacked_record(bytes(row.record))


class CauseSerializer(serializers.Serializer[Any]):
    """Open rows of one sync that failed alike."""

    sync = serializers.IntegerField()
    cause = serializers.CharField()
    count = serializers.IntegerField(help_text="Stops at 10,001.")
    state = serializers.CharField()
    reason = serializers.CharField(help_text="Of the newest.")
    field = serializers.CharField()
    step = serializers.CharField()
    since = serializers.DateTimeField()
    is_replaying = serializers.BooleanField()


class ChoiceSerializer(KnownNames, serializers.Serializer[Any]):
    """Either `ids`, or `sync` with or without a `cause`."""

    ids = serializers.ListField(child=serializers.IntegerField(), required=False, max_length=MOST)
    sync = serializers.IntegerField(required=False)
    cause = serializers.CharField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("ids" in attrs) == ("sync" in attrs) or ("cause" in attrs and "sync" not in attrs):
            raise serializers.ValidationError(_("Name the rejects by their ids, or a sync with or without a cause."))
        return attrs


class DismissalSerializer(ChoiceSerializer):
    note = serializers.CharField(max_length=2000, help_text="Why these records may be left.")


class CountSerializer(serializers.Serializer[Any]):
    count = serializers.IntegerField()


class RejectViewSet(HubApi, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[OpenRow]):
    """Open rows: the records that runs had to leave, newest first. Closed ones with `?closed_at__isnull=false`."""

    permission = "rejects.view"
    permissions = {"replay": "rejects.resolve", "dismiss": "rejects.resolve"}
    serializer_class = RejectSerializer
    queryset = OpenRow.objects.none()
    lookup_value_regex = r"\d{1,18}"
    order = ("-pk",)
    filterset_fields = {
        "sync": ["exact"], "state": ["exact", "in"], "cause": ["exact"], "run": ["exact"], "key": ["exact"], "field": ["exact"], "closed_at": ["isnull"],
    }  # fmt: skip

    def get_queryset(self) -> Any:
        rows = OpenRow.objects.visible_to(self.by).select_related("sync", "waits_pair__a__system", "waits_pair__b__system")
        if self.action == "retrieve":
            return rows
        rows = rows.defer("record", "source_print")
        return rows if "closed_at__isnull" in self.request.query_params else rows.open()

    @extend_schema(responses=OneRejectSerializer)
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """One of them, with the source record."""
        row = self.get_object()
        self.by.require("records.view", row)
        return Response(OneRejectSerializer(row).data)

    @extend_schema(
        responses=CauseSerializer(many=True), filters=False, parameters=[OpenApiParameter("sync", OpenApiTypes.INT, description="Only of this sync.")]
    )
    @action(detail=False, pagination_class=None, filterset_fields=None)
    def groups(self, request: Request) -> Response:
        """What went wrong, the most frequent first; at most a hundred groups."""
        asked = request.query_params.get("sync", "")
        sync = get_object_or_404(Sync.objects.visible_to(self.by), pk=int(asked) if asked.isdecimal() and len(asked) < 19 else 0) if asked else None
        return Response([_group(cause) for cause in causes.causes_of(sync)[: causes.MOST]])

    @extend_schema(request=ChoiceSerializer, responses=CountSerializer, parameters=[IDEMPOTENT])
    @action(detail=False, methods=["post"], pagination_class=None, filterset_fields=None)
    @idempotent
    def replay(self, request: Request) -> Response:
        """Take these up again now: one, some or a group."""
        given = ChoiceSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        return Response({"count": services.replay_rejects(self._chosen(given.validated_data), by=self.by)})

    @extend_schema(request=DismissalSerializer, responses=CountSerializer)
    @action(detail=False, methods=["post"], pagination_class=None, filterset_fields=None)
    def dismiss(self, request: Request) -> Response:
        """Close these without doing anything about them."""
        given = DismissalSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        return Response({"count": services.dismiss_rejects(self._chosen(given.validated_data), by=self.by, note=given.validated_data["note"])})

    def _chosen(self, asked: dict[str, Any]) -> Any:
        rows = OpenRow.objects.visible_to(self.by).open()
        if "ids" in asked:
            found = rows.filter(pk__in=asked["ids"])
            if found.count() < len(set(asked["ids"])):
                raise ValidationError({"ids": _("Some of these are closed already, or never were.")})
            return found
        sync = get_object_or_404(Sync.objects.visible_to(self.by), pk=asked["sync"])
        rows = rows.filter(sync=sync)
        return rows.filter(cause=asked["cause"]) if "cause" in asked else rows


def _group(cause: causes.Cause) -> dict[str, Any]:
    row = cause.example
    facts = {name: getattr(row, name) for name in ("cause", "state", "field", "step")}
    return {
        **facts,
        "sync": cause.sync_id,
        "count": cause.count,
        "reason": texts.render(row.reason),
        "since": cause.oldest.first_at,
        "is_replaying": cause.is_replayed,
    }
