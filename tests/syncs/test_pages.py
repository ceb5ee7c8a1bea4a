"""The pages of syncs, runs and rejects, as a browser asks for them, over runs between two real systems of the sandbox."""

import csv
import io
import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone, translation

from connectors.base import Text
from integration_hub.accounts.models import Mail
from integration_hub.core import outbox, texts
from integration_hub.core.overview import problems
from integration_hub.core.palette import find
from integration_hub.syncs import services
from integration_hub.syncs.forecast import forecast
from integration_hub.syncs.freshness import last_runs, standings_of
from integration_hub.syncs.models import ChangeSet, Link, OpenRow, Run, Slot, Sync, SyncCursor
from integration_hub.syncs.openrows import packed_record

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def enter(client, person):
    """A function that signs the client in with a role."""

    def as_(role="operator"):
        client.force_login(person(role))
        return client

    return as_


def shown(client, name, *args, **query):
    """The text of a page, without tags."""
    answer = client.get(reverse(name, args=args), query)
    assert answer.status_code == 200, answer
    body = re.sub(r"<(script|style|svg)\b.*?</\1>", " ", answer.content.decode(), flags=re.S)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body)).replace("&#x27;", "'").replace("&quot;", '"')


def press(client, place, /, *args, **values):
    return client.post(reverse(place, args=args), values, follow=True)


def ended(sync, state, *, hours=0.0, **more):
    """A run of the sync's past."""
    at = timezone.now() - timedelta(hours=hours)
    counts = dict.fromkeys(("read", "produced", "unchanged"), 5)
    more = {"balanced": True, "counts": counts, "trigger": "schedule", "dry": False} | more
    run = Run.objects.create(
        sync=sync, pair=sync.pair, name=sync.name, direction=sync.direction, mode="full", mapping_version=sync.mapping.latest,
        actor_kind="schedule", actor_name="Schedule", state=state, started_at=at, ended_at=at + timedelta(seconds=3), **more,
    )  # fmt: skip
    Run.objects.filter(pk=run.pk).update(made_at=at)
    return run


PAGES = {
    "syncs:list": lambda sync, run, row, change: (),
    "syncs:detail": lambda sync, run, row, change: (sync.pk,),
    "syncs:trace": lambda sync, run, row, change: (sync.pk,),
    "runs:list": lambda sync, run, row, change: (),
    "runs:detail": lambda sync, run, row, change: (run.pk,),
    "runs:log": lambda sync, run, row, change: (run.pk,),
    "runs:changes": lambda sync, run, row, change: (run.pk,),
    "runs:change": lambda sync, run, row, change: (run.pk, change.pk, 0),
    "rejects:list": lambda sync, run, row, change: (),
    "rejects:detail": lambda sync, run, row, change: (row.pk,),
    "rejects:cause": lambda sync, run, row, change: (sync.pk, row.cause),
    "rejects:export": lambda sync, run, row, change: (),
}
FORMS = {"syncs:new": (), "syncs:edit": ("sync",), "syncs:cursor": ("sync",), "syncs:records": ("sync",)}


def test_every_page_is_open_to_whoever_may_see_it_and_closed_to_strangers(client, person, users_sync, run_now):
    run = run_now(users_sync)
    row, change = OpenRow.objects.first(), ChangeSet.objects.first()
    places = [reverse(name, args=args(users_sync, run, row, change)) for name, args in PAGES.items()]
    forms = [reverse(name, args=[users_sync.pk] if args else []) for name, args in FORMS.items()]

    for place in [*places, *forms]:
        assert client.get(place).status_code == 302, place

    client.force_login(person("viewer"))
    for place in places:
        assert client.get(place).status_code == 200, place
    for place in forms:
        assert client.get(place).status_code == 403, place

    client.force_login(person("integrator"))
    for place in forms:
        assert client.get(place).status_code == 200, place
    for name, args in {"syncs:detail": [9999], "runs:detail": [9999], "rejects:detail": [9999], "runs:change": [run.pk, 9999, 0]}.items():
        assert client.get(reverse(name, args=args)).status_code == 404, name


