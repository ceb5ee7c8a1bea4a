from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from integration_hub.core.rest.idempotency import KEY_HEADER, idempotent
from integration_hub.core.rest.input import KnownNames
from integration_hub.core.rest.output import HasFields
from integration_hub.core.rest.views import HubApi
from integration_hub.core.templatetags.hub import ABSENT
from integration_hub.mappings.models import Mapping as FieldMapping
from integration_hub.syncs import freshness, guards, services, undo
from integration_hub.syncs.api.plans import UndoingVersionSerializer
from integration_hub.syncs.api.runs import RunSerializer, one_run, plain
from integration_hub.syncs.api.story import StorySerializer, plain_story
from integration_hub.syncs.models import Pair, RecordDrift, Sync, SyncCursor
from integration_hub.syncs.states import Freshness
from integration_hub.syncs.story import story_of
from integration_hub.syncs.trace import Trace, trace_record
from integration_hub.systems.api import EntityReference, OwnerField

IDEMPOTENT = OpenApiParameter(
    KEY_HEADER, str, OpenApiParameter.HEADER, description="Sent again under the same key, the launch has no second effect and gets the first answer."
)


class SyncSerializer(KnownNames, serializers.ModelSerializer[Sync]):
    """`mapping` is the id of a mapping; it says from which entity to which."""

    source = EntityReference(read_only=True)  # type: ignore[assignment]
    target = EntityReference(read_only=True)
    mapping = serializers.PrimaryKeyRelatedField(queryset=FieldMapping.objects.select_related("source", "target"))
    mapping_name = serializers.CharField(source="mapping.name", read_only=True)
    owner = OwnerField()
    after: Any = serializers.PrimaryKeyRelatedField(
        queryset=Sync.objects.all(), many=True, required=False, help_text="Ids of the syncs that it runs after, when both are due."
    )
    standing = serializers.SerializerMethodField(help_text="Whether the target is right, and as new as it should be.")
    behind_seconds = serializers.SerializerMethodField(help_text="How old the target's data may be.")
    open_count = serializers.SerializerMethodField(help_text="Records left open; stops counting at 10,001.")
    last_run = serializers.SerializerMethodField(help_text="Id of its newest run.")

    class Meta:
        model = Sync
        fields = (
            "id", "name", "group", "after", "source", "target", "mapping", "mapping_name", "mode", "filter", "interval_seconds", "crontab", "time_zone",
            "roster_interval_seconds", "roster_crontab", "reconcile_interval_seconds", "reconcile_crontab",
            "lookback_seconds", "compare_first", "deletes", "mark_field", "mark_value", "left_filter", *guards.FIELDS, "parked_days",
            "objective_seconds", "owner", "notes", "standing", "behind_seconds", "open_count", "last_run", "next_due_at", "roster_due_at",
            "roster_read_at", "reconcile_due_at", "paused_at", "last_success_at", "made_at",
        )  # fmt: skip
        read_only_fields = ("next_due_at", "roster_due_at", "roster_read_at", "reconcile_due_at", "paused_at", "last_success_at", "made_at")
        extra_kwargs = {
            "mode": {"required": False},
            "roster_interval_seconds": {"help_text": "How often an incremental sync reads the source's keys alone, to see what is gone."},
            "roster_crontab": {"help_text": "The same by a crontab."},
            "roster_read_at": {"help_text": "When the keys were last read to their end."},
            "reconcile_interval_seconds": {"help_text": "How often both systems are compared field by field."},
            "reconcile_crontab": {"help_text": "The same by a crontab."},
        }

    def _standing(self, sync: Sync) -> freshness.Standing:
        """Worked out for a whole page of a list at once."""
        known = self.context.setdefault("standings", {})  # type: ignore[attr-defined]
        if sync.pk not in known:
            shown: Any = self.parent.instance if isinstance(self.parent, serializers.ListSerializer) else [sync]
            known.update({standing.sync.pk: standing for standing in freshness.standings_of(shown)})
        found: freshness.Standing = known[sync.pk]
        return found

    @extend_schema_field(serializers.ChoiceField(choices=Freshness.choices))
    def get_standing(self, sync: Sync) -> str:
        return str(self._standing(sync).freshness)

    def get_behind_seconds(self, sync: Sync) -> float | None:
        behind = self._standing(sync).behind
        return None if behind is None else round(behind.total_seconds(), 1)

    def get_open_count(self, sync: Sync) -> int:
        return self._standing(sync).open_count

    def get_last_run(self, sync: Sync) -> int | None:
        return next((run.pk for run in self._standing(sync).runs), None)


