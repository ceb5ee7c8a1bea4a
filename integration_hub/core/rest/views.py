from __future__ import annotations

from typing import Any

from rest_framework.views import APIView


class HubApi(APIView):
    """A view of the API. `by` is the actor behind the request."""

    permission: str | None = None

    @property
    def by(self) -> Any:
        return self.request.actor  # type: ignore[attr-defined]
