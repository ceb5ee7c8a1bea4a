from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from integration_hub.accounts import services
from integration_hub.accounts.models import Token, User
from integration_hub.accounts.roles import PERMISSIONS, Role
from integration_hub.core.rest.input import KnownNames
from integration_hub.core.rest.views import HubApi


class TokenSerializer(KnownNames, serializers.ModelSerializer[Token]):
    owner = serializers.CharField(source="user.username", read_only=True)
    scopes = serializers.ListField(child=serializers.ChoiceField(choices=sorted(PERMISSIONS)))

    class Meta:
        model = Token
        fields = ("id", "name", "owner", "prefix", "scopes", "created_at", "expires_at", "last_used_at", "revoked_at")
        read_only_fields = ("prefix", "last_used_at", "revoked_at")


class NewTokenSerializer(TokenSerializer):
    key = serializers.CharField(read_only=True, help_text="Shown this once.")

    class Meta(TokenSerializer.Meta):
        fields = (*TokenSerializer.Meta.fields, "key")  # type: ignore[assignment]


class TokenViewSet(HubApi, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Token]):
    """API tokens: one's own; administrators and auditors see all. A token cannot make tokens."""

    permission = "tokens.own"
    serializer_class = TokenSerializer
    queryset = Token.objects.none()
    filterset_fields = {"name": ["exact", "startswith"], "user__username": ["exact"], "revoked_at": ["isnull"], "expires_at": ["isnull", "gte", "lt"]}

    def get_queryset(self) -> Any:
        return Token.objects.visible_to(self.by).select_related("user")

    @extend_schema(request=NewTokenSerializer, responses={201: NewTokenSerializer})
    def create(self, request: Request) -> Response:
        given = NewTokenSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        token, key = services.create_token(by=self.by, **given.validated_data)
        return Response(NewTokenSerializer(token).data | {"key": key}, status=status.HTTP_201_CREATED)

    @extend_schema(request=None, responses=TokenSerializer)
    @action(detail=True, methods=["post"])
    def revoke(self, request: Request, pk: str) -> Response:
        """From now on it opens nothing."""
        token = self.get_object()
        services.revoke_token(token, by=self.by)
        token.refresh_from_db()
        return Response(TokenSerializer(token).data)


class PersonSerializer(KnownNames, serializers.ModelSerializer[User]):
    role = serializers.ChoiceField(choices=Role.choices)
    password = serializers.CharField(write_only=True)

    class Meta:
        model = User
        fields = (
            "id", "username", "first_name", "last_name", "email", "role", "is_active", "language", "mail_failed_runs", "mail_decisions",
            "mail_system_down", "last_login", "password",
        )  # fmt: skip
        read_only_fields = ("last_login",)


class PersonViewSet(HubApi, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[User]):
    """People who may sign in, and their roles."""

    permission = "accounts.view"
    permissions = {"create": "accounts.change", "partial_update": "accounts.change", "me": None}
    serializer_class = PersonSerializer
    queryset = User.objects.all()
    order = ("username", "pk")
    filterset_fields = {"username": ["exact", "startswith"], "role": ["exact"], "is_active": ["exact"]}

    def create(self, request: Request) -> Response:
        given = PersonSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        if not given.validated_data.pop("is_active", True):
            raise serializers.ValidationError({"is_active": _("A new person may sign in. Take that away from them afterwards.")})
        person = services.create_person(by=self.by, **given.validated_data)
        return Response(PersonSerializer(person).data, status=status.HTTP_201_CREATED)

    def partial_update(self, request: Request, pk: str) -> Response:
        person = self.get_object()
        given = PersonSerializer(person, data=request.data, partial=True)
        given.is_valid(raise_exception=True)
        if given.validated_data.pop("username", person.username) != person.username:
            raise serializers.ValidationError({"username": _("A person keeps their name, for the audit log names them by it.")})
        return Response(PersonSerializer(services.change_person(person, by=self.by, **given.validated_data)).data)

    @extend_schema(responses=PersonSerializer)
    @action(detail=False)
    def me(self, request: Request) -> Response:
        """Who this token belongs to."""
        return Response(PersonSerializer(User.objects.get(pk=self.by.user_id)).data)