def test_a_viewer_may_look_and_not_touch(enter, users_sync, run_now):
    client, run = enter("viewer"), run_now(users_sync)
    row = OpenRow.objects.first()

    assert "Run now" not in shown(client, "syncs:detail", users_sync.pk)
    assert "Replay" not in shown(client, "rejects:list")
    for name, args, values in (
        ("syncs:run", [users_sync.pk], {}),
        ("syncs:pause", [users_sync.pk], {}),
        ("syncs:delete", [users_sync.pk], {}),
        ("runs:cancel", [run.pk], {}),
        ("rejects:replay", [], {"ids": row.pk}),
        ("rejects:dismiss", [], {"ids": row.pk, "reason": "no"}),
    ):
        assert press(client, name, *args, **values).status_code == 403, name
    assert Run.objects.count() == 1
    assert OpenRow.objects.get(pk=row.pk).closed_at is None


# --- syncs ------------------------------------------------------------------------------------------------------------


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


def test_the_page_says_what_it_does_not_do(enter, users_sync):
    page = shown(enter("viewer"), "syncs:detail", users_sync.pk)

    assert "deletes in OA are not followed yet" in page
    assert "never: CRM is asked by employee_id before a create is sent again" in page


def test_where_nothing_prevents_a_twin_the_page_says_so(enter, users_sync):
    entity = users_sync.target
    entity.schema["capabilities"] |= {"lookup_by": [], "lookup_by_key": False, "upsert": False, "idempotency_key": False}
    entity.save()

    assert "CRM offers no upsert, idempotency key or lookup" in shown(enter("viewer"), "syncs:detail", users_sync.pk)


def test_a_run_is_started_and_a_second_one_refused_with_a_sentence(enter, users_sync):
    client = enter("operator")

    first = press(client, "syncs:run", users_sync.pk)
    run = Run.objects.get()
    assert first.redirect_chain[-1][0] == reverse("runs:detail", args=[run.pk])
    assert "It waits for a worker." in first.content.decode()
    second = press(client, "syncs:run", users_sync.pk)

    assert Run.objects.count() == 1
    assert f"Run {run.pk} of {users_sync.name} is still going on this pair." in second.content.decode()


def test_a_dry_run_and_named_records_are_started_from_their_forms(enter, users_sync):
    client = enter("operator")

    press(client, "syncs:run", users_sync.pk, dry="1")
    press(client, "syncs:records", users_sync.pk, keys="U000001\n\nU000002\n", dry="on")

    assert list(Run.objects.order_by("pk").values_list("dry", "keys")) == [(True, None), (True, ["U000001", "U000002"])]


def exported(client, name, *args, **query):
    answer = client.get(reverse(name, args=args), query)
    return list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode().removeprefix("\ufeff"))))


def test_runs_and_their_record_changes_are_exported_as_they_are_filtered(enter, users_sync, run_now):
    run = run_now(users_sync)
    ended(users_sync, "failed")
    client = enter("viewer")

    runs = exported(client, "runs:export", state="with_rejects")
    changes = exported(client, "runs:changes_export", run.pk, operation="create")

    assert [(line["Run"], line["State"], line["read"], line["rejected"], line["Balance"]) for line in runs] == [
        (str(run.pk), "With rejects", "240", "9", "1")
    ]
    assert len({line["Key of the source"] for line in changes}) == run.counts["created"]
    assert [line["After"] for line in changes if line["Key of the source"] == "U000013" and line["Field"] == "employee_id"] == ["U000013"]
    assert len(exported(client, "runs:changes_export", run.pk, key="U000013")) == 3


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


