"""A run between databases while its workers are killed and its broker and its database are restarted: it goes on by itself within half a minute, and
the target is as after an undisturbed run.

PostgreSQL holds both tables and all that the hub keeps, so its restart takes everything away at once.
"""

import contextlib
import json
import os
import random
import time
from functools import partial

import pytest

from tests.faults.customers import PostgresShop, SqliteShop
from tests.faults.hub import running_hub
from tests.faults.servers import PostgreSQL, RabbitMQ, Redis, server

SYNC = "Customers → Contacts"
ROWS = int(os.environ.get("ROWS") or 1_000_000)
HALF_A_MINUTE = 30.0
TURN_SECONDS = 30.0  # after which a worker gives back what it holds, and needs the broker again
SECRETS = {"SECRET_KEY": "faults-0123456789-" * 4, "CREDENTIAL_KEYS": "k1:ZmF1bHRzLWZhdWx0cy1mYXVsdHMtZmF1bHRzLWZhdWw"}


class Disturbed:
    """A hub that carries a shop's customers, and the blows that it is dealt."""

    def __init__(self, hub, shop, **servers):
        self.hub, self.shop, self.servers = hub, shop, servers
        self.blows = [self.kill_one, self.kill_all, self.restart_broker, *([self.restart_database] if "database" in servers else [])]
        hub.order("sync", SYNC, json.dumps(shop.about()))
        self.run = hub.order("run", SYNC)["run"]

    def kill_one(self, chance):
        """kill -9 of the process that carries one of the partitions."""
        held = self.held()
        some = chance.sample(held, min(1, len(held)))  # between two turns nobody may hold any
        began = time.monotonic()
        for partition, _number in some:
            self.hub.kill_holder(partition)
        return self.taken_over(some, began)

    def kill_all(self, chance):
        """kill -9 of the worker with all that it carries."""
        held, began = self.held(), time.monotonic()
        self.hub.kill_program("bulk")
        return self.taken_over(held, began)

    def restart_broker(self, chance):
        """Without what was in it, where it keeps nothing. The workers go on with what they hold."""
        if "broker" in self.servers:
            self.restart("broker", chance)
        else:
            self.hub.kill_program("broker")
        return self.taken_up(TURN_SECONDS)

    def restart_database(self, chance):
        self.restart("database", chance)
        return self.taken_up(0)

    def restart(self, name, chance):
        self.servers[name].end()
        time.sleep(chance.uniform(0.5, 5.0))
        self.servers[name].start()

    # --- how it goes on -----------------------------------------------------------------------------------------------

    def held(self):
        """The partitions that are being carried, each with the number of its lease."""
        return self.hub.rows("SELECT id, lease_number FROM syncs_partition WHERE run_id = ? AND lease_holder <> '' ORDER BY id", self.run)

    def taken_over(self, lost, began):
        """Wait until each of these partitions has another holder: the seconds until the last had one. What was given back in that very moment
        was not lost."""
        for lease in lost:
            self.hub.wait_for(lambda lease=lease: not self.is_held_under(*lease), seconds=90, what=f"partition {lease[0]} to be taken over")
        return time.monotonic() - began

    def is_held_under(self, partition, number):
        return self.hub.rows("SELECT 1 FROM syncs_partition WHERE id = ? AND lease_number = ? AND lease_until IS NOT NULL", partition, number) != []

    def taken_up(self, after):
        """Wait until any partition is taken up: the seconds, less those until one had to be."""
        before = self.lease_numbers()
        seconds = self.hub.wait_for(lambda: self.lease_numbers() > before or self.has_ended(), seconds=after + 90, what="the work to go on")
        return max(0.0, seconds - after)

    def goes_on(self):
        return not self.hub.rows("SELECT 1 FROM syncs_partition WHERE run_id = ? AND lost_leases > 0", self.run) or self.has_ended()

    def lease_numbers(self):
        return self.hub.rows("SELECT SUM(lease_number) FROM syncs_partition WHERE run_id = ?", self.run)

    def settled(self):
        return self.hub.rows("SELECT COALESCE(SUM(settled), 0) FROM syncs_changeset WHERE run_id = ?", self.run)[0][0]

    def has_ended(self):
        return self.hub.rows("SELECT 1 FROM syncs_run WHERE id = ? AND ended_at IS NOT NULL", self.run) != []

    # --- how it ends --------------------------------------------------------------------------------------------------

    def assert_as_undisturbed(self):
        """Each customer is a contact, once and as it should be; each contact is linked, to its customer; the run's books balance."""
        (books,) = self.hub.order("books")
        said = self.hub.rows("SELECT text FROM syncs_logline WHERE run_id = ? ORDER BY id", self.run)
        assert (books["state"], books["balanced"]) == ("succeeded", True), said
        assert books["kept"] == books["recounted"]
        assert books["recounted"]["created"] == ROWS
        assert self.shop.faults() == {"missing": 0, "wrong": 0, "twins": 0}
        linked = "SELECT COUNT(*), COUNT(DISTINCT a_key), COUNT(DISTINCT b_key), SUM(CAST(a_key AS BIGINT) * CAST(b_key AS BIGINT)) FROM syncs_link"
        with self.shop.connected() as shop:
            contacts = shop.execute("SELECT COUNT(*), COUNT(DISTINCT number), COUNT(DISTINCT id), SUM(number * id) FROM contacts").fetchone()
        assert self.hub.rows(f"{linked} WHERE ended_at IS NULL") == [contacts]
        assert contacts[0] == ROWS


