"""A worker that dies at any point leaves nothing undone and nothing done twice."""

import pytest

from integration_hub.syncs import services
from tests.dying import POINTS
from tests.syncs.conftest import finish
from tests.syncs.equal import assert_equal
from tests.syncs.killing import carry_until_killed, let_the_lease_run_out

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("point", POINTS)
def test_a_worker_killed_at_a_named_point_is_taken_over(sandbox, users_sync, by, point):
    run = services.start_run(users_sync, by=by)
    partition = run.partitions.get()

    assert carry_until_killed(partition, point, at=1)
    let_the_lease_run_out(partition)
    run = finish(run)

    assert_equal(sandbox)
    assert run.balanced
