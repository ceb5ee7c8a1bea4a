"""What a person orders of a hub that runs: `order.py pause | resume | hurry SECONDS | run NAME | replay | compare NAME | books`. The answer is the last line, as JSON."""

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ["DJANGO_SETTINGS_MODULE"] = "integration_hub.settings"

import django

django.setup()

import numpy as np

from integration_hub.accounts.actor import Actor
from integration_hub.core import texts
from integration_hub.core.keys import canonical_key
from integration_hub.mappings.engine import compile_mapping
from integration_hub.syncs import services
from integration_hub.syncs.books import books_of
from integration_hub.syncs.mapping import send_mask
from integration_hub.syncs.models import OpenRow, Run, Sync
from integration_hub.syncs.prints import field_hashes
from integration_hub.systems.connection import connect

by = Actor.hub()


def pause():
    for sync in Sync.objects.all():
        services.pause_sync(sync, by=by)


def resume():
    for sync in Sync.objects.all():
        services.resume_sync(sync, by=by)


def run(name, *options):
    run = services.start_run(Sync.objects.get(name=name), by=by, full="full" in options)
    return {"run": run.pk, "partition": run.partitions.get().pk}


def hurry(seconds):
    for sync in Sync.objects.all():
        services.change_sync(sync, by=by, interval_seconds=int(seconds))


def replay():
    return services.replay_rejects(OpenRow.objects.all(), by=by)


def compare(name):
    """The target as it is, beside what the source maps to: keys of what is missing, differs or is there twice, apart from open rows with a reason."""
    sync = Sync.objects.get(name=name)
    source, target, version = sync.source.as_schema(), sync.target.as_schema(), sync.mapping.latest
    mapping = compile_mapping(version.definition, source, target)
    fields = [plan.target.name for plan in mapping.plans]
    there: dict[tuple[str, str], list[np.ndarray]] = {}
    with connect(sync.target.system) as connector:
        pages = list(connector.read(target))
    names = {tuple(match) for match in version.definition["match"]}
    for page in pages:
        for match in names:
            for key, hashes in zip(canonical_key(page.frame, match), field_hashes(page.frame, fields), strict=True):
                there.setdefault((json.dumps(match), key), []).append(hashes)
    told = {"expected": 0, "missing": [], "differs": [], "twins": [], "left": {}, "rejected": 0}
    told["left"] = {row.key: texts.render(row.reason) for row in OpenRow.objects.open().filter(sync=sync)}
    with connect(sync.source.system) as connector:
        for page in connector.read(source):
            outcome = mapping.apply(page)
            told["rejected"] += outcome.rejected.height
            keys = canonical_key(page.frame, source.key).gather(outcome.frame["row"]).to_list()
            send = send_mask(outcome, fields)
            for key, hashes, mask, match in zip(keys, field_hashes(outcome.frame, fields), send, outcome.match.iter_rows(named=True), strict=True):
                found = there.get((json.dumps(json.loads(match["match_field"])), match["match_value"]), [])
                told["expected"] += 1
                if key in told["left"]:
                    continue
                if not found:
                    told["missing"].append(key)
                elif len(found) > 1:
                    told["twins"].append(key)
                elif not (found[0] == hashes)[mask].all():
                    told["differs"].append(key)
    return told


def books():
    """Every run's figures: as kept, as recounted from what it did, and whether they balance."""
    return [
        {"run": run.pk, "name": run.name, "state": run.state, "kept": run.sums(), "recounted": books_of(run).counts, "balanced": run.balanced}
        for run in Run.objects.exclude(ended_at=None)
    ]


print(json.dumps(globals()[sys.argv[1]](*sys.argv[2:])))  # noqa: T201