@contextlib.contextmanager
def on_postgresql(broker, folder):
    with server(PostgreSQL) as database, server(broker) as messages:
        shop = PostgresShop(database.made("shop"), ROWS)
        with running_hub(demo=False, DATABASE_URL=database.made("hub"), BROKER_URL=messages.url, **SECRETS) as hub:
            yield Disturbed(hub, shop, database=database, broker=messages)


@contextlib.contextmanager
def on_sqlite(folder):
    shop = SqliteShop(folder, ROWS)
    with running_hub(demo=False, ALLOWED_FOLDERS=str(folder)) as hub:
        yield Disturbed(hub, shop)


@pytest.fixture(
    params=[
        pytest.param(partial(on_postgresql, RabbitMQ), id="PostgreSQL and RabbitMQ", marks=pytest.mark.service("postgres", "rabbitmq-server")),
        pytest.param(partial(on_postgresql, Redis), id="PostgreSQL and Redis", marks=pytest.mark.service("postgres", "redis-server")),
        pytest.param(on_sqlite, id="SQLite and the embedded broker"),
    ]
)
def disturbed(request, tmp_path):
    with request.param(tmp_path) as disturbed:
        yield disturbed


def blows(disturbed, chance):
    """Every blow, in any order, again and again, until the run has ended. Between two of them it goes on, for a page that costs worker after worker
    its life fails the run."""
    while True:
        for blow in chance.sample(disturbed.blows, len(disturbed.blows)):
            disturbed.hub.wait_for(disturbed.goes_on, seconds=90, what="what was taken over to go on")
            time.sleep(chance.uniform(0.2, 3.0))
            if disturbed.has_ended():
                return
            yield blow


@pytest.mark.faults
@pytest.mark.timeout(4000)
def test_a_run_between_databases_outlives_its_workers_its_broker_and_its_database(disturbed):
    seed = int(os.environ.get("SEED") or random.randrange(10**6))
    print(f"\nSEED={seed} ROWS={ROWS}")
    chance, times = random.Random(seed), {}
    disturbed.hub.wait_for(disturbed.settled, seconds=60, what="the first portion")

    for blow in blows(disturbed, chance):
        settled, seconds = disturbed.settled(), blow(chance)
        times.setdefault(blow.__name__, []).append(seconds)
        print(f"{blow.__name__} at {settled:,} rows: taken up after {seconds:.1f} s")

    disturbed.assert_as_undisturbed()
    assert set(times) == {blow.__name__ for blow in disturbed.blows}
    assert max(map(max, times.values())) <= HALF_A_MINUTE
