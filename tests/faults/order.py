"""What a person orders of a hub that runs: `order.py pause | hurry SECONDS | sync NAME ABOUT | run NAME | replay | compare NAME | books`. The answer is the last line, as JSON."""

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ["DJANGO_SETTINGS_MODULE"] = "integration_hub.settings"

import django

django.setup()

from integration_hub.accounts.actor import Actor
from integration_hub.syncs import services
from integration_hub.syncs.books import books_of
from integration_hub.syncs.models import OpenRow, Run, Sync
from tests.faults.comparing import compared
from tests.syncs.conftest import published, registered

by = Actor.hub()


def pause():
    for sync in Sync.objects.all():
        services.pause_sync(sync, by=by)


def sync(name, about):
    """Set up a full sync between two databases, as customers.py says it."""
    about = json.loads(about)

    def entity(side):
        return registered(side, about[side]["settings"], by, connector="sql", **about[side]["options"]).entities.get(name=about[side]["table"])

    source, target = entity("source"), entity("target")
    mapping = published(name, source, target, about["mapping"])
    services.create_sync(by=by, source=source, target=target, name=name, mapping=mapping, mode="full")


def run(name, *options):
    run = services.start_run(Sync.objects.get(name=name), by=by, full="full" in options)
    return {"run": run.pk, "partition": run.partitions.get().pk}


def hurry(seconds):
    for sync in Sync.objects.all():
        services.change_sync(sync, by=by, interval_seconds=int(seconds))


def replay():
    return services.replay_rejects(OpenRow.objects.all(), by=by)


def compare(name):
    return compared(Sync.objects.get(name=name))


def books():
    """Every run's figures: as kept, as recounted from what it did, and whether they balance."""
    return [
        {"run": run.pk, "name": run.name, "state": run.state, "kept": run.sums(), "recounted": books_of(run).counts, "balanced": run.balanced}
        for run in Run.objects.exclude(ended_at=None)
    ]


print(json.dumps(globals()[sys.argv[1]](*sys.argv[2:])))
