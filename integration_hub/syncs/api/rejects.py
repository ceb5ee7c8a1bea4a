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

from integration_hub.accounts.models import User
from integration_hub.core import texts
from integration_hub.core.rest.idempotency import idempotent
from integration_hub.core.rest.input import KnownNames
from integration_hub.core.rest.views import HubApi
from integration_hub.syncs import causes, mends, resolving, services
from integration_hub.syncs.api.syncs import IDEMPOTENT
from integration_hub.syncs.kept import unpacked_record
from integration_hub.syncs.models import OpenRow, Sync
from integration_hub.syncs.states import OpenState

MOST = 1000  # ids in one request


class AwaitedSerializer(serializers.Serializer[Any]):
    """The record whose link a parked one waits for."""

    pair = serializers.IntegerField(help_text="Where the link is to be made.")
    side = serializers.CharField(help_text="Of the pair: a or b.")
    system = serializers.CharField()
    entity = serializers.CharField()
    key = serializers.CharField()
    since = serializers.DateTimeField(allow_null=True, help_text="Null: it has waited too long, and is a reject now.")


class RejectSerializer(serializers.ModelSerializer[OpenRow]):
    sync_name = serializers.CharField(source="sync.name", read_only=True)
    reason = serializers.SerializerMethodField()
    is_replaying = serializers.SerializerMethodField(help_text="A replay was asked for and has not come round yet.")

    assigned_to: Any = serializers.SlugRelatedField(slug_field="username", read_only=True, allow_null=True, help_text="Who looks after it.")
    waits_for = serializers.SerializerMethodField(help_text="What it waits for; it goes on by itself once that is linked.")

    class Meta:
        model = OpenRow
        fields = (
            "id", "sync", "sync_name", "key", "part", "state", "cause", "reason", "field", "step", "value", "run", "tries", "is_replaying", "waits_for",
            "assigned_to", "assigned_note", "first_at", "last_at", "closed_at", "closed_as", "closed_by", "closed_note",
        )  # fmt: skip
        read_only_fields = fields

    def get_reason(self, row: OpenRow) -> str:
        return texts.render(row.reason)

    @extend_schema_field(AwaitedSerializer(allow_null=True))
    def get_waits_for(self, row: OpenRow) -> dict[str, Any] | None:
        if row.waits_pair is None or row.closed_at is not None:
            return None
        entity = row.waits_pair.side(row.waits_side)
        return {
            "pair": row.waits_pair_id,
            "side": row.waits_side,
            "system": entity.system.name,
            "entity": entity.name,
            "key": row.waits_key,
            "since": row.waits_since,
        }

    def get_is_replaying(self, row: OpenRow) -> bool:
        return row.replay_at is not None and row.closed_at is None


class OneRejectSerializer(RejectSerializer):
    record = serializers.SerializerMethodField(help_text="The source record as it was read.")
    mended = serializers.SerializerMethodField(help_text="Field → value that is taken instead of the source's, until the record changes there.")

    class Meta(RejectSerializer.Meta):
        fields: tuple[str, ...] = (*RejectSerializer.Meta.fields, "record", "mended")  # type: ignore[assignment]
        read_only_fields: tuple[str, ...] = fields  # type: ignore[assignment]

    @extend_schema_field(OpenApiTypes.OBJECT)
    def get_record(self, row: OpenRow) -> dict[str, Any]:
        return unpacked_record(bytes(row.record))

    @extend_schema_field({"type": "object", "additionalProperties": {"type": "string", "nullable": True}})
    def get_mended(self, row: OpenRow) -> dict[str, str | None]:
        mend = mends.mend_of(row)
        return {field: put for field, (__, put) in mend.values.items()} if mend else {}


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


class MendSerializer(KnownNames, serializers.Serializer[Any]):
    values = serializers.DictField(
        child=serializers.CharField(allow_null=True, allow_blank=True, trim_whitespace=False),
        allow_empty=False,
        help_text="Field of the source → text of the value to take instead; null: no value.",
    )
    note = serializers.CharField(max_length=1_000, required=False, default="", allow_blank=True)


class LinkingSerializer(KnownNames, serializers.Serializer[Any]):
    target_key = serializers.CharField(max_length=500, help_text="Under which the target has the record.")
    note = serializers.CharField(max_length=1_000, required=False, default="", allow_blank=True)


class EntrySerializer(KnownNames, serializers.Serializer[Any]):
    becomes = serializers.CharField(max_length=1_000, help_text="What the value becomes that this record's group was rejected for.")


class AddedSerializer(serializers.Serializer[Any]):
    version = serializers.IntegerField(
        allow_null=True, help_text="Of the mapping; null: only the draft has the entry, for want of the permission to publish."
    )
    in_draft = serializers.BooleanField(help_text="False: the draft has other steps by now, and lacks the entry.")
    count = serializers.IntegerField(help_text="Records that are replayed.")