class LaunchSerializer(KnownNames, serializers.Serializer[Any]):
    dry = serializers.BooleanField(default=False, help_text="Compare only; write nothing.")
    full = serializers.BooleanField(default=False, help_text="Read everything, even where the sync is incremental.")
    reconcile = serializers.BooleanField(default=False, help_text="Compare all of both systems field by field; what differs becomes a plan.")
    keys = serializers.ListField(
        child=serializers.CharField(),
        allow_null=True,
        default=None,
        help_text="Only the source records with these keys, as an event of the source tells them. One that it no longer has is deleted where the sync "
        "follows deletes.",
    )
    keys_only = serializers.BooleanField(default=False, help_text="Only the keys, of all records: to see what is gone.")


class DriftSerializer(serializers.ModelSerializer[RecordDrift]):
    """How far the records of the target had drifted when a reconcile run compared both sides."""

    compared = serializers.SerializerMethodField(help_text="Records of the source that were compared.")
    differing = serializers.IntegerField(help_text="Records of the target that hold something else than was agreed.")
    gone = serializers.IntegerField(help_text="Linked records that the target no longer has.")
    missing = serializers.IntegerField(help_text="Records of the source that never arrived.")
    surplus = serializers.IntegerField(help_text="Records of the target whose source record is deleted, where deletes are followed.")
    due = serializers.IntegerField(help_text="Changed in the source alone, and read by the next run anyway: no drift.")
    changed_fields = serializers.DictField(source="fields", child=serializers.IntegerField(), help_text="Field → of how many differing records.")
    unlinked = serializers.IntegerField(allow_null=True, help_text="Records of the target that no link knows; null: it could not be listed.")
    unlinked_keys = serializers.ListField(child=serializers.CharField(), help_text="Of some of them.")
    ended_at = serializers.DateTimeField(source="run.ended_at")
    left = serializers.IntegerField(help_text="Of those to mend, how many its plan has not mended since.")
    is_mended = serializers.BooleanField(help_text="Whether its plan has mended all of it.")

    class Meta:
        model = RecordDrift
        fields = (
            "run", "ended_at", "compared", "total", "differing", "gone", "missing", "surplus", "due", "changed_fields", "unlinked", "unlinked_keys",
            "left", "is_mended",
        )  # fmt: skip
        read_only_fields = fields

    total = serializers.IntegerField(help_text="Records to mend.")

    def get_compared(self, drift: RecordDrift) -> int:
        return drift.run.sums()["produced"]


class TracedFieldSerializer(serializers.Serializer[Any]):
    field = serializers.CharField()
    origin = serializers.CharField(help_text="A source field, a formula or a constant.")
    value = serializers.JSONField(required=False, help_text="What it began with; not there where the record has no such field.")
    steps = serializers.ListField(child=serializers.ListField(), help_text="[name of the step, value after it]")
    result = serializers.JSONField()
    problem = serializers.CharField(allow_blank=True, help_text="Why the record would be rejected here.")


class TraceSerializer(HasFields, serializers.Serializer[Any]):
    """The way of one record through a sync."""

    ending = serializers.ChoiceField(["create", "update", "unchanged", "adopt", "filtered", "left"], help_text="What the next run would do with it.")
    reason = serializers.CharField(allow_blank=True)
    record = serializers.DictField(help_text="As the source has it.")
    mapping_version = serializers.IntegerField()
    fields_ = TracedFieldSerializer(many=True)
    is_linked = serializers.BooleanField()
    target_key = serializers.CharField(allow_blank=True, help_text="Of the record it is linked with, or would be.")
    target = serializers.DictField(allow_null=True, help_text="The mapping's fields as the target has them; null: not there, or it cannot be asked.")
    writes = serializers.DictField(help_text="Field → the value that would be written.")


