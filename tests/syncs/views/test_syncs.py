"""The list of syncs, a sync, and its forms."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone, translation

from connectors.base import Text
from integration_hub.core import texts
from integration_hub.core.templatetags.hub import clock
from integration_hub.syncs import restored, services
from integration_hub.syncs.freshness import last_runs, standings_of
from integration_hub.syncs.models import OpenRow, Run, Sync, SyncCursor
from tests.syncs.conftest import ended, finish
from tests.syncs.views.conftest import press, shown

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_sync_says_whether_its_target_is_right_and_fresh(enter, users_sync, run_now, by):
    client = enter("viewer")

    assert "Nothing has been brought to CRM yet." in shown(client, "syncs:detail", users_sync.pk)
    run_now(users_sync)
    open_count = OpenRow.objects.open().count()
    assert f"CRM is fresh, but {open_count} records have not arrived." in shown(client, "syncs:detail", users_sync.pk)
    services.change_sync(users_sync, by=by, objective_seconds=60)
    Sync.objects.update(last_success_at=timezone.now() - timedelta(minutes=5))
    assert "CRM is 5 min behind OA; its objective is 1 min." in shown(client, "syncs:detail", users_sync.pk)
    ended(users_sync, "failed", error={"template": "OA does not answer.", "values": {}})
    assert "The last run failed" in shown(client, "syncs:detail", users_sync.pk)
    services.pause_sync(users_sync, by=by)
    assert "CRM is not kept fresh" in shown(client, "syncs:detail", users_sync.pk)


def test_the_page_says_what_it_does_not_do(enter, users_sync, by):
    client = enter("viewer")
    page = shown(client, "syncs:detail", users_sync.pk)

    assert "what is deleted in OA stays in CRM" in page
    services.change_sync(users_sync, by=by, deletes="delete")
    assert "seen by full runs only, which are started by hand" in shown(client, "syncs:detail", users_sync.pk)
    users_sync.source.schema["capabilities"] |= {"lookup_by_key": False, "stable_order": False}
    users_sync.source.save()
    assert "OA cannot be asked for single records, and its order is not stable" in shown(client, "syncs:detail", users_sync.pk)
    assert "never: CRM is asked by employee_id before a create is sent again" in page


def test_the_page_says_when_the_keys_are_read_to_see_deletes(enter, full, run_now, by):
    client = enter("operator")
    sync = services.change_sync(full, by=by, mode="incremental")
    assert "seen by full runs only, which are started by hand" in shown(client, "syncs:detail", sync.pk)
    sync = services.change_sync(sync, by=by, roster_interval_seconds=3600)

    page = shown(client, "syncs:detail", sync.pk)
    assert "seen by reading all keys, every hour" in page
    assert f"all keys are read every hour; last not yet, next {clock(sync.roster_due_at)}" in page
    press(client, "syncs:run", sync.pk, keys_only="1")
    run = finish(Run.objects.latest("pk"))

    sync.refresh_from_db()
    assert f"last {clock(sync.roster_read_at)}" in shown(client, "syncs:detail", sync.pk)
    page = shown(client, "runs:detail", run.pk)
    assert "80 keys of OA were read, and no linked record is gone." in page
    assert "the keys alone" in page


def test_keys_are_read_by_a_schedule_from_the_form_as_long_as_the_sync_is_incremental_and_follows_deletes(enter, full):
    client = enter("integrator")
    values = {
        "name": full.name, "mapping": full.mapping_id, "mode": "incremental", "schedule": "hand", "deletes": "delete",
        "roster": "crontab", "roster_crontab": "0 3 * * *", "roster_interval_seconds_0": "7", "lookback_seconds": "60",
    }  # fmt: skip

    press(client, "syncs:edit", full.pk, **values)
    full.refresh_from_db()
    assert (full.roster_crontab, full.roster_interval_seconds, full.roster_due_at is not None) == ("0 3 * * *", None, True)
    wrong = press(client, "syncs:edit", full.pk, **values | {"roster_crontab": ""})
    assert "Write a crontab" in wrong.content.decode()
    press(client, "syncs:edit", full.pk, **values | {"mode": "full"})

    full.refresh_from_db()
    assert (full.mode, full.roster_crontab, full.roster_due_at) == ("full", "", None)


def test_after_a_backup_was_put_back_the_page_says_when_until_a_run_over_everything_went_through(enter, users_sync, run_now):
    client, told = enter("viewer"), "looks for each record that has no link by its match keys before it creates it."
    restored.take_up()
    sync = Sync.objects.get()

    page = shown(client, "syncs:detail", sync.pk)
    assert f"The hub was restored from a backup {clock(sync.restored_at)}, so the next run reads everything and {told}" in page
    run_now(sync, dry=True)
    assert told in shown(client, "syncs:detail", sync.pk)
    run_now(sync)

    assert told not in shown(client, "syncs:detail", sync.pk)


def test_where_nothing_prevents_a_twin_the_page_says_so(enter, users_sync):
    entity = users_sync.target
    entity.schema["capabilities"] |= {"lookup_by": [], "lookup_by_key": False, "upsert": False, "idempotency_key": False}
    entity.save()

    assert "CRM offers no upsert, idempotency key or lookup" in shown(enter("viewer"), "syncs:detail", users_sync.pk)


def test_a_run_is_started_and_a_second_one_refused_on_the_page_of_the_first(enter, users_sync):
    client = enter("operator")

    first = press(client, "syncs:run", users_sync.pk)
    run = Run.objects.get()
    assert first.redirect_chain[-1][0] == reverse("runs:detail", args=[run.pk])
    assert "It waits for a worker." in first.content.decode()
    second = press(client, "syncs:run", users_sync.pk)

    assert Run.objects.count() == 1
    assert second.redirect_chain[-1][0] == reverse("runs:detail", args=[run.pk])
    assert f"Run {run.pk} of {users_sync.name} is still going on this pair." in second.content.decode()


def test_a_dry_run_and_named_records_are_started_from_their_forms(enter, users_sync):
    client = enter("operator")

    press(client, "syncs:run", users_sync.pk, dry="1")
    press(client, "syncs:records", users_sync.pk, keys="U000001\n\nU000002\n", dry="on")

    assert list(Run.objects.order_by("pk").values_list("dry", "keys")) == [(True, None), (True, ["U000001", "U000002"])]


def test_a_sync_is_created_with_its_schedule_and_its_problems_stand_by_their_fields(enter, oa, crm, users_sync):
    client, mapping = enter("integrator"), users_sync.mapping
    values = {
        "source": users_sync.source.pk, "target": users_sync.target.pk, "mapping": mapping.pk, "name": "Nightly", "mode": "incremental",
        "schedule": "crontab", "crontab": "0 2 * *", "time_zone": "Asia/Shanghai", "lookback_seconds": "60",
    }  # fmt: skip

    wrong = press(client, "syncs:new", **values)
    assert "is no crontab" in wrong.content.decode()
    press(client, "syncs:new", **values | {"crontab": "0 2 * * 1-5", "filter": "status = "})
    assert not Sync.objects.filter(name="Nightly").exists()
    press(client, "syncs:new", **values | {"crontab": "0 2 * * 1-5", "filter": "status = 1"})

    sync = Sync.objects.get(name="Nightly")
    assert (sync.crontab, sync.interval_seconds, sync.filter, sync.pair_id) == ("0 2 * * 1-5", None, "status = 1", users_sync.pair_id)
    assert sync.next_due_at.astimezone(timezone.get_fixed_timezone(480)).hour == 2


def test_all_that_is_wrong_with_a_sync_is_told_at_once_each_at_its_field(enter, users_sync, by):
    client = enter("integrator")
    wrong = {
        "mode": "full",
        "filter": "nothing = 1",
        "schedule": "crontab",
        "crontab": "never",
        "time_zone": "Mars/Olympus",
        "lookback_seconds": "-1",
    }
    ends = {"source": users_sync.source.pk, "target": users_sync.target.pk}

    new = press(client, "syncs:new", **wrong, **ends, name=users_sync.name).context["form"].errors
    without_ends = press(client, "syncs:new", **wrong, name="").context["form"].errors
    edited = press(client, "syncs:edit", users_sync.pk, **wrong | {"time_zone": "UTC"}, mapping=users_sync.mapping_id, name="x" * 201)

    assert new.keys() == {"mapping", "name", "filter", "crontab", "time_zone", "lookback_seconds"}
    assert new["name"] == ["Sync with this Name already exists."]
    assert new["mapping"] == ["This field is required."]
    assert new["time_zone"] == ["There is no time zone Mars/Olympus; names look like Asia/Shanghai."]
    assert without_ends.keys() == {"source", "target", "mapping", "name", "crontab", "time_zone", "lookback_seconds"}
    assert edited.context["form"].errors.keys() == {"name", "filter", "crontab", "lookback_seconds"}
    assert f"Edit {users_sync.name}" in edited.content.decode()


def test_only_mappings_between_source_and_target_are_offered(enter, users_sync):
    client = enter("integrator")

    fits = client.get(reverse("syncs:new"), {"source": users_sync.source.pk, "target": users_sync.target.pk}).content.decode()
    other = client.get(reverse("syncs:new"), {"source": users_sync.target.pk, "target": users_sync.source.pk}).content.decode()

    assert f'<option value="{users_sync.mapping_id}">Users</option>' in fits
    assert f'<option value="{users_sync.mapping_id}">Users</option>' not in other
    assert "No mapping goes from this source to this target yet." in other


def test_the_next_five_due_times_are_shown_while_a_schedule_is_written(enter):
    client = enter("integrator")

    page = shown(client, "syncs:due", schedule="interval", interval_seconds_0="10", interval_seconds_1="60")

    assert page.count("·") >= 4
    assert "is no crontab" in shown(client, "syncs:due", schedule="crontab", crontab="every day", time_zone="UTC")
    assert "It runs by hand only." in shown(client, "syncs:due", schedule="hand")


def test_the_cursor_is_set_back_with_a_reason(enter, users_sync, run_now):
    client = enter("integrator")
    run_now(users_sync)

    without = press(client, "syncs:cursor", users_sync.pk, value="never")
    assert without.redirect_chain == []
    assert without.context["form"].errors == {
        "value": ["“never” is not a date and time, such as 2026-11-22T08:00:00Z."],
        "note": ["This field is required."],
    }
    press(client, "syncs:cursor", users_sync.pk, value="2026-01-01T00:00:00Z", note="wrong import")

    assert SyncCursor.objects.get().value == "2026-01-01T00:00:00.000000Z"


def test_the_list_is_narrowed_by_name_system_and_state(enter, users_sync, by):
    client = enter("viewer")
    services.pause_sync(users_sync, by=by)

    assert users_sync.name in shown(client, "syncs:list", q="users of", state="paused", system=users_sync.source.system_id)
    assert "No sync fits these filters." in shown(client, "syncs:list", state="failed")
    for state in ("running", "late", "open", "never"):
        shown(client, "syncs:list", state=state)


def test_the_last_thirty_runs_of_each_sync_are_found_in_two_queries(users_sync, django_assert_num_queries):
    for number in range(40):
        ended(users_sync, "succeeded", hours=40 - number)

    with django_assert_num_queries(2):
        found = last_runs([users_sync])[users_sync.pk]

    assert [run.pk for run in found] == sorted((run.pk for run in found), reverse=True)
    assert len(found) == 30


def test_a_run_over_named_records_does_not_hide_that_the_sync_fails(users_sync):
    ended(users_sync, "failed", hours=2)
    ended(users_sync, "succeeded", hours=1, keys=["1"], trigger="replay")
    ended(users_sync, "succeeded", dry=True)

    assert standings_of([users_sync])[0].freshness == "failed"
    assert list(Sync.objects.failing()) == [users_sync]


def test_a_problem_that_nobody_has_is_taken_once(enter, users_sync, person):
    ended(users_sync, "failed", hours=1, error=texts.stored(Text("No.")))
    viewer = shown(enter("viewer"), "admin:index")
    client = enter("operator")

    before = shown(client, "admin:index")
    taken = press(client, "syncs:take", users_sync.pk).content.decode()
    late = press(client, "syncs:take", users_sync.pk).content.decode()

    assert "Take it" in before
    assert "Take it" not in viewer
    assert f"You have {users_sync.name} now." in taken
    assert "Take it" not in taken
    assert f"Somebody has {users_sync.name} already." in late
    assert Sync.objects.get().owner.username == "operator"


def test_what_is_wrong_with_a_filter_is_told_with_its_place_in_the_readers_language(enter, users_sync):
    client = enter("integrator")
    values = {"mapping": users_sync.mapping_id, "name": users_sync.name, "mode": "full", "schedule": "hand", "filter": "name = 'A' AND"}

    english = press(client, "syncs:edit", users_sync.pk, **values).content.decode()
    client.cookies["django_language"] = "zh-hans"
    with translation.override("zh-hans"):  # which also puts the language back behind the request
        chinese = press(client, "syncs:edit", users_sync.pk, **values).content.decode()

    assert "Something is missing after “AND”. (line 1, column" in english
    assert "“AND”之后缺少内容" in chinese
