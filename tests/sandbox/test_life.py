from __future__ import annotations

import subprocess
import sys
import time

import pytest

from sandbox.testing import ROOT, running
from sandbox.world import SYNC_WRITTEN, World
from tests.sandbox.dialects import CrmDialect, ErpDialect


def snapshot(world: World) -> dict[str, dict]:
    return {f"{s.name}.{entity}": dict(table.rows) for s in world.systems.values() for entity, table in s.tables.items()}


def test_life_makes_and_changes_but_deletes_nothing_and_leaves_to_the_syncs_what_is_theirs():
    world = World()
    before = snapshot(world)

    for _ in range(600):
        world.life.step()

    after = snapshot(world)
    for name, rows in before.items():
        assert rows.keys() <= after[name].keys()
    for name in SYNC_WRITTEN:
        assert after[name] == before[name]
    touched = {name for name in before if after[name] != before[name]}
    assert touched == {"oa.user", "crm.accounts", "crm.contacts", "erp.sales_orders", "helpdesk.tickets"}
    for name in touched:
        assert len(after[name]) > len(before[name])
        assert any(after[name][key] != record for key, record in before[name].items())


def test_a_change_by_life_moves_the_time_of_change(sandbox, oa):
    done = sandbox.live(30)

    changed = {line.rsplit(" ", 1)[1] for line in done if line.startswith("oa.user: ")}
    assert changed
    today = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(time.time() + 8 * 3600 - 60))
    assert {user["userId"] for user in oa.records("user", modifiedSince=today)} == changed


def test_life_goes_on_by_itself_until_it_is_paused(sandbox):
    sandbox.control("life", paused=False, seconds=[0.01, 0.02])
    steps = sandbox.control("life")["steps"]

    deadline = time.monotonic() + 5
    while sandbox.control("life")["steps"] < steps + 3 and time.monotonic() < deadline:
        time.sleep(0.01)

    assert sandbox.control("life")["steps"] >= steps + 3
    sandbox.pause_life()
    still = sandbox.control("life")["steps"]
    time.sleep(0.1)
    assert sandbox.control("life")["steps"] == still


def test_what_was_written_survives_a_crash_and_a_stop(tmp_path):
    with running(data=tmp_path) as sandbox:
        crm, erp = CrmDialect(sandbox.url), ErpDialect(sandbox.url)
        key = crm.say("POST", "/v1/users", {"full_name": "王芳", "email": "f@hailan.example"}).json["id"]
        crm.say("PATCH", f"/v1/users/{key}", {"title": "CEO"})
        crm.say("DELETE", "/v1/users/usr_000001")
        made = erp.say("POST", "/api/customers", {"NAME": "A", "COUNTRY": "CN"}, **{"Idempotency-Key": "k"})
        for stop in (sandbox.kill, sandbox.stop):
            before = {entity: sandbox.records("crm", entity) for entity in crm.entities}
            stop()
            sandbox.start_again()
            assert {entity: sandbox.records("crm", entity) for entity in crm.entities} == before
        crm.connection.close()
        erp.connection.close()

        assert crm.say("GET", f"/v1/users/{key}").json["title"] == "CEO"
        assert crm.say("GET", "/v1/users/usr_000001").status == 404
        assert erp.say("POST", "/api/customers", {"NAME": "A", "COUNTRY": "CN"}, **{"Idempotency-Key": "k"}).body == made.body
        assert crm.say("POST", "/v1/users", {"full_name": "B", "email": "b@hailan.example"}).json["id"] > key
        crm.connection.close()
        erp.connection.close()


def test_a_journal_torn_while_it_was_written_is_read_up_to_there(tmp_path):
    world = World(folder=tmp_path)
    before = snapshot(world)
    world.journal.close()
    with (tmp_path / "sandbox.jsonl").open("ab") as file:
        file.write(b'["crm.users","usr_000001",1,')

    again = World(folder=tmp_path)
    assert snapshot(again) == before
    again.journal.close()


def test_a_port_that_is_taken_is_named(sandbox):
    done = subprocess.run(
        [sys.executable, "-m", "sandbox", "--port", str(sandbox.port)], cwd=ROOT, capture_output=True, text=True, timeout=20, check=False
    )

    assert done.returncode == 1
    assert f"127.0.0.1:{sandbox.port} cannot be opened: Address already in use" in done.stderr


@pytest.mark.parametrize("scale", [3])
def test_the_scale_multiplies_the_records(scale):
    one, more = World(), World(scale=scale)

    assert len(more.systems["crm"].tables["contacts"]) == scale * len(one.systems["crm"].tables["contacts"])
