"""Real records to try a mapping on: read from the source, kept for some minutes, so that typing asks no system."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.core.cache import cache

from connectors.base import ConnectorError
from integration_hub.accounts.actor import Actor
from integration_hub.core import texts
from integration_hub.mappings.records import plain_records
from integration_hub.systems import services as systems
from integration_hub.systems.models import Entity

MOST = 100
KEPT_SECONDS = 600


@dataclass
class Samples:
    """Records as JSON, in the hub's text forms; `failed` says why there are none."""

    records: list[dict[str, Any]] = field(default_factory=list)
    read_at: datetime | None = None
    failed: str = ""


def samples_of(entity: Entity, *, by: Actor, anew: bool = False) -> Samples:
    """Up to a hundred of the first records. Never raises for a system that does not answer: `failed` tells."""
    if not by.allows("records.view"):
        return Samples()
    place = _place(entity)
    kept = None if anew else cache.get(place)
    if kept is not None:
        return Samples(*kept)
    try:
        sample = systems.read_sample(entity, by=by, count=MOST)
    except ConnectorError as error:
        return Samples(failed=texts.render(error.text))
    except StopIteration:
        return Samples()
    found = Samples(_plain(entity, sample), sample.read_at)
    cache.set(place, (found.records, found.read_at), KEPT_SECONDS)
    return found


def _place(entity: Entity) -> str:
    schema = hashlib.sha256(json.dumps(entity.schema, sort_keys=True).encode()).hexdigest()[:16]
    return f"mappings.samples.{entity.pk}.{schema}"


def _plain(entity: Entity, sample: systems.Sample) -> list[dict[str, Any]]:
    """The rows as JSON. What does not fit its field goes back to the text it came as, so that a preview tells of it; unreadable records are left out."""
    import polars as pl

    schema = entity.as_schema()
    columns = schema.frame_schema(sample.fields)
    frame = pl.DataFrame(sample.rows, schema=columns, orient="row") if sample.rows else pl.DataFrame(schema=columns)
    records = plain_records(frame, schema.fields)
    unreadable = set()
    for misfit in sample.misfits:
        if misfit.field:
            records[misfit.row][misfit.field] = misfit.text
        else:
            unreadable.add(misfit.row)
    return [record for number, record in enumerate(records) if number not in unreadable]