def plain_trace(trace: Trace) -> dict[str, Any]:
    """A trace as JSON can carry it."""
    fields = []
    for told in trace.fields:
        field = {"field": told.field, "origin": told.origin, "steps": [[name, plain(value)] for name, value in told.steps]}
        began = {} if told.value is ABSENT else {"value": plain(told.value)}
        fields.append({**field, **began, "result": plain(told.result), "problem": told.problem})
    facts = {name: getattr(trace, name) for name in ("ending", "reason", "target_key")}
    return {
        **facts,
        "record": _plain_record(trace.source),
        "mapping_version": trace.version.number,
        "fields": fields,
        "is_linked": trace.link is not None,
        "target": _plain_record(trace.target) if trace.target else None,
        "writes": {name: plain(after) for name, _before, after in trace.writes},
    }


def _plain_record(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: plain(value) for name, value in record.items() if value is not ABSENT}


class CursorSerializer(KnownNames, serializers.ModelSerializer[SyncCursor]):
    value = serializers.CharField(allow_blank=True, max_length=200, help_text="Empty: none, so that everything is read.")
    key = serializers.CharField(allow_blank=True, max_length=500, default="")
    note = serializers.CharField(max_length=1_000, write_only=True, help_text="Why; for the audit log.")

    class Meta:
        model = SyncCursor
        fields = ("value", "key", "moved_at", "note")
        read_only_fields = ("moved_at",)


