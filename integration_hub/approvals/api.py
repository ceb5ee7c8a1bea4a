from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from integration_hub.approvals import services
from integration_hub.approvals.kinds import kinds
from integration_hub.approvals.models import Decision
from integration_hub.core.rest.input import KnownNames
from integration_hub.core.rest.views import HubApi


class DecisionSerializer(serializers.ModelSerializer[Decision]):
    question = serializers.CharField(source="sentence", read_only=True)
    subject = serializers.CharField(source="subject_name", read_only=True, help_text="What it is about, as it was called then.")
    part = serializers.CharField(read_only=True, help_text="Of withheld changes: create, update or delete.")
    count = serializers.IntegerField(read_only=True, help_text="Records that wait for it.")
    answers = serializers.SerializerMethodField(help_text="What can be said while it is open.")

    class Meta:
        model = Decision
        fields = (
            "id", "kind", "subject", "subject_id", "part", "question", "count", "state", "answers", "asked_at", "asked_again_at", "decided_at",
            "decided_by", "reason",
        )  # fmt: skip
        read_only_fields = fields

    def get_answers(self, decision: Decision) -> list[str]:
        return list(kinds[decision.kind].answers(decision)) if decision.is_open else []


class AnswerSerializer(KnownNames, serializers.Serializer[Any]):
    answer = serializers.CharField(help_text="One of its answers: accept, refuse, raise.")
    count = serializers.IntegerField(
        required=False, min_value=0, help_text="Of records, as it was told: refused (409) where it is another by now, for a later run has been there."
    )
    reason = serializers.CharField(max_length=2_000, help_text="Why; it is kept with the decision and in the audit log.")


class DecisionViewSet(HubApi, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Decision]):
    """What waits for somebody's yes or no, and what was decided; newest first."""

    permission = "decisions.view"
    permissions = {"decide": "decisions.decide"}
    serializer_class = DecisionSerializer
    queryset = Decision.objects.none()
    lookup_value_regex = r"\d{1,18}"
    order = ("-pk",)
    filterset_fields = {"state": ["exact"], "kind": ["exact"], "subject_id": ["exact"], "part": ["exact"]}

    def get_queryset(self) -> Any:
        return Decision.objects.visible_to(self.by)

    @extend_schema(request=AnswerSerializer, responses=DecisionSerializer)
    @action(detail=True, methods=["post"])
    def decide(self, request: Request, pk: str) -> Response:
        """Answer it. Refused (409) where it was decided already, is about another `count` by now, or while another run of the pair is writing."""
        given = AnswerSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        decision = self.get_object()
        told = given.validated_data
        services.decide(decision, told["answer"], by=self.by, reason=told["reason"], seen=told.get("count"))
        return Response(DecisionSerializer(self.get_object()).data)
