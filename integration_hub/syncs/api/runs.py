from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Sum
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import mixins, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from integration_hub.core import texts
from integration_hub.core.rest.idempotency import idempotent
from integration_hub.core.rest.output import HasFields
from integration_hub.core.rest.paging import KeyPaging
from integration_hub.core.rest.views import HubApi
from integration_hub.core.templatetags.hub import ABSENT
from integration_hub.syncs import guards, journal, plans, services, undo
from integration_hub.syncs.api.plans import ApprovingSerializer, PlanSerializer, UndoingSerializer, plain_plan
from integration_hub.syncs.models import COUNTS, LogLine, Partition, Run

OPERATIONS = ("create", "update", "adopt", "delete", "mark", "unlink", "keep")


class CountsSerializer(serializers.Serializer[Any]):
    """How many records came to what."""

    def get_fields(self) -> dict[str, Any]:
        return {name: serializers.IntegerField() for name in COUNTS}


class BeyondSerializer(serializers.Serializer[guards.Beyond]):
    """Changes of a kind that would wait for a decision, with the limits they are measured by."""

    operation = serializers.ChoiceField(choices=list(guards.OPERATIONS))
    count = serializers.IntegerField()
    most = serializers.IntegerField(allow_null=True, help_text="So many go without asking; null: any number.")
    percent = serializers.IntegerField(allow_null=True, help_text="So many percent of the linked records go without asking; null: any share.")
    links = serializers.IntegerField(allow_null=True, help_text="Linked records when the run began, where a limit is a share of them.")
    sentence = serializers.SerializerMethodField()

    def get_sentence(self, beyond: guards.Beyond) -> str:
        return texts.render(beyond.sentence)


class RunSerializer(serializers.ModelSerializer[Run]):
    mapping_version = serializers.IntegerField(source="mapping_version.number", read_only=True)
    error = serializers.SerializerMethodField()
    counts = serializers.SerializerMethodField()
    would_withhold = serializers.SerializerMethodField(help_text="Of a dry run that went through: what would wait for a decision.")
    is_cancelling = serializers.SerializerMethodField(help_text="Somebody asked for it to stop; it does at its next safe point.")

    class Meta:
        model = Run
        fields = (
            "id", "sync", "name", "state", "direction", "mode", "dry", "keys", "keys_only", "trigger", "actor_name", "mapping", "mapping_version", "first_load",
            "since_value", "since_key", "read_until", "expected_count", "counts", "balanced", "is_cancelling", "error", "made_at", "started_at",
            "ended_at", "applies_plan_of", "undoes", "would_withhold",
        )  # fmt: skip
        read_only_fields = fields

    applies_plan_of = serializers.IntegerField(source="applies.plan_id", read_only=True, allow_null=True, default=None)

    mapping = serializers.IntegerField(source="mapping_version.mapping_id", read_only=True)

    def get_error(self, run: Run) -> str:
        return texts.render(run.error)

    def get_is_cancelling(self, run: Run) -> bool:
        return run.cancel_at is not None and run.ended_at is None

    @extend_schema_field(CountsSerializer)
    def get_counts(self, run: Run) -> dict[str, int]:
        """Of live runs as they are now, in one query for a whole page of a list."""
        if run.counts:
            return run.sums()
        known = self.context.setdefault("live_counts", {})  # type: ignore[attr-defined]
        if run.pk not in known:
            known.update(sums_of([each for each in self._shown(run) if not each.counts]))
        found: dict[str, int] = known[run.pk]
        return found

    @extend_schema_field(BeyondSerializer(many=True))
    def get_would_withhold(self, run: Run) -> list[dict[str, Any]]:
        if not run.dry:
            return []
        if "beyond" not in self.context:
            self.context["beyond"] = guards.beyond_of(self._shown(run))  # type: ignore[index]
        return list(BeyondSerializer(self.context["beyond"].get(run.pk, []), many=True).data)

    def _shown(self, run: Run) -> list[Run]:
        """The runs of the page that is answered."""
        shown: Any = self.parent.instance if isinstance(self.parent, serializers.ListSerializer) else [run]
        return list(shown)