class SyncViewSet(HubApi, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Sync]):
    """Syncs: what is kept the same, how often, and how it stands."""

    permission = "syncs.view"
    permissions = {
        "create": "syncs.change", "partial_update": "syncs.change", "destroy": "syncs.delete", "run": "syncs.run",
        "trace": "records.view", "pause": "syncs.cancel", "resume": "syncs.cancel", "set_cursor": "syncs.change", "undo": "plans.undo", "story": "records.view",
        "drift": "records.view",
    }  # fmt: skip
    serializer_class = SyncSerializer
    queryset = Sync.objects.none()
    lookup_value_regex = r"\d{1,18}"
    order = ("name", "pk")
    filterset_fields = {"name": ["exact", "startswith"], "mode": ["exact"], "mapping": ["exact"], "paused_at": ["isnull"]}

    def get_queryset(self) -> Any:
        return Sync.objects.visible_to(self.by).select_related("pair__a__system", "pair__b__system", "mapping", "owner").prefetch_related("after")

    @extend_schema(responses={201: SyncSerializer})
    def create(self, request: Request) -> Response:
        given = SyncSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        settings = given.validated_data
        mapping = settings["mapping"]
        sync = services.create_sync(by=self.by, source=mapping.source, target=mapping.target, **settings)
        return Response(SyncSerializer(sync).data, status=status.HTTP_201_CREATED)

    def partial_update(self, request: Request, pk: str) -> Response:
        sync = self.get_object()
        given = SyncSerializer(sync, data=request.data, partial=True)
        given.is_valid(raise_exception=True)
        return Response(SyncSerializer(services.change_sync(sync, by=self.by, **given.validated_data)).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Its runs stay readable, its links stay with the pair until that is deleted too. Refused (409) while a run is going."""
        services.delete_sync(self.get_object(), by=self.by)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=LaunchSerializer, responses={201: RunSerializer}, parameters=[IDEMPOTENT])
    @action(detail=True, methods=["post"])
    @idempotent
    def run(self, request: Request, pk: str) -> Response:
        """Start a run. Refused (409) while another run of the pair is writing."""
        given = LaunchSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        run = services.start_run(self.get_object(), by=self.by, trigger="api", **given.validated_data)
        return Response(RunSerializer(one_run(run.pk)).data, status=status.HTTP_201_CREATED)

    @extend_schema(responses=TraceSerializer, filters=False, parameters=[OpenApiParameter("key", str, required=True, description="Of the source.")])
    @action(detail=True, filterset_fields=None, pagination_class=None)
    def trace(self, request: Request, pk: str) -> Response:
        """What the sync would make of one record, step by step. Both systems are asked now; nothing is written."""
        key = request.query_params.get("key", "").strip()
        if not key:
            raise ValidationError({"key": _("Name a record by its key.")})
        return Response(plain_trace(trace_record(self.get_object(), key, by=self.by)))

    @extend_schema(
        responses=StorySerializer,
        filters=False,
        parameters=[OpenApiParameter("key", str, required=True, description="Of source or target."), OpenApiParameter("after", str)],
    )
    @action(detail=True, filterset_fields=None, pagination_class=None)
    def story(self, request: Request, pk: str) -> Response:
        """Every change that was made to one record, newest first, back to its first link, by all syncs of the pair."""
        key = request.query_params.get("key", "").strip()
        if not key:
            raise ValidationError({"key": _("Name a record by its key.")})
        return Response(plain_story(story_of(self.get_object(), key, by=self.by, after=request.query_params.get("after", ""))))

    @extend_schema(responses=DriftSerializer(many=True), filters=False)
    @action(detail=True, filterset_fields=None, pagination_class=None)
    def drift(self, request: Request, pk: str) -> Response:
        """What its last thirty reconcile runs have found, newest first. The run of each is the plan that mends it."""
        found = RecordDrift.objects.of(self.get_object()).select_related("run")[: freshness.SHOWN_RUNS]
        return Response(DriftSerializer(found, many=True).data)

    @extend_schema(request=UndoingVersionSerializer, responses={201: RunSerializer})
    @action(detail=True, methods=["post"])
    @idempotent
    def undo(self, request: Request, pk: str) -> Response:
        """Pause the pair's syncs and plan what undoes all runs by a version of the mapping since a time. The answer is the run that plans."""
        asked, sync = UndoingVersionSerializer(data=request.data), self.get_object()
        asked.is_valid(raise_exception=True)
        version = sync.mapping.versions.filter(number=asked.validated_data["version"]).first()
        if version is None:
            raise ValidationError({"version": _("The mapping {name} has no such version.").format(name=sync.mapping)})
        run = undo.plan_undo_of_version(sync, version, since=asked.validated_data["since"], by=self.by, trigger="api")
        return Response(RunSerializer(one_run(run.pk)).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=None, responses=SyncSerializer)
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, pk: str) -> Response:
        """No more runs by schedule; a run that is going goes on."""
        return self._after(services.pause_sync)

    @extend_schema(request=None, responses=SyncSerializer)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: str) -> Response:
        return self._after(services.resume_sync)

    def _after(self, act: Any) -> Response:
        act(self.get_object(), by=self.by)
        return Response(SyncSerializer(self.get_object()).data)

    @extend_schema(responses=CursorSerializer)
    @action(detail=True)
    def cursor(self, request: Request, pk: str) -> Response:
        """How far its source has been read; empty where everything is read next."""
        return self._told_cursor()

    def _told_cursor(self) -> Response:
        sync = self.get_object()
        known = sync.cursors.filter(side=sync.source_side).first()
        return Response(CursorSerializer(known or SyncCursor(value="", key="")).data)

    @extend_schema(request=CursorSerializer, responses=CursorSerializer)
    @cursor.mapping.put
    def set_cursor(self, request: Request, pk: str) -> Response:
        """Set it back (or forward): the next incremental run reads from there."""
        given = CursorSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        services.set_cursor(self.get_object(), by=self.by, **given.validated_data)
        return self._told_cursor()


class PairSerializer(serializers.ModelSerializer[Pair]):
    a = EntityReference(read_only=True)
    b = EntityReference(read_only=True)
    syncs: Any = serializers.SlugRelatedField(slug_field="name", many=True, read_only=True)

    class Meta:
        model = Pair
        fields = ("id", "a", "b", "syncs")


class PairViewSet(HubApi, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Pair]):
    """Pairs of entities: they own the links and the history of all syncs between the two."""

    permission = "syncs.view"
    permissions = {"destroy": "syncs.delete"}
    serializer_class = PairSerializer
    queryset = Pair.objects.select_related("a__system", "b__system").prefetch_related("syncs")
    filterset_fields = {"a__system__slug": ["exact"], "a__name": ["exact"], "b__system__slug": ["exact"], "b__name": ["exact"]}
    lookup_value_regex = r"\d{1,18}"
    order = ("pk",)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Forget its links and the history of its runs. Refused (409) while a sync is left of it."""
        services.delete_pair(self.get_object(), by=self.by)
        return Response(status=status.HTTP_204_NO_CONTENT)