def test_what_a_deleted_sync_leaves_is_deleted_on_its_own_page_and_then_its_system_can_go(enter, users_sync, run_now, crm, by):
    run_now(users_sync)
    client, pair = enter("integrator"), users_sync.pair
    press(client, "syncs:delete", users_sync.pk)

    kept = shown(client, "mappings:detail", users_sync.mapping_id)
    refused = press(client, "systems:delete", crm.slug).content.decode()
    viewed = shown(client, "syncs:pair", pair.pk)
    gone = press(client, "syncs:delete_pair", pair.pk).content.decode()

    assert f"the history of {pair}" in kept
    assert "A history is deleted on its own page" in refused
    assert "231 links and 1 run are kept of it." in viewed
    assert f"The links and the history of {pair} are deleted." in gone
    assert not Run.objects.exists()
    assert not Link.objects.exists()
    press(client, "mappings:delete", users_sync.mapping_id)
    assert "was deleted" in press(client, "systems:delete", crm.slug).content.decode()


def test_a_sync_is_deleted_with_all_that_is_known_only_where_it_is_the_last_of_its_pair(enter, users_sync, run_now, by):
    other = services.create_sync(by=by, name="Other", source=users_sync.source, target=users_sync.target, mapping=users_sync.mapping, mode="full")
    run_now(users_sync)
    client = enter("integrator")

    assert "Delete with links and history" not in shown(client, "syncs:detail", users_sync.pk)
    refused = press(client, "syncs:delete", users_sync.pk, forget="1").content.decode()
    assert "are those of Other too" in refused
    assert Sync.objects.count() == 2
    services.delete_sync(other, by=by)
    press(client, "syncs:delete", users_sync.pk, forget="1")

    assert not Sync.objects.exists()
    assert not Run.objects.exists()


def test_a_record_that_was_named_and_is_not_in_the_source_is_told(enter, users_sync, run_now):
    client = enter("viewer")

    some = shown(client, "runs:detail", run_now(users_sync, keys=["U000001", "NOPE"]).pk)
    none = shown(client, "runs:detail", run_now(users_sync, keys=["NOPE"]).pk)

    assert "The record that was taken is right in CRM. 1 of the records that were named is not in OA." in some
    assert "1 of the records that were named is not in OA. Next: see whether their keys are right." in none


def test_what_is_wrong_with_a_filter_is_told_with_its_place_in_the_readers_language(enter, users_sync):
    client = enter("integrator")
    values = {"mapping": users_sync.mapping_id, "name": users_sync.name, "mode": "full", "schedule": "hand", "filter": "name = 'A' AND"}

    english = press(client, "syncs:edit", users_sync.pk, **values).content.decode()
    client.cookies["django_language"] = "zh-hans"
    with translation.override("zh-hans"):  # which also puts the language back behind the request
        chinese = press(client, "syncs:edit", users_sync.pk, **values).content.decode()

    assert "Something is missing after “AND”. (line 1, column" in english
    assert "“AND”之后缺少内容" in chinese


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

    without = press(client, "syncs:cursor", users_sync.pk, value="2026-01-01T00:00:00Z")
    assert without.redirect_chain == []
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


# --- runs -------------------------------------------------------------------------------------------------------------


def test_a_finished_run_adds_up_on_its_page(enter, users_sync, run_now):
    client, run = enter("viewer"), run_now(users_sync)
    counts = run.counts

    page = shown(client, "runs:detail", run.pk)

    right, missed = counts["created"] + counts["updated"] + counts["unchanged"], counts["rejected"] + counts["refused"]
    assert f"{right} of {right + missed} records are right in CRM; {missed} did not arrive." in page
    assert f"{counts['read']} read" in page
    assert f"{counts['created']} created" in page
    assert "The books balance" in page
    assert "hx-trigger" not in client.get(reverse("runs:detail", args=[run.pk])).content.decode().split('id="h-live"')[1][:200]


def test_a_run_whose_books_do_not_balance_is_red_and_says_where(enter, users_sync, run_now):
    run = run_now(users_sync)
    run.partitions.update(read_count=run.counts["read"] + 3)
    Run.objects.filter(pk=run.pk).update(balanced=False)

    answer = enter("viewer").get(reverse("runs:detail", args=[run.pk])).content.decode()

    assert 'class="hub-verdict" data-state="bad"' in answer
    assert "3 records are not accounted for." in answer
    assert "the counter of read differs by -3" in answer


