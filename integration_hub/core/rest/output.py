"""What the API answers with."""

from __future__ import annotations

from typing import Any


class HasFields:
    """Before a serializer: what it declares as `fields_` goes out as `fields`, a name that serializers keep for themselves."""

    def get_fields(self) -> Any:
        fields = super().get_fields()  # type: ignore[misc]
        fields["fields"] = fields.pop("fields_")
        return fields
