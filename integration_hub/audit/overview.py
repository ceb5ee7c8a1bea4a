"""The last changes of configuration, for the overview."""

from __future__ import annotations

from itertools import islice
from typing import Any

from integration_hub.audit.models import Entry
from integration_hub.audit.texts import sentence
from integration_hub.core.overview import Change

LOOKS = ("system.discovered", "person.signed_in", "person.signed_out", "person.locked_out")  # change nothing
SHOWN, LOOKED_AT = 6, 200
CONFIGURATION = ("system.", "entity.", "mapping.", "sync.", "person.", "token.")  # of events; runs and sign-ins have pages of their own


def recent_changes(by: Any) -> list[Change]:
    """Who changed what, newest first. Launches, of which there may be millions, are not even looked at (index audit_but_launches)."""
    if not by.allows("systems.view"):
        return []
    newest = Entry.objects.exclude(event="run.started").order_by("-pk")[:LOOKED_AT]
    changes = (entry for entry in newest if entry.event.startswith(CONFIGURATION) and entry.event not in LOOKS)
    return [Change(entry.at, entry.actor_name, sentence(entry)) for entry in islice(changes, SHOWN)]
