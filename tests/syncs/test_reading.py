"""What a run reads: everything, what changed, what is named, what the filter lets through; and where the next one begins."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as some

from connectors.base import Misfit, Page, Text
from integration_hub.syncs import carrying, reading, services
from integration_hub.syncs.models import Link, Run, Sync, SyncCursor
from tests.syncs.conftest import USERS_TO_USERS, finish, published
from tests.syncs.equal import assert_equal

db = pytest.mark.django_db(transaction=True)


def moment(user):
    """The OA writes wall-clock times of Shanghai."""
    local = datetime.strptime(user["modifiedTime"], "%Y-%m-%d %H:%M:%S") - timedelta(hours=8)
    return local.replace(tzinfo=UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@db
def test_a_page_that_was_promised_and_comes_back_empty_is_asked_for_once_more(few, users_sync, run_now):
    few.oa.fault("empty", path="pageNo=2", times=1)

    run = run_now(users_sync)

    assert (run.state, run.counts["read"]) == ("succeeded", 80)
    assert_equal(few)


@db
def test_an_incremental_run_reads_only_what_changed_since(few, users_sync, run_now):
    first = run_now(users_sync)
    user = few.oa.records("user")[5]
    few.oa.change("user", user["userId"], name="New Name")

    run = run_now(users_sync)

    assert (first.mode, first.counts["read"]) == ("full", 80)  # there was no cursor yet
    assert (run.mode, run.state) == ("incremental", "succeeded")
    assert 1 <= run.counts["read"] < 80
    assert (run.counts["updated"], run.balanced) == (1, True)
    assert_equal(few)


@db
def test_the_cursor_is_the_greatest_that_was_read_and_never_the_bound(few, users_sync, run_now, crm, oa, by):
    run_now(users_sync)

    cursor = SyncCursor.objects.get()
    newest = max((moment(u), u["userId"]) for u in few.oa.records("user"))
    assert (cursor.value, cursor.key) == newest

    back = published("Back", crm.entities.get(name="users"), oa.entities.get(name="users"), BACK)
    sync = services.create_sync(
        by=by, source=crm.entities.get(name="users"), target=oa.entities.get(name="users"), name="Back", mapping=back, mode="incremental"
    )
    run = run_now(sync, dry=True)
    assert run.read_until  # the CRM can be asked up to a moment
    assert not SyncCursor.objects.filter(sync=sync).exists()  # a dry run moves none


BACK = {"fields": [{"target": "name", "source": "full_name"}], "match": [["userId"]]}


@db
def test_a_run_that_does_not_go_through_moves_no_cursor(few, users_sync, run_now, by):
    run_now(users_sync)
    before = SyncCursor.objects.get()
    few.oa.change("user", few.oa.records("user")[5]["userId"], name="New Name")

    run_now(users_sync, dry=True)
    few.oa.fault("login_page", path="/api/user/list")
    assert run_now(users_sync).state == "failed"
    few.clear_faults()
    services.cancel_run(services.start_run(users_sync, by=by), by=by)
    finish(Run.objects.latest("pk"))
    run_now(users_sync, keys=[few.oa.records("user")[7]["userId"]])

    after = SyncCursor.objects.get()
    assert (after.value, after.key) == (before.value, before.key)
    assert run_now(users_sync).counts["updated"] == 1
    assert SyncCursor.objects.get().value > before.value


@db
def test_what_shares_the_last_moment_is_read_again_and_costs_nothing(few, users_sync, run_now):
    run_now(users_sync)
    written = few.crm.applied()

    run = run_now(users_sync)

    assert run.counts["read"] >= 1
    assert run.counts["unchanged"] == run.counts["read"]
    assert few.crm.applied() == written


@db
def test_the_cursor_can_be_set_back_and_removed(few, users_sync, run_now, by):
    run_now(users_sync)
    users = sorted(few.oa.records("user"), key=moment)

    services.set_cursor(users_sync, by=by, value=moment(users[40]), note="a correction")
    back = run_now(users_sync)
    services.set_cursor(users_sync, by=by, value="", note="all of it again")
    removed = run_now(users_sync)

    assert back.mode == "incremental"
    assert back.counts["read"] >= 40
    assert (removed.mode, removed.counts["read"]) == ("full", 80)
    with pytest.raises(ValidationError, match="“yesterday” is not a date and time"):
        services.set_cursor(users_sync, by=by, value="yesterday", note="a correction")


@db
def test_a_run_over_named_records_touches_no_others(few, users_sync, run_now, by):
    users = few.oa.records("user")

    run = run_now(users_sync, keys=[users[3]["userId"], users[4]["userId"], users[3]["userId"], "nobody"])

    assert (run.state, run.counts["read"], run.counts["absent"], run.balanced) == ("succeeded", 2, 1, True)
    assert set(Link.objects.values_list("a_key", flat=True)) == {users[3]["userId"], users[4]["userId"]}
    with pytest.raises(services.NotPossible, match="Name at least one record by its key"):
        services.start_run(users_sync, by=by, keys=[""])


@db
def test_the_filter_lets_through_what_it_is_true_for_and_the_books_say_the_rest(few, users_sync, run_now, by):
    users = few.oa.records("user")
    wanted = [u for u in users if u["status"] == 1]
    sync = services.change_sync(users_sync, by=by, filter="status = 1")

    run = run_now(sync)

    assert (run.state, run.balanced) == ("succeeded", True)
    assert (run.counts["filtered"], run.counts["produced"]) == (80 - len(wanted), len(wanted))
    assert set(Link.objects.values_list("a_key", flat=True)) == {u["userId"] for u in wanted}


@db
def test_a_mapping_edited_while_a_run_is_going_is_for_the_next_run(few, users_sync, by, monkeypatch):
    monkeypatch.setattr(reading, "PAGE_SECONDS", 0.0)
    run = services.start_run(users_sync, by=by)
    with monkeypatch.context() as one_page_a_turn:
        one_page_a_turn.setattr(carrying, "SLICE_SECONDS", 0.0)
        carrying.carry_partition(run.partitions.get().pk)
    assert 0 < run.partitions.get().read_count < 80
    version = run.mapping_version
    definition = {**USERS_TO_USERS, "fields": [*USERS_TO_USERS["fields"], {"target": "phone", "source": "mobile"}]}
    type(version).objects.create(
        mapping=version.mapping, number=2, definition=definition, source_schema=version.source_schema, target_schema=version.target_schema,
        published_by="test",
    )  # fmt: skip

    finish(run)
    after = finish(services.start_run(Sync.objects.get(), by=by, full=True))

    assert (run.mapping_version.number, after.mapping_version.number) == (1, 2)
    assert all(u["phone"] for u in few.crm.records("users") if u["employee_id"] in {x["userId"] for x in few.oa.records("user") if x["mobile"]})


# --- pages joined -------------------------------------------------------------------------------------------------------

values = some.lists(some.one_of(some.none(), some.integers(0, 99)), max_size=4)


@some.composite
def pages(draw):
    made = []
    for number in range(draw(some.integers(1, 5))):
        rows = draw(values)
        frame = pl.DataFrame({"a": rows, "b": rows}, schema={"a": pl.Int64, "b": pl.Int64})
        misfits = [Misfit(row, "a", "x", Text("no")) for row in draw(some.sets(some.integers(0, 3))) if row < len(rows)]
        mask = pl.Series("b", [draw(some.booleans()) for _ in rows], dtype=pl.Boolean)
        absent = draw(some.sampled_from([None, mask.to_frame()]))
        made.append(Page(frame, {"page": number}, misfits, absent, [f"{number}"]))
    return made


@given(pages())
def test_joined_pages_say_of_each_record_what_the_pages_said(made):
    whole = reading.join(made)

    assert whole.frame["a"].to_list() == [value for page in made for value in page.frame["a"]]
    assert whole.position == made[-1].position
    assert whole.deleted == [key for page in made for key in page.deleted]
    assert [whole.frame.height] * 2 == [sum(page.frame.height for page in made)] * 2
    starts = [sum(page.frame.height for page in made[:n]) for n in range(len(made))]
    assert [m.row for m in whole.misfits] == [m.row + start for page, start in zip(made, starts, strict=True) for m in page.misfits]
    said = [flag for page in made for flag in (page.absent["b"] if page.absent is not None else [False] * page.frame.height)]
    assert (whole.absent["b"].to_list() if whole.absent is not None else [False] * whole.frame.height) == said
