from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from integration_hub.blueprints import services, writing
from integration_hub.blueprints.reading import Wrong
from integration_hub.core.rest.input import KnownNames
from integration_hub.core.rest.output import HasFields
from integration_hub.core.rest.views import HubApi

YAML = "application/yaml"


class ConfigFileSerializer(KnownNames, serializers.Serializer[Any]):
    name = serializers.CharField(max_length=200, help_text="As errors name it.")
    text = serializers.CharField(trim_whitespace=False, help_text="YAML.")


class ConfigFilesSerializer(KnownNames, serializers.Serializer[Any]):
    files = serializers.ListField(child=ConfigFileSerializer(), allow_empty=False)
    secrets = serializers.DictField(
        child=serializers.CharField(),
        default={},
        help_text="What ${ENV:NAME} stands for. The hub's own environment is not read; a secret that is not given keeps its stored value.",
    )


class ConfigChangeSerializer(HasFields, serializers.Serializer[Any]):
    section = serializers.CharField()
    name = serializers.CharField()
    is_new = serializers.BooleanField()
    fields_ = serializers.DictField(child=serializers.ListField(), help_text="Path → [before, after].")


class ConfigResultSerializer(serializers.Serializer[Any]):
    changes = ConfigChangeSerializer(many=True)
    unchanged_count = serializers.IntegerField()
    notes = serializers.ListField(child=serializers.CharField())


class ConfigView(HubApi):
    """The configuration as a file."""

    permission = "config.export"

    @extend_schema(
        parameters=[OpenApiParameter("name", str, many=True, description="Of a system, mapping or sync, with what it builds on; none: everything.")],
        responses={(200, YAML): OpenApiResponse(str, "Systems, mappings and syncs; no secrets.")},
    )
    def get(self, request: Request) -> HttpResponse:
        """Systems, mappings and syncs as YAML, without secrets; what cannot be in a file is told in comments at its head."""
        told: list[str] = []
        found = services.export_config(by=self.by, names=request.query_params.getlist("name"), warn=told.append)
        return HttpResponse("".join(f"# {line}\n" for line in told) + writing.write(found), content_type=YAML)


class TakesFiles(HubApi):
    permission = "config.apply"

    def take(self, *, dry: bool) -> Response:
        given = ConfigFilesSerializer(data=self.request.data)
        given.is_valid(raise_exception=True)
        files = [(file["name"], file["text"]) for file in given.validated_data["files"]]
        try:
            result = services.apply_config(files, by=self.by, environ=given.validated_data["secrets"], dry=dry)
        except Wrong as wrong:
            raise ValidationError([str(mistake) for mistake in wrong.mistakes]) from None
        changes = [{"section": c.section, "name": c.name, "is_new": c.is_new, "fields": c.fields} for c in result.changes]
        return Response({"changes": changes, "unchanged_count": len(result.unchanged), "notes": result.notes})


class DiffView(TakesFiles):
    @extend_schema(request=ConfigFilesSerializer, responses=ConfigResultSerializer)
    def post(self, request: Request) -> Response:
        """What applying these files would change. Changes nothing."""
        return self.take(dry=True)


class ApplyView(TakesFiles):
    @extend_schema(request=ConfigFilesSerializer, responses=ConfigResultSerializer)
    def post(self, request: Request) -> Response:
        """Make the hub as these files say, all of it or nothing. Nothing is ever deleted."""
        return self.take(dry=False)
