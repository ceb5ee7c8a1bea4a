from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from integration_hub.core import texts
from integration_hub.core.expressions.evaluator import EvaluationFailed
from integration_hub.core.rest.idempotency import idempotent
from integration_hub.core.rest.input import KnownNames
from integration_hub.core.rest.views import HubApi
from integration_hub.mappings import drafts, services
from integration_hub.mappings.definition import DefinitionError, Problem
from integration_hub.mappings.models import Mapping, MappingVersion
from integration_hub.systems.api import EntityReference
from integration_hub.systems.services import read_sample

SAMPLES = 5


class MappingSerializer(KnownNames, serializers.ModelSerializer[Mapping]):
    source = EntityReference()  # type: ignore[assignment]
    target = EntityReference()
    draft = serializers.DictField(required=False, help_text="The definition that people edit; what runs use is the latest version.")
    latest_version = serializers.IntegerField(
        read_only=True, allow_null=True, help_text="Number of the version that runs use; null before the first."
    )

    class Meta:
        model = Mapping
        fields = ("id", "name", "source", "target", "draft", "latest_version", "changed_at", "changed_by")
        read_only_fields = ("changed_at", "changed_by")


class VersionSerializer(serializers.ModelSerializer[MappingVersion]):
    definition = serializers.DictField()
    source_schema = serializers.DictField(help_text="The source as it was then.")
    target_schema = serializers.DictField(help_text="The target as it was then.")

    class Meta:
        model = MappingVersion
        fields = ("number", "definition", "source_schema", "target_schema", "published_at", "published_by")


class PreviewSerializer(KnownNames, serializers.Serializer[Any]):
    definition = serializers.DictField(required=False, help_text="Instead of the draft.")
    records = serializers.ListField(
        child=serializers.DictField(), required=False, max_length=50, help_text="Source records; left out, the first five are read from the source."
    )


class PreviewedSerializer(serializers.Serializer[Any]):
    problems = serializers.ListField(child=serializers.DictField(), help_text="What is wrong with the definition; then there are no records.")
    records = serializers.ListField(child=serializers.DictField(), help_text="For each: the target record, or why it would be rejected.")


class MappingViewSet(HubApi, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Mapping]):
    """Mappings: how the records of one entity become those of another."""

    permission = "mappings.view"
    permissions = {
        "create": "mappings.change", "partial_update": "mappings.change", "destroy": "mappings.delete", "publish": "mappings.publish",
        "preview": "records.view",
    }  # fmt: skip
    serializer_class = MappingSerializer
    queryset = Mapping.objects.none()
    lookup_value_regex = r"\d{1,18}"
    order: tuple[str, ...] = ("name", "pk")
    filterset_fields = {"name": ["exact", "startswith"], "source__system__slug": ["exact"], "target__system__slug": ["exact"]}

    def get_queryset(self) -> Any:
        newest = MappingVersion.objects.newest_number()
        return Mapping.objects.visible_to(self.by).select_related("source__system", "target__system").annotate(latest_version=newest)

    @extend_schema(responses={201: MappingSerializer})
    def create(self, request: Request) -> Response:
        given = MappingSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        facts = given.validated_data
        mapping = services.create_mapping(
            name=facts["name"], source=facts["source"], target=facts["target"], definition=facts.get("draft", {}), by=self.by
        )
        return Response(MappingSerializer(self.get_queryset().get(pk=mapping.pk)).data, status=status.HTTP_201_CREATED)

    def partial_update(self, request: Request, pk: str) -> Response:
        """Change its name or its draft. The entities stay."""
        mapping = self.get_object()
        given = MappingSerializer(mapping, data=request.data, partial=True)
        given.is_valid(raise_exception=True)
        facts = given.validated_data
        if kept := [name for name in ("source", "target") if name in facts and facts[name] != getattr(mapping, name)]:
            raise serializers.ValidationError({name: [_("A mapping keeps its entities. Make another one.")] for name in kept})
        with transaction.atomic():
            if "name" in facts:
                drafts.rename_mapping(mapping, name=facts["name"], by=self.by)
            if "draft" in facts:
                services.change_mapping(mapping, definition=facts["draft"], by=self.by)
        return Response(MappingSerializer(self.get_object()).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Refused (409) while a sync uses it, or runs are kept that used it."""
        services.delete_mapping(self.get_object(), by=self.by)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses={201: VersionSerializer})
    @action(detail=True, methods=["post"])
    @idempotent
    def publish(self, request: Request, pk: str) -> Response:
        """Make the draft what runs use from now on."""
        mapping = self.get_object()
        try:
            version = services.publish_mapping(mapping, by=self.by)
        except DefinitionError as error:
            raise _invalid(error, mapping.draft) from None
        return Response(VersionSerializer(version).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=PreviewSerializer, responses=PreviewedSerializer)
    @action(detail=True, methods=["post"])
    def preview(self, request: Request, pk: str) -> Response:
        """What the draft, or another definition, would make of some records. Writes nothing."""
        mapping = self.get_object()
        given = PreviewSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        records = given.validated_data.get("records")
        if records is None:
            records = read_sample(mapping.source, by=self.by, count=SAMPLES).rows
        try:
            told = services.preview_mapping(mapping, records, definition=given.validated_data.get("definition"), traced=None, by=self.by)
        except EvaluationFailed as error:
            raise ValidationError(texts.render(error.text)) from None
        return Response({"problems": [_plain(p) for p in told["problems"]], "records": [_plain(record) for record in told["records"]]})

    @extend_schema(responses=VersionSerializer(many=True))
    @action(detail=True, filterset_fields=None)
    def versions(self, request: Request, pk: str) -> Response:
        """Its published versions, newest first."""
        self.order = ("-number",)
        versions: Any = self.get_object().versions.order_by()
        page: Any = self.paginate_queryset(versions)
        return self.get_paginated_response(VersionSerializer(page, many=True).data)

    @extend_schema(responses=VersionSerializer)
    @action(detail=True, url_path=r"versions/(?P<number>\d{1,9})", url_name="version")
    def version(self, request: Request, pk: str, number: str) -> Response:
        return Response(VersionSerializer(get_object_or_404(self.get_object().versions, number=int(number))).data)


def _plain(told: Any) -> Any:
    """Texts as sentences."""
    if isinstance(told, dict):
        return texts.render(told) if told.keys() == {"template", "values"} else {name: _plain(part) for name, part in told.items()}
    return [_plain(part) for part in told] if isinstance(told, list | tuple) else told


def _invalid(error: DefinitionError, draft: Any) -> ValidationError:
    """The problems by their place in the draft."""
    found: dict[str, list[str]] = {}
    for problem in error.problems:
        found.setdefault(_place(problem, draft), []).append(texts.render(problem.text))
    return ValidationError(found)


def _place(problem: Problem, draft: Any) -> str:
    fields = draft.get("fields", []) if isinstance(draft, dict) else []
    number = next((n for n, field in enumerate(fields) if isinstance(field, dict) and field.get("target") == problem.field), None)
    if number is None:
        return "draft"
    return f"draft.fields.{number}.steps.{problem.step - 1}" if problem.step else f"draft.fields.{number}"
