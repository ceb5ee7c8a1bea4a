"""Who may see the pages of syncs, runs and rejects, and who may use their buttons; how many questions their lists ask."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from integration_hub.core import texts
from integration_hub.syncs import services
from integration_hub.syncs.models import ChangeSet, OpenRow, Run
from integration_hub.syncs.openrows import packed_record
from tests.syncs.conftest import ended
from tests.syncs.views.conftest import press, shown

pytestmark = pytest.mark.django_db(transaction=True)
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


def test_lists_ask_the_same_number_of_questions_at_one_row_and_at_thirty(enter, users_sync, by):
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
        with CaptureQueriesContext(connection) as caught:
            assert client.get(reverse(name)).status_code == 200
        return len(caught)

    names = ("syncs:list", "runs:list", "rejects:list", "admin:index")
    before = {name: asked(name) for name in names}
    for number in range(30):
        sync = services.create_sync(by=by, source=users_sync.source, target=users_sync.target, name=f"Copy {number}", mapping=users_sync.mapping)
        ended(sync, "failed" if number % 2 else "succeeded")
        OpenRow.objects.create(key=str(number), cause=f"c{number}", **row, **make | {"sync": sync})

    assert {name: asked(name) - before[name] for name in names} == dict.fromkeys(names, 0)