def sums_of(runs: list[Run]) -> dict[int, dict[str, int]]:
    """COUNTS of each of these runs, from their partitions."""
    sums = {name: Sum(f"{name}_count") for name in COUNTS}
    found = {row.pop("run"): row for row in Partition.objects.filter(run__in=runs).values("run").order_by().annotate(**sums)}
    return {run.pk: {name: found.get(run.pk, {}).get(name) or 0 for name in COUNTS} for run in runs}


def one_run(pk: int) -> Run:
    found: Run = Run.objects.select_related("mapping_version", "applies").get(pk=pk)
    return found


class LogLineSerializer(serializers.ModelSerializer[LogLine]):
    text = serializers.SerializerMethodField()

    class Meta:
        model = LogLine
        fields = ("at", "level", "text")

    def get_text(self, line: LogLine) -> str:
        return texts.render(line.text)


class FieldChangeSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    before = serializers.JSONField(help_text="Absent where nobody looked.", required=False)
    after = serializers.JSONField(required=False, help_text="Absent where the record is deleted.")
    sent = serializers.BooleanField()
    read_back = serializers.JSONField(required=False, help_text="What the target says it holds now, where that is something else.")


class ChangeSerializer(HasFields, serializers.Serializer[Any]):
    operation = serializers.CharField(help_text="create, update, adopt, delete, mark or unlink")
    result = serializers.CharField(
        help_text="written, linked, unlinked, planned, sending, not_sent, withheld, refused, moved, kept (of an undo) or unknown"
    )
    source_key = serializers.CharField()
    target_key = serializers.CharField(allow_blank=True)
    reason = serializers.CharField(allow_blank=True)
    at = serializers.DateTimeField()
    fields_ = FieldChangeSerializer(many=True)


class ChangePageSerializer(serializers.Serializer[Any]):
    items = ChangeSerializer(many=True)
    next = serializers.CharField(allow_null=True, help_text="Address of the next page.")
    searched_all = serializers.BooleanField(help_text="False: the search stopped after enough of the journal; go on with `next`.")


def plain_change(change: journal.Change) -> dict[str, Any]:
    """A change as JSON can carry it; of its fields those that change."""
    fields = []
    for field in change.changed:
        values = (("before", field.before), ("after", field.after), ("read_back", field.read_back))
        told = {"name": field.name, "sent": field.sent} | {name: plain(value) for name, value in values if value is not ABSENT}
        fields.append(told)
    facts = {name: getattr(change, name) for name in ("operation", "result", "source_key", "target_key", "at")}
    return {**facts, "reason": texts.render(change.reason), "fields": fields}


def plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _query(name: str, said: str, **more: Any) -> OpenApiParameter:
    return OpenApiParameter(name, OpenApiTypes.STR, description=said, **more)