def test_a_dry_run_says_what_it_would_write(enter, sandbox, users_sync, run_now):
    run = run_now(users_sync, dry=True)

    page = shown(enter("operator"), "runs:detail", run.pk)

    assert f"{run.counts['not_sent']} records would be written to CRM; nothing was." in page
    assert "to create" in page
    assert not Link.objects.exists()


def test_a_failed_run_says_why_and_what_stays(enter, users_sync):
    run = ended(users_sync, "failed", error={"template": "{system} does not answer.", "values": {"system": "OA"}})

    page = shown(enter("operator"), "runs:detail", run.pk)

    assert "OA does not answer." in page
    assert "Nothing was written." in page
    assert "Run again" in page


def test_a_run_is_paused_resumed_and_cancelled_from_its_page(enter, users_sync, by):
    client, run = enter("operator"), services.start_run(users_sync, by=by)

    press(client, "runs:pause", run.pk)
    assert "resume it, and it goes on from there." in shown(client, "runs:detail", run.pk)
    press(client, "runs:resume", run.pk)
    press(client, "runs:cancel", run.pk)

    run.refresh_from_db()
    assert run.cancel_at is not None


def test_runs_are_narrowed_by_sync_state_trigger_and_time(enter, users_sync):
    client = enter("viewer")
    old, new = ended(users_sync, "failed", hours=50), ended(users_sync, "succeeded", hours=0.5)

    def numbers(**query):
        return [int(n) for n in re.findall(r"Run (\d+) Users", shown(client, "runs:list", **query))]

    assert numbers() == [new.pk, old.pk]
    assert numbers(state="failed", sync=users_sync.pk) == [old.pk]
    assert numbers(since="day", trigger="schedule") == [new.pk]
    assert numbers(trigger="hand") == []


def test_the_changes_of_a_run_are_paged_searched_and_opened(enter, users_sync, run_now):
    client, run = enter("viewer"), run_now(users_sync)
    created = Link.objects.exclude(change_set_id=None).order_by("-pk").first()

    first = client.get(reverse("runs:changes", args=[run.pk])).content.decode()
    marks = re.findall(r"\?after=([\d.]+)", first)
    assert marks
    assert shown(client, "runs:changes", run.pk, after=marks[0])
    found = shown(client, "runs:changes", run.pk, key=created.a_key)
    assert created.b_key in found
    assert "1 field" not in found
    assert "No change of this run fits." in shown(client, "runs:changes", run.pk, key="nobody")
    page = shown(client, "runs:change", run.pk, created.change_set_id, created.change_row)
    assert created.b_key in page


def test_a_changed_record_is_shown_before_and_after_with_where_it_comes_from(enter, sandbox, users_sync, run_now):
    run_now(users_sync)
    link = Link.objects.order_by("pk").first()
    sandbox.oa.change("user", link.a_key, name="  Renamed Person ")

    run = run_now(users_sync, full=True)

    changes = ChangeSet.objects.get(run=run)
    answer = enter("viewer").get(reverse("runs:change", args=[run.pk, changes.pk, 0])).content.decode()
    assert "Renamed Person was updated in CRM: 1 of 3 fields changed." in answer
    assert "<ins>Renamed Person</ins>" in answer
    assert "Trim" in answer
    assert "Show 2 fields that did not change" in answer
    assert "full_name: " in shown(enter("auditor"), "runs:detail", run.pk)


# --- rejects ----------------------------------------------------------------------------------------------------------


