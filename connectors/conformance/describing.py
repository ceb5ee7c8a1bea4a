"""What it is: its settings, its answer to a check, its entities."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from connectors.base import Connector, Entity
from connectors.conformance.kit import Kit, Prepared


class Describing(Kit):
    def test_it_names_itself(self, prepared: Prepared) -> None:
        kind = prepared.connector

        assert kind.kind
        assert kind.title
        assert issubclass(kind.Settings, BaseModel)

    def test_every_setting_explains_itself(self, prepared: Prepared) -> None:
        schema = prepared.connector.Settings.model_json_schema()
        parts = schema.get("$defs", {})
        forms = [schema, *parts.values()]

        def explained(setting: dict[str, Any]) -> bool:
            setting = {**parts.get(setting.get("$ref", "").removeprefix("#/$defs/"), {}), **setting}  # what equals the part's own is left out
            return bool("const" in setting or (setting.get("title") and setting.get("description")))

        bare = [name for form in forms for name, setting in form.get("properties", {}).items() if not explained(setting)]

        assert not bare, f"settings without title or description: {bare}"

    def test_no_secret_shows_in_the_settings(self, prepared: Prepared) -> None:
        settings = prepared.connector.Settings.model_validate(prepared.settings)

        assert not [s for s in prepared.secrets if s in repr(settings) or s in str(settings)]

    def test_check_says_who_answered(self, connector: Connector) -> None:
        said = connector.check()

        assert "System" in str(said)

    def test_discovery_is_stable(self, connector: Connector) -> None:
        assert connector.discover() == connector.discover()

    def test_an_entity_is_consistent(self, entity: Entity) -> None:
        names = [f.name for f in entity.fields]

        assert len(names) == len(set(names))
        assert set(entity.key) <= set(names)
        assert entity.cursor_field is None or entity.cursor_field in names
        assert set(entity.capabilities.lookup_by) <= set(names)
        assert entity.cursor_field is not None or entity.capabilities.own_cursor or not entity.capabilities.incremental
