"""Builds a system's OpenAPI 3.1 document from the same fields that its writes are checked with."""

from __future__ import annotations

from typing import Any

from sandbox.entities import Entity
from sandbox.fields import object_schema
from sandbox.systems.base import System

Schema = dict[str, Any]
TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer"}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def listed(of: Schema) -> Schema:
    return {"type": "array", "items": of}


def shape(required: str | list[str] = "", /, **properties: Schema) -> Schema:
    """An object with these properties; `required` names those that are always there ("*": all)."""
    names = list(properties) if required == "*" else required.split() if isinstance(required, str) else required
    return {"type": "object", "properties": properties, **({"required": names} if names else {})}


def or_null(of: Schema) -> Schema:
    return {**of, "type": [of["type"], "null"]}


def model_name(entity: Entity) -> str:
    """users → User, sales_orders → SalesOrder."""
    return (
        "".join(word.capitalize() for word in entity.name.replace("-", "_").split("_"))
        .removesuffix("s")
        .replace("ie", "y" if entity.name.endswith("ies") else "ie")
    )


class Document:
    def __init__(self, system: System, origin: str, *, security: dict[str, Schema], error: Schema) -> None:
        self.paths: dict[str, dict[str, Any]] = {}
        self.schemas: dict[str, Schema] = {"Error": error}
        self.prefix = f"/{system.name}"
        self.top = {
            "openapi": "3.1.0",
            "info": {"title": system.title, "version": "1.0.0", "description": system.about},
            "servers": [{"url": origin}],
            "security": [{name: []} for name in security],
        }
        self.security = security
        for entity in system.entities:
            name = model_name(entity)
            self.schemas[name] = object_schema(entity.fields, strict=False, required=[entity.key, entity.changed])
            required = [field.name for field in entity.fields if field.required]
            self.schemas[f"{name}Write"] = object_schema(entity.fields, strict=True)
            self.schemas[f"{name}Create"] = (
                {"allOf": [ref(f"{name}Write"), {"type": "object", "required": required}]} if required else ref(f"{name}Write")
            )

    def add(
        self,
        method: str,
        path: str,
        summary: str,
        answers: dict[int, Schema | None],
        *,
        query: dict[str, Schema] | None = None,
        headers: dict[str, Schema] | None = None,
        body: Schema | None = None,
        media: str = "application/json",
        errors: str = "4XX",
        error_media: str = "application/json",
        is_open: bool = False,
    ) -> None:
        """One operation. The path's parameters are texts; a None answer has no body."""
        places = [("path", part[1:-1], TEXT, True) for part in path.split("/") if part.startswith("{")]
        places += [("query", name, schema, False) for name, schema in (query or {}).items()]
        places += [("header", name, schema, False) for name, schema in (headers or {}).items()]
        operation: dict[str, Any] = {
            "summary": summary,
            "parameters": [{"in": where, "name": name, "schema": schema, "required": required} for where, name, schema, required in places],
            "responses": {
                str(status): {"description": summary, **({"content": {"application/json": {"schema": schema}}} if schema else {})}
                for status, schema in answers.items()
            },
        }
        if errors:
            operation["responses"][errors] = {"description": "Refused", "content": {error_media: {"schema": ref("Error")}}}
        if body is not None:
            operation["requestBody"] = {"required": True, "content": {media: {"schema": body}}}
        if is_open:
            operation["security"] = []
        self.paths.setdefault(self.prefix + path, {})[method.lower()] = operation

    def done(self) -> dict[str, Any]:
        return {**self.top, "paths": self.paths, "components": {"schemas": self.schemas, "securitySchemes": self.security}}
