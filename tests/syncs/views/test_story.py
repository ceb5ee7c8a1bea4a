"""The story of a record: every change, by whom and by what, back to its first link; and both its ends as they are now."""

import pytest
from django.urls import reverse

from integration_hub.syncs import changesets, plans, undo
from integration_hub.syncs.models import Link
from integration_hub.syncs.overview import find_records
from integration_hub.syncs.story import story_of
from tests.syncs.conftest import finish
from tests.syncs.views.conftest import shown

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def key(few):
    return few.records("oa", "user")[20]["userId"]


@pytest.fixture
def told(few, users_sync, run_now, key):
    """A record that was created and then renamed twice."""
    runs = [run_now(users_sync)]
    for name in ("First name", "Second name"):
        few.oa.change("user", key, name=name)
        runs.append(run_now(users_sync, full=True))
    return runs


def test_every_change_is_told_newest_first(users_sync, told, key, by):
    story = story_of(users_sync, key, by=by)

    assert [change.change_set.run_id for change in story.changes] == [run.pk for run in reversed(told)]
    assert [change.operation for change in story.changes] == ["update", "update", "create"]
    names = [next(field for field in change.fields if field.name == "full_name") for change in story.changes]
    assert [(field.before, field.after) for field in names[:2]] == [("First name", "Second name"), (names[2].after, "First name")]


def test_it_is_found_by_the_key_of_the_target_too(users_sync, told, key, by):
    link = Link.objects.get(a_key=key)

    assert len(story_of(users_sync, link.b_key, by=by).changes) == 3


def test_it_pages_by_a_mark(users_sync, told, key, by):
    first = story_of(users_sync, key, by=by, size=2)
    second = story_of(users_sync, key, by=by, size=2, after=first.after)

    assert [change.operation for change in (*first.changes, *second.changes)] == ["update", "update", "create"]
    assert second.after == ""


def test_a_page_goes_on_where_the_one_before_ended(users_sync, told, key, by, monkeypatch):
    first = story_of(users_sync, key, by=by, size=2)
    opened, frame_of = [], changesets.frame_of
    monkeypatch.setattr(changesets, "frame_of", lambda row, columns=None: opened.append(row.pk) or frame_of(row, columns))

    story_of(users_sync, key, by=by, size=2, after=first.after)

    newest = {change.change_set.pk for change in first.changes}
    assert newest.isdisjoint(opened), "nothing that was told already is opened again"


def test_a_mark_leads_to_no_other_record(few, users_sync, told, key, by):
    other = story_of(users_sync, few.records("oa", "user")[30]["userId"], by=by).changes[0]

    assert story_of(users_sync, key, by=by, after=other.mark).changes == []
    assert story_of(users_sync, key, by=by, after="1_x_").changes == []


def test_it_goes_on_when_its_link_has_ended_and_come_again(users_sync, told, key, by):
    def apply(plan):
        return finish(plans.apply_plan(plans.approve_plan(plan, by=by, reason="Wrong"), by=by))

    whole = apply(finish(undo.plan_undo_of_version(users_sync, users_sync.mapping.latest, since=told[0].made_at, by=by)))
    assert story_of(users_sync, key, by=by).link is None
    apply(finish(undo.plan_undo(whole, by=by, keys=[key])))

    story = story_of(users_sync, key, by=by)

    assert [change.operation for change in story.changes] == ["create", "delete", "update", "update", "create"]
    paged, after = [], ""
    while not paged or after:
        page = story_of(users_sync, key, by=by, after=after, size=1)
        paged, after = [*paged, *page.changes], page.after
    assert [change.mark for change in paged] == [change.mark for change in story.changes]
    assert len(story.links) == 2
    assert story.link is not None


def test_its_page_tells_run_version_and_who(enter, users_sync, told, key):
    client = enter("viewer")

    page = shown(client, "syncs:story", users_sync.pk, key=key)

    assert "is linked to Users of CRM" in page
    assert f"Run {told[0].pk} of {users_sync.name}" in page
    assert "Users v1" in page
    assert "Second name" in page


def test_it_tells_which_changes_undo_others(enter, users_sync, told, key, by):
    finish(plans.apply_plan(plans.approve_plan(finish(undo.plan_undo(told[-1], by=by, keys=[key])), by=by, reason="Wrong"), by=by))

    page = shown(enter("viewer"), "syncs:story", users_sync.pk, key=key)

    assert page.count("undoing run") == 1
    assert f"undoing run {told[-1].pk}" in page


def test_both_sides_are_read_now(enter, few, users_sync, told, key):
    client = enter("viewer")
    few.oa.change("user", key, name="As it is now")

    page = shown(client, "syncs:story_now", users_sync.pk, key=key)

    assert "As it is now" in page
    assert "Second name" in page


def test_a_side_that_is_gone_says_so(enter, few, users_sync, told, key):
    few.crm.delete("users", Link.objects.get(a_key=key).b_key)

    page = shown(enter("viewer"), "syncs:story_now", users_sync.pk, key=key)

    assert "Not there any more" in page


def test_a_record_that_was_never_linked_says_so(enter, few, users_sync):
    assert "No record with the key nobody was ever linked here." in shown(enter("viewer"), "syncs:story", users_sync.pk, key="nobody")


def test_the_palette_finds_a_record_by_its_key(users_sync, told, key, by):
    assert [hit.href for hit in find_records(by, key)] == [f"{reverse('syncs:story', args=[users_sync.pk])}?key={key}"]
    assert find_records(by, "nobody") == []


def test_a_change_leads_to_its_story(enter, users_sync, told, key, by):
    change = story_of(users_sync, key, by=by).changes[0]

    page = enter("viewer").get(reverse("runs:change", args=[told[-1].pk, change.change_set.pk, change.row])).content.decode()

    assert f"{reverse('syncs:story', args=[users_sync.pk])}?key={key}" in page
