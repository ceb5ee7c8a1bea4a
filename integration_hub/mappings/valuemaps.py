"""One more entry in a value map: what clears all records that were rejected for one value."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from django.db import transaction

from integration_hub.accounts.actor import Actor
from integration_hub.mappings import services
from integration_hub.mappings.models import Mapping, MappingVersion

Json = dict[str, Any]


def with_entry(definition: Json, *, field: str, step: int, value: str, becomes: str) -> Json | None:
    """The definition in which `value` becomes `becomes`, at this step of the target field's mapping; None where it has no such field or step.

    Behind its last step, where values are checked, this takes a value map that keeps all others: the last step, or one that is added.
    """
    changed = deepcopy(definition)
    told = next((each for each in changed.get("fields", ()) if each.get("target") == field), None)
    steps = told.setdefault("steps", []) if told is not None else []
    if told is None or step < 1 or step > len(steps) + 1:
        return None
    if step == len(steps) + 1:
        last = steps[-1] if steps else {}
        if last.get("transform") != "value_map" or last.get("otherwise") != "keep" or value in last["table"].values():
            steps.append({"transform": "value_map", "table": {}, "otherwise": "keep"})
            step += 1
        step -= 1
    if steps[step - 1].get("transform") != "value_map":
        return None
    steps[step - 1]["table"] = {**steps[step - 1]["table"], value: becomes}
    return changed


def table_of(definition: Json, *, field: str, step: int) -> dict[str, str]:
    """The table of this step; {} where it is no value map."""
    told: Json = next((each for each in definition.get("fields", ()) if each.get("target") == field), {})
    steps = told.get("steps", [])
    return dict(steps[step - 1].get("table", {})) if 0 < step <= len(steps) else {}


def add_entry(mapping: Mapping, *, field: str, step: int, value: str, becomes: str, by: Actor) -> tuple[MappingVersion | None, bool]:
    """Add an entry to the published value map and to that of the draft, which may say more than what is published.

    Published at once where `by` may publish: the new version, else None. And whether the draft has the entry: False where its steps are others by now.
    Raises DefinitionError where the published mapping no longer fits its entities.
    """
    by.require("mappings.change", mapping)
    with transaction.atomic():
        mapping = Mapping.objects.select_for_update(of=("self",)).select_related("source", "target").get(pk=mapping.pk)
        entry: Json = {"field": field, "step": step, "value": value, "becomes": becomes}
        draft = with_entry(mapping.draft, **entry)
        if draft is not None:
            mapping = services.change_mapping(mapping, definition=draft, by=by)
        version, latest = None, mapping.latest
        if latest is not None and by.allows("mappings.publish") and (definition := with_entry(latest.definition, **entry)) is not None:
            version = services.publish_definition(mapping, definition, by=by)
    return version, draft is not None
