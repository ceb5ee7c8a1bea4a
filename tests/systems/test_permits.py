"""The limits hold over any second, across workers; a system without limits costs no query."""

import time
from collections import Counter

import pytest

from integration_hub.systems.host import SystemHost
from integration_hub.systems.models import Quota
from integration_hub.systems.permits import Limits, plan_block, quota_left
from tests.threads import at_once


@pytest.mark.parametrize(
    ("limits", "quota", "now", "wanted", "count", "wait"),
    [
        (Limits(10, None, None), {}, 1000.0, 4, 4, 0),
        (Limits(10, None, None), {}, 1000.0, 50, 10, 0),  # at most what a second allows
        (Limits(0.5, None, None), {}, 1000.0, 5, 1, 0),
        (Limits(10, None, None), {"free_at": 1001.5}, 1000.0, 5, 5, 0),  # slots ahead of now
        (Limits(10, None, None), {"free_at": 1003.5}, 1000.0, 5, 0, 2.5),  # but not too far
        (Limits(None, 60, None), {}, 1000.0, 5, 1, 0),
        (Limits(None, 600, None), {"minute": 16, "minute_used": 595}, 1000.0, 10, 5, 0),
        (Limits(None, 600, None), {"minute": 16, "minute_used": 600}, 1000.0, 10, 0, 20),
        (Limits(None, 600, None), {"minute": 15, "minute_used": 600}, 1000.0, 10, 10, 0),  # of the minute before
        (Limits(None, None, 10), {"day": 0, "day_used": 10}, 86_000.0, 1, 0, 400),
        (Limits(100, 60_000, 10_000_000), {"day": 0, "day_used": 9_999_998}, 1000.0, 50, 2, 0),  # the narrowest decides
    ],
)
def test_a_block_holds_to_every_limit(limits, quota, now, wanted, count, wait):
    block = plan_block(limits, Quota(**quota), now, wanted)

    assert (block.count, round(block.wait, 6)) == (count, wait)


@pytest.mark.django_db
def test_a_system_without_limits_never_asks_the_database(make_system, django_assert_num_queries):
    host = SystemHost(make_system())

    with django_assert_num_queries(0):
        assert [host.permit(1_000) for _ in range(3)] == [(1_000, 0.0)] * 3


@pytest.mark.django_db
def test_permits_are_drawn_in_growing_blocks(make_system, django_assert_max_num_queries):
    host = SystemHost(make_system(requests_per_minute=60_000))

    with django_assert_max_num_queries(60):
        granted = sum(host.permit(1)[0] for _ in range(3_000))

    assert granted == 3_000


@pytest.mark.django_db
def test_what_was_drawn_and_not_used_is_given_back(make_system):
    system = make_system(requests_per_day=864_000)
    host = SystemHost(system)
    for _ in range(7):  # blocks of 1, 2, 4, 8
        host.permit(1)
        host.permit(1)

    host.close()

    assert Quota.objects.get().day_used == 14
    assert quota_left(system) == [("day", 864_000 - 14, 864_000)]


@pytest.mark.django_db
def test_an_exhausted_minute_says_when_it_ends(make_system):
    system = make_system(requests_per_minute=2)
    host = SystemHost(system)
    host.permit(1)
    host.permit(1)

    granted, wait = host.permit(1)

    assert granted == 0 or Quota.objects.get().minute_used == 1  # the minute may have ended between the two
    assert 0 <= wait <= 60


@pytest.mark.django_db(transaction=True)
def test_workers_share_a_limit_over_any_second(make_system):
    system, rate, seconds = make_system(requests_per_second=40), 40, 2.0
    sent: list[float] = []
    end = time.monotonic() + seconds

    def work():
        host = SystemHost(system)
        while time.monotonic() < end:
            granted, wait = host.permit(4)
            sent.extend([time.monotonic()] * granted)
            time.sleep(min(wait, 0.2) if not granted else 0)
        host.close()

    at_once(work, work, work)

    sent.sort()
    busiest = max(Counter(bisected(sent, at) for at in sent))
    assert busiest <= rate + 3 + 40 * 0.25 + 1  # one permit a worker, and what a paused worker may catch up
    assert len(sent) >= rate * seconds * 0.6
    assert Quota.objects.get().draws <= 3 * (seconds + 8)


def bisected(times, start):
    return sum(start <= at < start + 1 for at in times)
