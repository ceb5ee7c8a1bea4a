"""Mappings, syncs, runs and rejects through the API, on running systems of the sandbox."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from integration_hub.audit.models import Entry
from integration_hub.mappings.models import Mapping
from integration_hub.syncs.models import OpenRow, Run, Sync
from tests.syncs.conftest import USERS_TO_USERS, by, crm, few, finish, oa, run_now, sandbox, sandbox_server, users_sync

__all__ = ["by", "crm", "few", "oa", "run_now", "sandbox", "sandbox_server", "users_sync"]
pytestmark = pytest.mark.django_db(transaction=True)
V1 = "/api/v1"
JSON = "application/json"


def test_from_a_mapping_to_a_run_without_the_console(api, integrator, oa, crm):
    client = api(integrator)
    body = {"name": "Users", "source": {"system": "oa", "entity": "users"}, "target": {"system": "crm", "entity": "users"}, "draft": USERS_TO_USERS}

    mapping = client.post(f"{V1}/mappings/", body, content_type=JSON).json()
    preview = client.post(f"{V1}/mappings/{mapping['id']}/preview/", {}, content_type=JSON).json()
    version = client.post(f"{V1}/mappings/{mapping['id']}/publish/")
    sync = client.post(f"{V1}/syncs/", {"name": "Users", "mapping": mapping["id"], "interval_seconds": 60}, content_type=JSON).json()
    run = client.post(f"{V1}/syncs/{sync['id']}/run/", {}, content_type=JSON)

    assert mapping["latest_version"] is None
    assert preview["records"][0]["record"]["employee_id"] == "U000001"
    assert version.json()["number"] == 1
    assert (sync["source"], sync["standing"], sync["mode"]) == ({"system": "oa", "entity": "users"}, "never_ran", "incremental")
    assert run.status_code == 201, run.content
    assert (run.json()["state"], run.json()["trigger"], run.json()["counts"]["read"]) == ("queued", "api", 0)

    finish(Run.objects.get())
    found = client.get(f"{V1}/runs/{run.json()['id']}/").json()
    assert (found["state"], found["balanced"], found["counts"]["read"]) == ("with_rejects", True, 240)
    assert client.get(f"{V1}/mappings/{mapping['id']}/").json()["latest_version"] == 1
    assert client.get(f"{V1}/syncs/").json()["items"][0]["last_run"] == found["id"]


# --- mappings ---------------------------------------------------------------------------------------------------------


def test_a_draft_is_changed_and_what_is_wrong_with_it_is_told_at_its_place(api, integrator, users_sync):
    client, address = api(integrator), f"{V1}/mappings/{users_sync.mapping_id}/"
    draft = {"fields": [{"target": "email", "source": "email"}, {"target": "full_name", "source": "nam", "steps": [{"transform": "trim"}]}]}

    assert client.patch(address, {"draft": draft}, content_type=JSON).json()["draft"] == draft
    refused = client.post(f"{address}publish/")

    assert refused.status_code == 400
    assert refused.json()["errors"][0]["pointer"].startswith("#/draft/fields/1")
    assert Mapping.objects.get().versions.count() == 1


def test_a_mapping_is_renamed_and_keeps_its_entities(api, integrator, operator, users_sync):
    client, address = api(integrator), f"{V1}/mappings/{users_sync.mapping_id}/"
    taken = Mapping.objects.create(name="Taken", source=users_sync.source, target=users_sync.target)

    renamed = client.patch(address, {"name": "Staff", "draft": {"fields": []}}, content_type=JSON).json()
    refused = client.patch(address, {"name": taken.name, "draft": {}}, content_type=JSON)
    turned = client.patch(address, {"source": {"system": "crm", "entity": "users"}}, content_type=JSON)

    assert (renamed["name"], renamed["draft"]) == ("Staff", {"fields": []})
    assert Entry.objects.get(event="mapping.renamed").changes == {"name": ["Users", "Staff"]}
    assert (refused.status_code, [error["pointer"] for error in refused.json()["errors"]]) == (400, ["#/name"])
    assert turned.json()["errors"] == [{"detail": "A mapping keeps its entities. Make another one.", "pointer": "#/source"}]
    assert client.patch(address, {"name": " "}, content_type=JSON).status_code == 400
    assert api(operator).patch(address, {"name": "Mine"}, content_type=JSON).status_code == 403
    assert Mapping.objects.get(pk=users_sync.mapping_id).name == "Staff"


def test_versions_are_kept_and_a_mapping_in_use_stays(api, integrator, users_sync):
    client, address = api(integrator), f"{V1}/mappings/{users_sync.mapping_id}/"

    assert client.post(f"{address}publish/").json()["number"] == 2
    assert [version["number"] for version in client.get(f"{address}versions/").json()["items"]] == [2, 1]
    assert client.get(f"{address}versions/1/").json()["definition"] == USERS_TO_USERS
    assert client.get(f"{address}versions/9/").status_code == 404
    conflict = client.delete(address)
    assert conflict.status_code == 409
    assert users_sync.name in conflict.json()["detail"]


def test_a_system_in_use_stays_and_says_who_uses_it(api, integrator, users_sync):
    conflict = api(integrator).delete(f"{V1}/systems/oa/")

    assert conflict.status_code == 409
    assert conflict.json()["detail"] == f"OA is used by Users, {users_sync.name}. Change or delete these first."


def test_an_entity_that_is_not_offered_cannot_be_mapped(api, integrator, oa, crm):
    body = {"name": "Users", "source": {"system": "oa", "entity": "nothing"}, "target": "crm/users"}

    answer = api(integrator).post(f"{V1}/mappings/", body, content_type=JSON)

    assert {error["pointer"] for error in answer.json()["errors"]} == {"#/source", "#/target"}


# --- syncs ------------------------------------------------------------------------------------------------------------


def test_a_sync_is_changed_paused_resumed_and_deleted(api, integrator, users_sync):
    client, address = api(integrator), f"{V1}/syncs/{users_sync.pk}/"

    assert client.patch(address, {"crontab": "0 2 * * *", "time_zone": "Asia/Shanghai"}, content_type=JSON).json()["next_due_at"]
    followed = client.patch(address, {"deletes": "mark", "mark_field": "email", "mark_value": "x", "roster_crontab": "0 3 * * *"}, content_type=JSON)
    assert followed.json()["roster_due_at"], followed.json()
    wrong = client.patch(address, {"crontab": "never", "filter": "nothing = 1"}, content_type=JSON)
    assert {error["pointer"] for error in wrong.json()["errors"]} == {"#/crontab", "#/filter"}
    assert client.post(f"{address}pause/").json()["standing"] == "paused"
    assert client.get(f"{V1}/syncs/?paused_at__isnull=true").json()["items"] == []
    assert client.post(f"{address}resume/").json()["paused_at"] is None
    assert client.delete(address).status_code == 204
    assert not Sync.objects.exists()


def test_a_pair_is_forgotten_once_no_sync_is_left_of_it(api, integrator, users_sync, run_now):
    run_now(users_sync)
    client, address = api(integrator), f"{V1}/pairs/{users_sync.pair_id}/"

    assert client.get(f"{V1}/pairs/").json()["items"][0]["syncs"] == [users_sync.name]
    assert client.delete(address).status_code == 409
    client.delete(f"{V1}/syncs/{users_sync.pk}/")
    assert client.delete(address).status_code == 204

    assert not Run.objects.exists()


def test_a_sync_has_an_owner_by_name(api, integrator, users_sync):
    client, address = api(integrator), f"{V1}/syncs/{users_sync.pk}/"

    assert client.get(address).json()["owner"] is None
    assert client.patch(address, {"owner": "integrator"}, content_type=JSON).json()["owner"] == "integrator"
    assert client.patch(address, {"owner": "nobody here"}, content_type=JSON).status_code == 400
    assert client.patch(address, {"owner": None}, content_type=JSON).json()["owner"] is None


def test_a_launch_with_a_word_the_hub_does_not_know_starts_nothing(api, operator, users_sync):
    answer = api(operator).post(f"{V1}/syncs/{users_sync.pk}/run/", {"dry_run": True}, content_type=JSON)

    assert answer.status_code == 400
    known = "dry, full, reconcile, keys, keys_only"
    assert answer.json()["errors"] == [{"detail": f"dry_run is not known here. Known are: {known}.", "pointer": "#/dry_run"}]
    assert not Run.objects.exists()


def test_one_record_is_traced_and_nothing_is_written(api, viewer, users_sync, run_now):
    client, address = api(viewer), f"{V1}/syncs/{users_sync.pk}/trace/"

    before = client.get(f"{address}?key=U000003").json()
    run_now(users_sync)
    after = client.get(f"{address}?key=U000003").json()

    assert (before["ending"], before["is_linked"], before["writes"]) == ("update", False, {"employee_id": "U000003"})
    assert before["record"]["userId"] == "U000003"
    assert [field["field"] for field in before["fields"]] == ["employee_id", "full_name", "email"]
    assert (after["ending"], after["is_linked"], after["target"]["employee_id"]) == ("unchanged", True, "U000003")
    assert client.get(address).status_code == 400
    assert client.get(f"{address}?key=nobody").json()["detail"] == "OA has no record with the key nobody."


def test_the_cursor_is_read_and_set_back(api, integrator, users_sync, run_now):
    client, address = api(integrator), f"{V1}/syncs/{users_sync.pk}/cursor/"
    assert client.get(address).json()["value"] == ""
    run_now(users_sync)
    assert client.get(address).json()["value"] > "2026-"

    body = {"value": "2026-02-01", "note": "once more"}
    assert client.put(address, body, content_type=JSON).json()["value"] == "2026-02-01T00:00:00.000000Z"
    assert Entry.objects.get(event="sync.cursor_set").note == "once more"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"value": "2026-02-01"}, "#/note"),
        ({"value": "2026-02-01", "note": "  "}, "#/note"),
        ({"value": "2026-02-01", "note": "x" * 1_001}, "#/note"),
        ({"value": "never", "note": "once more"}, "#/value"),
    ],
)
def test_a_cursor_is_not_set_without_a_reason_or_to_what_is_none(api, integrator, users_sync, body, pointer):
    answer = api(integrator).put(f"{V1}/syncs/{users_sync.pk}/cursor/", body, content_type=JSON)

    assert (answer.status_code, [error["pointer"] for error in answer.json()["errors"]]) == (400, [pointer])
    assert not users_sync.cursors.exists()


@pytest.mark.parametrize("value", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-10:00"])
def test_a_cursor_beyond_the_calendar_is_refused(api, integrator, users_sync, value):
    answer = api(integrator).put(f"{V1}/syncs/{users_sync.pk}/cursor/", {"value": value, "note": "once more"}, content_type=JSON)

    assert answer.status_code == 400, answer.content
    assert answer.json()["errors"][0]["detail"] == f"“{value}” is not a date and time, such as 2026-11-22T08:00:00Z."


def test_a_launch_under_a_key_takes_effect_once_and_a_busy_pair_is_a_conflict(api, operator, users_sync):
    client, address = api(operator), f"{V1}/syncs/{users_sync.pk}/run/"

    first, second = (client.post(address, {}, content_type=JSON, headers={"Idempotency-Key": "k1"}) for _ in range(2))
    other = client.post(address, {}, content_type=JSON, headers={"Idempotency-Key": "k2"})
    dry = client.post(address, {"dry": True}, content_type=JSON)

    assert first.status_code == second.status_code == 201
    assert first.json() == second.json()
    assert second["Idempotent-Replayed"] == "true"
    assert other.status_code == 409
    assert "still going" in other.json()["detail"]
    assert dry.status_code == 201, "a dry run takes no lock"
    assert Run.objects.count() == 2
    assert client.post(address, {"keys": [""]}, content_type=JSON).status_code in (400, 409)


def test_both_sides_are_compared_and_the_drift_is_told_by_field(api, operator, few, users_sync, run_now):
    client, address = api(operator), f"{V1}/syncs/{users_sync.pk}"
    run_now(users_sync)
    (key,) = (user["id"] for user in few.records("crm", "users") if user["employee_id"] == few.records("oa", "user")[10]["userId"])
    few.crm.change("users", key, full_name="Other")
    assert client.get(f"{address}/drift/").json() == []

    launched = client.post(f"{address}/run/", {"reconcile": True}, content_type=JSON)
    finish(Run.objects.get(pk=launched.json()["id"]))
    (found,) = client.get(f"{address}/drift/").json()

    assert (launched.status_code, launched.json()["mode"], launched.json()["dry"]) == (201, "reconcile", True)
    assert {name: found[name] for name in ("run", "compared", "total", "differing", "changed_fields", "unlinked", "left", "is_mended")} == {
        "run": launched.json()["id"], "compared": 80, "total": 1, "differing": 1, "changed_fields": {"full_name": 1}, "unlinked": 0, "left": 1,
        "is_mended": False,
    }  # fmt: skip


def test_a_viewer_sees_and_changes_nothing(api, viewer, users_sync):
    client = api(viewer)

    assert client.get(f"{V1}/syncs/{users_sync.pk}/").status_code == 200
    for address, body in ((f"{V1}/syncs/{users_sync.pk}/run/", {}), (f"{V1}/rejects/dismiss/", {"sync": users_sync.pk, "note": "x"})):
        assert client.post(address, body, content_type=JSON).status_code == 403
    assert client.patch(f"{V1}/syncs/{users_sync.pk}/", {"notes": "x"}, content_type=JSON).status_code == 403
    assert not Run.objects.exists()
    assert api().get(f"{V1}/syncs/").status_code == 401


# --- runs -------------------------------------------------------------------------------------------------------------


def test_a_run_is_paused_resumed_and_cancelled(api, operator, users_sync, by):
    client = api(operator)
    number = client.post(f"{V1}/syncs/{users_sync.pk}/run/", {}, content_type=JSON).json()["id"]
    address = f"{V1}/runs/{number}/"

    assert client.post(f"{address}pause/").json()["state"] == "paused"
    assert client.post(f"{address}pause/").status_code == 409
    assert client.post(f"{address}resume/").json()["state"] == "queued"
    assert client.post(f"{address}cancel/").json()["is_cancelling"] is True
    assert client.post(f"{address}cancel/").json()["is_cancelling"] is True
    assert Entry.objects.filter(event="run.cancelled").count() == 1
    assert finish(Run.objects.get()).state == "cancelled"


def test_a_run_that_has_ended_is_not_cancelled_any_more(api, operator, users_sync, run_now):
    run = run_now(users_sync)

    answer = api(operator).post(f"{V1}/runs/{run.pk}/cancel/")

    assert (answer.status_code, answer["Content-Type"]) == (409, "application/problem+json")
    assert answer.json()["detail"] == f"Run {run.pk} has ended already: With rejects."
    assert not Entry.objects.filter(event="run.cancelled").exists()


def test_a_run_tells_its_log_and_its_changes(api, viewer, users_sync, run_now):
    run = run_now(users_sync)
    client, address = api(viewer), f"{V1}/runs/{run.pk}/"

    log = client.get(f"{address}log/").json()["items"]
    assert "240 read" in log[-1]["text"]
    pages, after = [], f"{address}changes/?operation=create"
    while after:
        answer = client.get(after).json()
        pages.append(answer["items"])
        after = answer["next"]
    assert sum(change["result"] == "written" for page in pages for change in page) == run.counts["created"]
    assert len(pages[0]) == 50
    fewer = client.get(f"{address}changes/?limit=20").json()
    assert [len(fewer["items"]), len(client.get(fewer["next"]).json()["items"])] == [20, 20]
    change = pages[0][0]
    assert (change["operation"], change["result"]) == ("create", "written")
    assert {field["name"] for field in change["fields"]} == {"employee_id", "full_name", "email"}
    one = client.get(f"{address}changes/?key={change['source_key']}").json()["items"]
    assert [found["source_key"] for found in one] == [change["source_key"]]


def test_lists_filter_and_page_in_a_constant_number_of_queries(api, viewer, users_sync, by):
    def make(count):
        version = users_sync.mapping.latest
        facts = {"sync": users_sync, "pair": users_sync.pair, "name": users_sync.name, "mode": "full", "mapping_version": version}
        Run.objects.bulk_create(Run(**facts, dry=True, state="queued") for _ in range(count))

    client = api(viewer)
    client.get(f"{V1}/runs/")  # notes that the token is used
    queries = []
    for count in (3, 30):
        make(count)
        for address in ("runs/", "syncs/", "mappings/", "rejects/"):
            with CaptureQueriesContext(connection) as captured:
                assert client.get(f"{V1}/{address}").status_code == 200
            queries.append((address, len(captured)))

    assert queries[:4] == queries[4:]
    first = client.get(f"{V1}/runs/?limit=10&state=queued").json()
    second = client.get(first["next"]).json()
    assert [run["id"] for run in first["items"]] > [run["id"] for run in second["items"]]
    assert client.get(second["previous"]).json()["items"] == first["items"]
    assert client.get(f"{V1}/runs/?state=succeeded").json()["items"] == []
    assert client.get(f"{V1}/runs/?state=nonsense").status_code == 400


# --- rejects ----------------------------------------------------------------------------------------------------------


def test_rejects_are_grouped_replayed_and_dismissed(api, operator, users_sync, sandbox, run_now):
    run_now(users_sync)
    client = api(operator)

    groups = client.get(f"{V1}/rejects/groups/?sync={users_sync.pk}").json()
    rows = client.get(f"{V1}/rejects/?cause={groups[0]['cause']}").json()["items"]
    one = client.get(f"{V1}/rejects/{rows[0]['id']}/").json()
    assert sum(group["count"] for group in groups) == OpenRow.objects.open().count()
    assert len(rows) == groups[0]["count"]
    assert one["record"]["userId"] == one["key"]

    nameless = next(row for row in client.get(f"{V1}/rejects/").json()["items"] if row["field"] == "full_name")
    sandbox.oa.change("user", nameless["key"], name="Wei Chen")
    assert client.post(f"{V1}/rejects/replay/", {"ids": [nameless["id"]]}, content_type=JSON).json() == {"count": 1}
    finish(Run.objects.get(trigger="replay"))
    assert client.get(f"{V1}/rejects/{nameless['id']}/").json()["closed_as"] == "replayed"
    assert client.post(f"{V1}/rejects/replay/", {"ids": [nameless["id"]]}, content_type=JSON).status_code == 400

    assert client.post(f"{V1}/rejects/dismiss/", {"sync": users_sync.pk, "note": " "}, content_type=JSON).status_code == 400
    assert client.post(f"{V1}/rejects/dismiss/", {"note": "x"}, content_type=JSON).status_code == 400
    done = client.post(f"{V1}/rejects/dismiss/", {"sync": users_sync.pk, "cause": groups[0]["cause"], "note": "Test people."}, content_type=JSON)
    assert done.json() == {"count": groups[0]["count"] - (nameless["cause"] == groups[0]["cause"])}
    assert OpenRow.objects.filter(closed_as="dismissed", closed_note="Test people.").exists()
    assert client.get(f"{V1}/rejects/?closed_at__isnull=false").json()["items"]
