from __future__ import annotations

from typing import Any

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from integration_hub.core import texts
from integration_hub.core.rest.idempotency import idempotent
from integration_hub.core.rest.input import KnownNames
from integration_hub.core.rest.views import HubApi
from integration_hub.syncs import groups
from integration_hub.syncs.api.syncs import IDEMPOTENT
from integration_hub.syncs.models import Sync


class MemberSerializer(serializers.ModelSerializer[Sync]):
    refusal = serializers.SerializerMethodField(help_text="Why it could not start when it was to the last time; null where it could.")

    class Meta:
        model = Sync
        fields = ("id", "name", "next_due_at", "paused_at", "refusal")

    def get_refusal(self, sync: Sync) -> str | None:
        return texts.render(sync.refusal) if sync.refusal else None


class GroupSerializer(serializers.Serializer[Any]):
    """Syncs that are run and paused together, each behind those that it runs after."""

    name = serializers.CharField()
    is_paused = serializers.BooleanField(help_text="All of them are.")
    syncs = MemberSerializer(many=True)


class ChosenGroupSerializer(KnownNames, serializers.Serializer[Any]):
    name = serializers.CharField(max_length=200)


class GroupViewSet(HubApi, viewsets.GenericViewSet[Sync]):
    """Groups of syncs, by the name that they share."""

    permission = "syncs.view"
    permissions = {"run": "syncs.run", "pause": "syncs.cancel", "resume": "syncs.cancel"}
    serializer_class = GroupSerializer
    queryset = Sync.objects.none()

    @extend_schema(responses=GroupSerializer(many=True))
    def list(self, request: Request) -> Response:
        return Response(GroupSerializer(groups.groups(self.by), many=True).data)

    @extend_schema(request=ChosenGroupSerializer, responses=GroupSerializer, parameters=[IDEMPOTENT])
    @action(detail=False, methods=["post"], pagination_class=None)
    @idempotent
    def run(self, request: Request) -> Response:
        """Run its syncs in order: those that wait for none start now, the others behind those that they run after."""
        return self._after(groups.run_group)

    @extend_schema(request=ChosenGroupSerializer, responses=GroupSerializer)
    @action(detail=False, methods=["post"], pagination_class=None)
    def pause(self, request: Request) -> Response:
        """No more runs by schedule of any of them; runs that are going go on."""
        return self._after(groups.pause_group)

    @extend_schema(request=ChosenGroupSerializer, responses=GroupSerializer)
    @action(detail=False, methods=["post"], pagination_class=None)
    def resume(self, request: Request) -> Response:
        return self._after(groups.resume_group)

    def _after(self, act: Any) -> Response:
        given = ChosenGroupSerializer(data=self.request.data)
        given.is_valid(raise_exception=True)
        done = act(self._group(given.validated_data["name"]), by=self.by)
        group = self._group(given.validated_data["name"])
        refused = {sync.pk: texts.stored(refusal.text) for sync, refusal in done.refused} if done else {}
        for sync in group.syncs:
            sync.refusal = refused.get(sync.pk, sync.refusal)
        return Response(GroupSerializer(group).data)

    def _group(self, name: str) -> groups.Group:
        group = groups.group_named(name, self.by)
        if group is None:
            raise Http404
        return group