def test_rejects_are_grouped_by_cause_with_a_forecast(enter, users_sync, run_now):
    client = enter("operator")
    run_now(users_sync)
    rejected = OpenRow.objects.open().filter(state="rejected", field="email", step="required")

    page = shown(client, "rejects:list")

    assert "E-mail must not be empty." in page
    assert f"Replay all {rejected.count()}" in page
    assert f"0 of {rejected.count()} would pass as they were kept" in page
    assert "No rejects" in shown(client, "rejects:list", state="parked")
    assert "E-mail must not be empty." in shown(client, "rejects:list", field="email", sync=users_sync.pk, run=rejected.first().run_id)


def test_a_group_is_dismissed_with_a_reason_and_found_again_among_the_closed(enter, users_sync, run_now):
    client = enter("operator")
    run_now(users_sync)
    cause = OpenRow.objects.open().filter(state="rejected").first().cause
    group = OpenRow.objects.filter(cause=cause)

    press(client, "rejects:dismiss", sync=users_sync.pk, cause=cause)
    assert group.open().exists()
    press(client, "rejects:dismiss", sync=users_sync.pk, cause=cause, reason="leavers")

    assert not group.open().exists()
    assert "leavers" in shown(client, "rejects:list", state="closed")
    assert "Nothing of this cause is open any more." in shown(client, "rejects:cause", users_sync.pk, cause)


def test_some_are_replayed_and_the_run_that_does_it_is_started(enter, users_sync, run_now):
    client = enter("operator")
    run_now(users_sync)
    rows = list(OpenRow.objects.open().filter(state="rejected")[:2])

    answer = press(client, "rejects:replay", ids=[row.pk for row in rows])

    assert "2 records are replayed now." in answer.content.decode()
    run = Run.objects.get(trigger="replay")
    assert sorted(run.keys) == sorted(row.key for row in rows)


def test_the_export_runs_nothing_in_a_spreadsheet(enter, users_sync, run_now):
    client = enter("operator")
    run_now(users_sync)
    OpenRow.objects.open().update(value="=cmd|' /C calc'!A0")

    answer = client.get(reverse("rejects:export"))
    body = b"".join(answer.streaming_content).decode()

    assert answer["Content-Type"].startswith("text/csv")
    assert "'=cmd|" in body
    assert body.count("\n") == OpenRow.objects.open().count() + 1


def test_a_value_that_could_not_be_read_stays_so_in_the_forecast(users_sync, run_now):
    run_now(users_sync)
    row = OpenRow.objects.filter(state="refused").first() or OpenRow.objects.first()
    OpenRow.objects.filter(pk=row.pk).update(
        state="rejected", step="read", field="name", value="\\ud800", reason={"template": "Not text.", "values": {}}
    )
    row = OpenRow.objects.select_related("sync__mapping").get(pk=row.pk)

    told = forecast([row])

    assert (told.passing, told.tried) == (0, 1)


# --- trace ------------------------------------------------------------------------------------------------------------


def test_a_trace_follows_a_record_through_all_steps_and_writes_nothing(enter, sandbox, users_sync, run_now):
    client, key = enter("operator"), sandbox.oa.add("user", name="New", email="NEW@hailan.example")["userId"]
    before = sandbox.crm.applied()

    page = shown(client, "syncs:trace", users_sync.pk, key=key)

    assert "would be created in CRM" in page
    assert "looked for by employee_id; email" in page
    assert "none yet; found by match key: usr_000003 email" in shown(client, "syncs:trace", users_sync.pk, key="U000003")
    assert "Lower case →" in page
    assert not Slot.objects.exists()
    assert sandbox.crm.applied() == before
    assert Run.objects.count() == 0
    run_now(users_sync)
    assert "nothing would be written" in shown(client, "syncs:trace", users_sync.pk, key=key)
    assert "OA has no record with the key nobody." in shown(client, "syncs:trace", users_sync.pk, key="nobody")


def test_a_trace_says_what_the_filter_and_the_mapping_leave_out(enter, users_sync, run_now, by):
    client = enter("operator")
    run_now(users_sync)
    rejected = OpenRow.objects.filter(state="rejected").first()

    assert "E-mail must not be empty." in shown(client, "syncs:trace", users_sync.pk, key=rejected.key)
    services.change_sync(users_sync, by=by, filter="name = 'nobody at all'")
    assert "is left out by the filter." in shown(client, "syncs:trace", users_sync.pk, key="U000001")


