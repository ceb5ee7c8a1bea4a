"""The list of runs, a run, and what it changed."""

import csv
import io
import re

import pytest
from django.urls import reverse

from integration_hub.syncs import plans, services
from integration_hub.syncs.models import ChangeSet, Link, Run
from tests.syncs.conftest import ended
from tests.syncs.views.conftest import press, shown

pytestmark = pytest.mark.django_db(transaction=True)


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
    run, client = run_now(users_sync, dry=True), enter("operator")

    page = shown(client, "runs:detail", run.pk)

    planned = plans.planned_of(run)
    assert f"{planned['creates'] + planned['updates']} records would be written to CRM; nothing was." in page
    Run.objects.filter(pk=run.pk).update(changes_kept=False)
    ChangeSet.objects.filter(run=run).delete()
    assert f"{run.counts['not_sent']} records would be written to CRM; nothing was." in shown(client, "runs:detail", run.pk)
    assert "to create" in page
    assert not Link.objects.exists()


def test_a_dry_run_says_what_would_be_withheld(enter, sandbox, full, run_now):
    for user in sandbox.records("oa", "user")[:20]:
        sandbox.oa.delete("user", user["userId"])

    page = shown(enter("operator"), "runs:detail", run_now(full, dry=True).pk)

    assert "Deletes would wait for a decision: there are 20, 25 % of 80 linked records, and at most 20 % go without asking." in page


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


def test_a_record_that_was_named_and_is_not_in_the_source_is_told(enter, users_sync, run_now):
    client = enter("viewer")

    some = shown(client, "runs:detail", run_now(users_sync, keys=["U000001", "NOPE"]).pk)
    none = shown(client, "runs:detail", run_now(users_sync, keys=["NOPE"]).pk)

    assert "The record that was taken is right in CRM. 1 of the records that were named is not in OA." in some
    assert "1 of the records that were named is not in OA. Next: see whether their keys are right." in none
