"""Two pairs that fill one entity: a record that both would create is made by one of them."""

import pytest

from integration_hub.core import texts
from integration_hub.syncs import carrying, claims, services, write
from integration_hub.syncs.models import Claim, Link, OpenRow, Run
from tests.syncs.conftest import USERS_TO_USERS, finish, published, registered, users_settings
from tests.syncs.equal import assert_equal

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def second(few, users_sync, crm, by):
    """A sync from the same people under another roof."""
    source = registered("Second OA", users_settings("OA", few.url), by).entities.get(name="users")
    target = crm.entities.get(name="users")
    mapping = published("Second users", source, target, USERS_TO_USERS)
    return services.create_sync(by=by, source=source, target=target, name="Second", mapping=mapping, mode="incremental")


def once_before(monkeypatch, module, name, act):
    """Do something before the next call of this function, once."""
    step = getattr(module, name)

    def interrupted(*args, **more):
        monkeypatch.setattr(module, name, step)
        act()
        return step(*args, **more)

    monkeypatch.setattr(module, name, interrupted)


@pytest.mark.parametrize(("module", "step"), [(claims, "claim"), (write, "mark_sending")], ids=["after comparing", "after claiming"])
@pytest.mark.parametrize("path", ["at once", "compared first"])
def test_what_two_runs_would_create_at_once_is_created_by_one_and_linked_by_both(
    few, users_sync, second, by, run_now, monkeypatch, module, step, path
):
    services.change_sync(second, by=by, compare_first=path == "compared first")
    others = []
    once_before(monkeypatch, module, step, lambda: others.append(run_now(users_sync)))

    run = run_now(second)
    for sync in (users_sync, second):
        run_now(sync)

    assert (run.balanced, others[0].balanced) == (True, True)
    assert not OpenRow.objects.open().exists(), {texts.render(row.reason) for row in OpenRow.objects.open()}
    assert_equal(few)
    assert Link.objects.filter(pair=second.pair_id).count() == Link.objects.filter(pair=users_sync.pair_id).count() == 80
    assert not Claim.objects.exists()


def test_what_another_run_has_claimed_is_left_for_the_next_run(few, users_sync, second, run_now, monkeypatch):
    others = []
    once_before(monkeypatch, write, "mark_sending", lambda: others.append(run_now(users_sync)))

    run_now(second)

    assert others[0].counts["moved"] > 0
    assert others[0].state == "with_rejects"
    (reason,) = {texts.render(row.reason) for row in OpenRow.objects.filter(sync=users_sync)}
    assert reason == "CRM has got Users with the same match key after it was compared. The next run compares it again."


def test_what_a_cancelled_run_has_claimed_is_free_once_it_is_known_what_it_wrote(few, users_sync, by, run_now, monkeypatch):
    run = services.start_run(users_sync, by=by)

    def cancelled():
        services.cancel_run(run, by=by)
        raise SystemExit  # as a worker that is told to end

    once_before(monkeypatch, write, "write", cancelled)
    with pytest.raises(SystemExit):
        carrying.carry_partition(run.partitions.get().pk)
    finish(run)
    assert Claim.objects.exists()

    run_now(users_sync)

    assert not Claim.objects.exists()
    assert_equal(few)


def test_a_first_load_has_its_target_for_itself(few, users_sync, second, by):
    loading = services.start_run(second, by=by)
    Run.objects.filter(pk=loading.pk).update(first_load=True)
    run = services.start_run(users_sync, by=by)

    carrying.carry_partition(run.partitions.get().pk)

    partition = run.partitions.get()
    assert texts.render(partition.error) == f"Waits until Second has filled {users_sync.target} for the first time."
    assert partition.not_before is not None
    assert few.crm.applied() == {}
