from __future__ import annotations

from typing import Any, ClassVar

from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response

from integration_hub.core.paging import key_page


class KeyPaging(BasePagination):
    """`{"items": […], "next": address or null, "previous": …}`, paged by key: `?after=` and `?before=` are marks that the addresses hold.

    A view says its order as `order`: columns of an index, none nullable, the last one unique. `?limit=` up to 200.
    """

    size, largest = 50, 200
    parameters = ("after", "before", "limit")
    limit: ClassVar[dict[str, Any]] = {"type": "integer", "minimum": 1, "maximum": largest, "default": size}

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        self.request = request
        self.page = key_page(queryset, request._request, order=getattr(view, "order", ("-pk",)), size=self.size_of(request), counted=False)
        return list(self.page.items)

    @classmethod
    def size_of(cls, request: Request) -> int:
        """How many items the caller wants on a page."""
        limit = request.query_params.get("limit", "")
        return min(cls.largest, max(1, int(limit))) if limit.isdecimal() and len(limit) < 5 else cls.size

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"items": data, "next": self._address("after", self.page.older), "previous": self._address("before", self.page.newer)})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        address = {"type": ["string", "null"], "format": "uri"}
        return {
            "type": "object",
            "required": ["items", "next", "previous"],
            "properties": {"items": schema, "next": address, "previous": address},
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        said = {"after": "Mark of the page before, from its `next`.", "before": "Mark of the page behind, from its `previous`."}
        marks = [{"name": name, "in": "query", "schema": {"type": "string"}, "description": text} for name, text in said.items()]
        return [*marks, {"name": "limit", "in": "query", "schema": self.limit, "description": "Items on a page."}]

    def _address(self, name: str, mark: str) -> str | None:
        if not mark:
            return None
        parameters = self.request.query_params.copy()
        for other in ("after", "before"):
            parameters.pop(other, None)
        parameters[name] = mark
        return str(self.request.build_absolute_uri(f"{self.request.path}?{parameters.urlencode()}"))