class RunViewSet(HubApi, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Run]):
    """Runs: the executions of syncs, newest first."""

    permission = "syncs.view"
    permissions = {
        "cancel": "syncs.cancel", "pause": "syncs.cancel", "resume": "syncs.cancel", "changes": "records.view",
        "plan": "records.view", "approve": "plans.approve", "apply": "plans.apply", "undo": "plans.undo",
    }  # fmt: skip
    serializer_class = RunSerializer
    queryset = Run.objects.none()
    lookup_value_regex = r"\d{1,18}"
    order: tuple[str, ...] = ("-pk",)
    filterset_fields = {"sync": ["exact"], "state": ["exact", "in"], "dry": ["exact"], "trigger": ["exact"], "ended_at": ["isnull", "gte", "lt"]}

    def get_queryset(self) -> Any:
        return Run.objects.visible_to(self.by).select_related("mapping_version", "applies")

    @extend_schema(request=None, responses=RunSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """Ask it to stop at its next safe point. What is written stays. Refused (409) where it has ended; asked twice, it is asked once."""
        return self._after(services.cancel_run)

    @extend_schema(request=None, responses=RunSerializer)
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, pk: str) -> Response:
        """Stop it at its next safe point, until it is resumed."""
        return self._after(services.pause_run)

    @extend_schema(request=None, responses=RunSerializer)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: str) -> Response:
        return self._after(services.resume_run)

    def _after(self, act: Any) -> Response:
        run = self.get_object()
        act(run, by=self.by)
        return Response(RunSerializer(self.get_object()).data)

    @extend_schema(responses=PlanSerializer)
    @action(detail=True, filterset_fields=None)
    def plan(self, request: Request, pk: str) -> Response:
        """What a dry run, or one that undoes, would write: counts, the fields most changed, and what was approved of it. `changes` has its records."""
        return Response(PlanSerializer(plain_plan(self.get_object())).data)

    @extend_schema(request=ApprovingSerializer, responses=PlanSerializer)
    @action(detail=True, methods=["post"])
    def approve(self, request: Request, pk: str) -> Response:
        """Approve its plan: whole, only some operations, or what a condition is true for, but never the records in `except_keys`."""
        asked = ApprovingSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        plan = self.get_object()
        plans.approve_plan(plan, by=self.by, **asked.validated_data)
        return Response(PlanSerializer(plain_plan(plan)).data)

    @extend_schema(request=None, responses={201: RunSerializer})
    @action(detail=True, methods=["post"])
    @idempotent
    def apply(self, request: Request, pk: str) -> Response:
        """Start the run that writes what was approved of its plan. Refused (409) where that is old, out of date, applied or not approved."""
        run = plans.apply_plan(plans.approved(self.get_object()), by=self.by, trigger="api")
        return Response(RunSerializer(one_run(run.pk)).data, status=201)

    @extend_schema(request=UndoingSerializer, responses={201: RunSerializer})
    @action(detail=True, methods=["post"])
    @idempotent
    def undo(self, request: Request, pk: str) -> Response:
        """Pause the pair's syncs and plan what undoes it, or some of its records. The answer is the run that plans; then approve and apply it."""
        asked = UndoingSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        run = undo.plan_undo(self.get_object(), by=self.by, trigger="api", **asked.validated_data)
        return Response(RunSerializer(one_run(run.pk)).data, status=201)

    @extend_schema(responses=LogLineSerializer(many=True))
    @action(detail=True, filterset_fields=None)
    def log(self, request: Request, pk: str) -> Response:
        """What happened, in order; pages as lists do."""
        lines: Any = LogLine.objects.filter(run=self.get_object())
        self.order = ("pk",)
        page: Any = self.paginate_queryset(lines)
        return self.get_paginated_response(LogLineSerializer(page, many=True).data)

    @extend_schema(
        responses=ChangePageSerializer,
        filters=False,
        parameters=[
            _query("operation", "Only these.", enum=OPERATIONS),
            _query("result", "Only those with this result.", enum=journal.RESULTS),
            _query("field", "Only those that send this field of the target."),
            _query("key", "Only the record with this key, of source or target."),
            _query("after", "Mark of the page before, from its `next`."),
            OpenApiParameter("limit", KeyPaging.limit, description="Items on a page."),
        ],
    )
    @action(detail=True, pagination_class=None, filterset_fields=None)
    def changes(self, request: Request, pk: str) -> Response:
        """What it did, or a dry run would do, record by record, in the order in which they were compared."""
        run = self.get_object()
        operation, result, field, key, after = (request.query_params.get(name, "") for name in ("operation", "result", "field", "key", "after"))
        if operation not in ("", *OPERATIONS):
            raise ValidationError({"operation": _("It is one of {operations}.").format(operations=", ".join(OPERATIONS))})
        if result not in ("", *journal.RESULTS):
            raise ValidationError({"result": _("It is one of {results}.").format(results=", ".join(journal.RESULTS))})
        page = journal.changes_of(run, operation=operation, result=result, field=field, key=key, after=after, size=KeyPaging.size_of(request))
        address = None
        if page.after:
            parameters = request.query_params.copy()
            parameters["after"] = page.after
            address = request.build_absolute_uri(f"{request.path}?{parameters.urlencode()}")
        return Response({"items": [plain_change(change) for change in page.changes], "next": address, "searched_all": page.searched_all})
