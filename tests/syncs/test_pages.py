"""The pages of syncs, runs and rejects, as a browser asks for them, over runs between two real systems of the sandbox."""

import pytest
from django.urls import reverse

from integration_hub.syncs.models import ChangeSet, OpenRow, Run, Sync

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def enter(client, person):
    """A function that signs the client in with a role."""

    def as_(role="operator"):
        client.force_login(person(role))
        return client

    return as_


def shown(client, name, *args, **query):
    answer = client.get(reverse(name, args=args), query)
    assert answer.status_code == 200, answer
    return answer.content.decode()


def test_every_page_answers_for_a_sync_that_ran(enter, users_sync, run_now):
    client, run = enter("administrator"), run_now(users_sync)
    row, change_set = OpenRow.objects.first(), ChangeSet.objects.first()

    assert users_sync.name in shown(client, "syncs:list")
    shown(client, "syncs:detail", users_sync.pk)
    shown(client, "syncs:edit", users_sync.pk)
    shown(client, "syncs:new")
    shown(client, "syncs:records", users_sync.pk)
    shown(client, "syncs:cursor", users_sync.pk)
    shown(client, "syncs:trace", users_sync.pk)
    shown(client, "runs:list")
    shown(client, "runs:detail", run.pk)
    shown(client, "runs:log", run.pk)
    shown(client, "runs:changes", run.pk)
    shown(client, "runs:change", run.pk, change_set.pk, 0)
    shown(client, "rejects:list")
    shown(client, "rejects:detail", row.pk)
    shown(client, "rejects:cause", users_sync.pk, row.cause)
    shown(client, "admin:index")
