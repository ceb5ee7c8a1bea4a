"""What is left of two entities when no sync works on them any more."""

import pytest

from integration_hub.syncs import services
from integration_hub.syncs.models import Link, Run, Sync
from tests.syncs.views.conftest import press, shown

pytestmark = pytest.mark.django_db(transaction=True)


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
