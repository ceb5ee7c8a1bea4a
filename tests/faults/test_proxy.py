"""Syncs through a proxy that cuts, delays, refuses, repeats and reorders: afterwards the target is as after an undisturbed run."""

import os
import random

import pytest

from integration_hub.core import texts
from integration_hub.syncs import services
from integration_hub.syncs.models import OpenRow
from tests.faults import proxy
from tests.faults.comparing import compared
from tests.syncs.conftest import TARGETS, by, demo_sync_at, finish, run_now, sandbox, sandbox_server  # noqa: F401  fixtures
from tests.syncs.equal import assert_books

pytestmark = pytest.mark.django_db(transaction=True)

# Of the requests, so that each sync meets some twenty faults: the ERP takes its customers in bulk, and few requests pass.
SHARES = dict.fromkeys(TARGETS, 0.01) | {"CRM accounts → ERP customers": 0.2}
SEEDS = 1 if os.environ.get("SEED") else 200
RECORDS = 2000


def name_by(seed):
    return list(TARGETS)[seed % len(TARGETS)]


def synced_through(sandbox, by, run_now, name, seed, *, records, share):  # noqa: F811
    """One of the demo's syncs with so many records, under faults and then once more without."""
    target, source, counts, entity = TARGETS[name]
    sandbox.system(source).has(**dict.fromkeys(counts, records))
    sandbox.system(target).has(**{entity.replace("-", "_"): 5})
    with proxy.before(sandbox, seed, share=share) as (spoiling, url):
        sync = demo_sync_at(url, by)(name)
        disturbed = run_now(sync)
        assert_books(disturbed)
        spoiling.calm()
        after = run_now(sync)
        assert after.state in ("succeeded", "with_rejects"), texts.render(after.error)
        assert_books(after)
        if services.replay_rejects(OpenRow.objects.all(), by=by):
            finish(sync.runs.latest("pk"))
        told = compared(sync)
    assert sum(spoiling.met.values()) > 0
    created = sum(count for what, count in sandbox.system(target).applied().items() if what in (f"{entity}.create", f"{entity}.upsert"))
    assert {what: told[what] for what in ("missing", "differs", "twins", "left")} == {"missing": [], "differs": [], "twins": [], "left": {}}
    assert len(sandbox.system(target).records(entity)) <= 5 + created
    assert told["expected"] == records
    return spoiling.met


@pytest.mark.parametrize("seed", range(len(TARGETS)))
def test_a_sync_through_a_proxy_that_spoils_some_of_what_passes(sandbox, db, by, run_now, seed):  # noqa: F811
    synced_through(sandbox, by, run_now, name_by(seed), seed, records=100, share=0.1)


@pytest.mark.faults
@pytest.mark.parametrize("number", range(SEEDS))
def test_two_thousand_records_through_a_proxy_that_spoils_some_of_what_passes(sandbox, db, by, run_now, number):  # noqa: F811
    seed = int(os.environ.get("SEED") or random.randrange(10**6) // SEEDS * SEEDS + number)
    print(f"SEED={seed}")
    print(dict(synced_through(sandbox, by, run_now, name_by(seed), seed, records=RECORDS, share=SHARES[name_by(seed)])))
