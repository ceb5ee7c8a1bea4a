"""What a caller sends must mean something: a launch with `dry_run` for `dry` would else write, and a list with a mistyped filter show everything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError as InvalidInput
from django.utils.translation import gettext as _
from django_filters.rest_framework import DjangoFilterBackend
from rest_framework import serializers
from rest_framework.request import Request

from integration_hub.core import texts
from integration_hub.core.rest.paging import KeyPaging


class KnownNames:
    """Before a serializer: refuses a name that is none of its fields. One that is only read may come back, as it was got, and changes nothing."""

    fields: Any

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping) and (unknown := [name for name in data if name not in self.fields]):
            known = texts.listed(name for name, field in self.fields.items() if not field.read_only)
            raise serializers.ValidationError(
                {str(name): [_("{name} is not known here. Known are: {known}.").format(name=name, known=known)] for name in unknown}
            )
        return super().to_internal_value(data)  # type: ignore[misc]


class KnownFilters(DjangoFilterBackend):
    """The filters of a list; refuses one that it does not have."""

    def filter_queryset(self, request: Request, queryset: Any, view: Any) -> Any:
        if getattr(view, "action", None) == "list":
            filters = self.get_filterset_class(view, queryset)
            known = [*(filters.base_filters if filters else ()), *KeyPaging.parameters]
            if unknown := [name for name in request.query_params if name not in known]:
                told = _("{name} is not known here. Known are: {known}.")
                raise InvalidInput({name: [told.format(name=name, known=texts.listed(known))] for name in unknown})
        return super().filter_queryset(request, queryset, view)