class AssignmentSerializer(ChoiceSerializer):
    to = serializers.SlugRelatedField(
        slug_field="username", queryset=User.objects.filter(is_active=True), allow_null=True, help_text="A user name; null: nobody."
    )
    note = serializers.CharField(max_length=1_000, required=False, default="", allow_blank=True)


class CountSerializer(serializers.Serializer[Any]):
    count = serializers.IntegerField()


class RejectViewSet(HubApi, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[OpenRow]):
    """Open rows: the records that runs had to leave, newest first. Closed ones with `?closed_at__isnull=false`."""

    permission = "rejects.view"
    permissions = {
        "replay": "rejects.resolve", "dismiss": "rejects.resolve", "assign": "rejects.assign", "mend": "rejects.mend", "forget_mend": "rejects.mend",
        "link": "rejects.resolve", "value_map": "mappings.change",
    }  # fmt: skip
    serializer_class = RejectSerializer
    queryset = OpenRow.objects.none()
    lookup_value_regex = r"\d{1,18}"
    order = ("-pk",)
    filterset_fields = {
        "assigned_to__username": ["exact"], "assigned_to": ["isnull"],
        "sync": ["exact"], "state": ["exact", "in"], "cause": ["exact"], "run": ["exact"], "key": ["exact"], "field": ["exact"], "closed_at": ["isnull"],
    }  # fmt: skip

    def get_queryset(self) -> Any:
        rows = OpenRow.objects.visible_to(self.by).select_related(
            "sync__mapping", "sync__pair__a__system", "sync__pair__b__system", "waits_pair__a__system", "waits_pair__b__system", "assigned_to"
        )
        if self.detail:
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
        """Take these up again now: one, some or a group. What nobody can tell of is taken up only where it is named by ids or its cause, for somebody has
        to see first that the target does not have it."""
        given = ChoiceSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        asked, rows = given.validated_data, self._chosen(given.validated_data)
        if "ids" not in asked and "cause" not in asked:
            rows = rows.exclude(state=OpenState.UNKNOWN)
        return Response({"count": services.replay_rejects(rows, by=self.by)})

    @extend_schema(request=DismissalSerializer, responses=CountSerializer)
    @action(detail=False, methods=["post"], pagination_class=None, filterset_fields=None)
    def dismiss(self, request: Request) -> Response:
        """Close these without doing anything about them."""
        given = DismissalSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        return Response({"count": services.dismiss_rejects(self._chosen(given.validated_data), by=self.by, note=given.validated_data["note"])})

    @extend_schema(request=AssignmentSerializer, responses=CountSerializer)
    @action(detail=False, methods=["post"], pagination_class=None, filterset_fields=None)
    def assign(self, request: Request) -> Response:
        """Say who looks after these."""
        given = AssignmentSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        asked = given.validated_data
        return Response({"count": resolving.assign_rejects(self._chosen(asked), to=asked["to"], by=self.by, note=asked["note"])})

    @extend_schema(request=MendSerializer, responses=OneRejectSerializer)
    @action(detail=True, methods=["post"], pagination_class=None, filterset_fields=None)
    def mend(self, request: Request, pk: str) -> Response:
        """Take these values instead of the source's, by every run until the record changes there, and replay it. Nothing is written to the source."""
        self.by.require("records.view")
        given = MendSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        resolving.mend_reject(self.get_object(), given.validated_data["values"], by=self.by, note=given.validated_data["note"])
        return Response(OneRejectSerializer(self.get_object()).data)

    @extend_schema(request=None, responses=OneRejectSerializer)
    @action(detail=True, methods=["post"], url_path="forget-mend", pagination_class=None, filterset_fields=None)
    def forget_mend(self, request: Request, pk: str) -> Response:
        """Take the values of the source again."""
        self.by.require("records.view")
        resolving.forget_mend(self.get_object(), by=self.by)
        return Response(OneRejectSerializer(self.get_object()).data)

    @extend_schema(request=LinkingSerializer, responses=OneRejectSerializer)
    @action(detail=True, methods=["post"], pagination_class=None, filterset_fields=None)
    def link(self, request: Request, pk: str) -> Response:
        """Say under which key the target has a record of which nobody could tell: both are linked and compared."""
        self.by.require("records.view")
        given = LinkingSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        resolving.link_unknown(self.get_object(), given.validated_data["target_key"], by=self.by, note=given.validated_data["note"])
        return Response(OneRejectSerializer(self.get_object()).data)

    @extend_schema(request=EntrySerializer, responses=AddedSerializer)
    @action(detail=True, methods=["post"], url_path="value-map", pagination_class=None, filterset_fields=None)
    def value_map(self, request: Request, pk: str) -> Response:
        """Say what the value becomes that this record's group was rejected for: a new version of the mapping is published and the group replayed."""
        given = EntrySerializer(data=request.data)
        given.is_valid(raise_exception=True)
        added = resolving.add_to_value_map(self.get_object(), given.validated_data["becomes"], by=self.by)
        return Response({"version": added.version.number if added.version else None, "in_draft": added.in_draft, "count": added.count})

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