# --- the shell --------------------------------------------------------------------------------------------------------


def test_the_overview_tells_of_failed_late_and_waiting_syncs(users_sync, run_now, viewer, by):
    run_now(users_sync)
    tell = problems["syncs"]

    assert [problem.cause for problem in tell(viewer)] == [f"{OpenRow.objects.open().count()} records of {users_sync.name} did not arrive"]
    services.change_sync(users_sync, by=by, objective_seconds=60)
    Sync.objects.update(last_success_at=timezone.now() - timedelta(hours=1))
    assert f"{users_sync.name} is late" in [problem.cause for problem in tell(viewer)]
    run = ended(users_sync, "failed", error={"template": "OA does not answer.", "values": {}})
    causes = {problem.cause: problem for problem in tell(viewer)}
    assert causes[f"{users_sync.name} failed"].act.href == run.get_absolute_url()
    assert f"{users_sync.name} is late" not in causes


def test_a_run_that_nobody_takes_is_a_problem(users_sync, viewer, by):
    run = services.start_run(users_sync, by=by)
    run.partitions.update(sent_at=timezone.now() - timedelta(minutes=5))

    causes = [problem.cause for problem in problems["syncs"](viewer)]

    assert causes == ["No worker is running", f"Run {run.pk} stands still"]


def test_the_palette_finds_syncs_by_name_and_runs_by_number(users_sync, run_now, viewer):
    run = run_now(users_sync)

    assert users_sync.get_absolute_url() in [hit.href for hit in find(viewer, "users of")]
    assert run.get_absolute_url() in [hit.href for hit in find(viewer, f"{run.pk:,}")]


def test_a_streak_of_failures_is_told_once_to_those_who_ask(users_sync, person):
    person("operator", mail_failed_runs=True, language="zh-hans")
    person("viewer")
    error = {"template": "{system} does not answer.", "values": {"system": "OA"}}

    def fail(**more):
        run = ended(users_sync, "failed", error=error, **more)
        outbox.tell(outbox.emit("run.failed", f"runs/{run.pk}", sync=users_sync.pk).pk)
        return run

    first = fail()
    fail()
    fail(dry=True)
    mail = Mail.objects.get()
    assert (mail.person.username, mail.path) == ("operator", first.get_absolute_url())
    ended(users_sync, "succeeded")
    fail()
    assert Mail.objects.count() == 2


def test_lists_ask_the_same_number_of_questions_at_one_row_and_at_thirty(
    enter, users_sync, by, django_assert_num_queries, django_assert_max_num_queries
):
    client = enter("operator")
    ended(users_sync, "failed")
    row = {
        "side": "a",
        "state": "rejected",
        "reason": texts.stored(texts.Text("no")),
        "record": packed_record({"userId": "U1", "name": "Somebody"}),
        "first_at": timezone.now(),
    }
    make = {"sync": users_sync, "mapping_version": users_sync.mapping.latest, "last_at": timezone.now()}
    OpenRow.objects.create(key="0", cause="c0", **row, **make)

    def asked(name):
        client.get(reverse(name))
        with CaptureQueriesContext(
            connection,
        ) as caught:
            assert client.get(reverse(name)).status_code == 200
        return len(caught)

    names = ("syncs:list", "runs:list", "rejects:list", "admin:index")
    before = {name: asked(name) for name in names}
    for number in range(30):
        sync = services.create_sync(by=by, source=users_sync.source, target=users_sync.target, name=f"Copy {number}", mapping=users_sync.mapping)
        ended(sync, "failed" if number % 2 else "succeeded")
        OpenRow.objects.create(key=str(number), cause=f"c{number}", **row, **make | {"sync": sync})

    assert {name: asked(name) - before[name] for name in names} == dict.fromkeys(names, 0)
