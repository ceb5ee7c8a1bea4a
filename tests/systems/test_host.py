"""Guard, deadline, circuit, and from where a connector may call."""

import asyncio
import threading
import time
from datetime import timedelta

import pytest
from django.utils import timezone

from connectors.base import AddressRefused, Stopped, SystemBusy, SystemDown, Token
from integration_hub.systems import breaker
from integration_hub.systems.host import GuardedHost, SystemHost
from integration_hub.systems.models import Circuit, System


@pytest.mark.django_db
def test_the_guard_knows_the_networks_of_the_settings(make_system, settings):
    settings.ALLOWED_NETWORKS = ["10.1.0.0/16"]
    host = SystemHost(make_system())

    host.allow_address("erp.corp", "10.1.2.3")
    with pytest.raises(AddressRefused, match="ALLOWED_NETWORKS"):
        host.allow_address("erp.corp", "10.2.2.3")


@pytest.mark.django_db
def test_no_request_starts_behind_the_deadline(make_system):
    host = SystemHost(make_system(), deadline=lambda: time.monotonic() - 1)

    with pytest.raises(Stopped, match="CRM"):
        host.before_request()


@pytest.mark.django_db
def test_a_healthy_system_is_written_once_at_the_end(make_system, django_assert_max_num_queries):
    system = make_system()
    host = SystemHost(system)

    with django_assert_max_num_queries(1):
        for _ in range(100):
            host.before_request()
            host.after_request(ok=True, seconds=0.0123)
    with django_assert_max_num_queries(1):
        host.close()

    system.refresh_from_db()
    assert system.latency_ms == 12
    assert system.last_answer_at is not None


def fail(host, times=1):
    for _ in range(times):
        host.before_request()
        host.after_request(ok=False, seconds=1)


@pytest.mark.django_db
def test_failures_in_a_row_open_the_circuit_for_all_workers_and_ask_for_a_check(make_system):
    system = make_system(next_check_at=timezone.now() + timedelta(hours=1))
    one, other = SystemHost(system), SystemHost(system)

    with pytest.raises(SystemDown):
        fail(one, 6)
    with pytest.raises(SystemDown, match="failed several times in a row") as raised:
        other.before_request()

    assert 1 <= raised.value.retry_after <= breaker.FIRST_WAIT
    assert System.objects.due().filter(pk=system.pk).exists()


@pytest.mark.django_db
def test_failures_of_several_short_lived_workers_add_up(make_system):
    system = make_system()

    for _ in range(breaker.FAILURES):
        host = SystemHost(system)
        fail(host)
        host.close()

    with pytest.raises(SystemDown):
        SystemHost(system).before_request()


@pytest.mark.django_db
def test_a_success_between_failures_keeps_it_closed(make_system):
    system = make_system()

    for _ in range(3):
        host = SystemHost(system)
        fail(host, breaker.FAILURES - 1)
        host._breaker._look_at = 0
        host.before_request()
        host.after_request(ok=True, seconds=0.1)
        host.close()

    SystemHost(system).before_request()


def open_circuit(system, *, seconds_ago):
    at = timezone.now() - timedelta(seconds=seconds_ago)
    Circuit.objects.create(system=system, failure_count=5, openings=1, open_until=at)


@pytest.mark.django_db
def test_one_probe_goes_through_and_its_success_closes_the_circuit(make_system):
    system = make_system()
    open_circuit(system, seconds_ago=1)
    prober, other = SystemHost(system), SystemHost(system)

    prober.before_request()
    with pytest.raises(SystemDown):
        other.before_request()
    prober.after_request(ok=True, seconds=0.1)

    SystemHost(system).before_request()
    assert Circuit.objects.get().failure_count == 0


@pytest.mark.django_db
def test_a_failed_probe_opens_it_for_twice_as_long(make_system):
    system = make_system()
    open_circuit(system, seconds_ago=1)
    host = SystemHost(system)

    fail(host)

    circuit = Circuit.objects.get()
    assert circuit.openings == 2
    assert 8 < (circuit.open_until - timezone.now()).total_seconds() <= 10


@pytest.mark.django_db
def test_a_pause_that_the_system_asked_for_is_kept_by_all_workers_until_it_is_over(make_system):
    system = make_system()
    one, other = SystemHost(system), SystemHost(system)
    other.before_request()

    one.asked_to_wait(40)
    one.asked_to_wait(3)  # told later, and no reason to come sooner

    for host in (one, SystemHost(system)):
        with pytest.raises(SystemBusy, match="CRM has asked us to wait") as raised:
            host.before_request()
        assert 35 < raised.value.retry_after <= 40
    Circuit.objects.update(open_until=timezone.now() - timedelta(seconds=1))
    SystemHost(system).before_request()


@pytest.mark.django_db
def test_a_health_check_goes_through_an_open_circuit_and_closes_it(make_system):
    system = make_system()
    open_circuit(system, seconds_ago=-60)
    host = SystemHost(system, for_check=True)

    host.before_request()
    host.after_request(ok=True, seconds=0.1)

    SystemHost(system).before_request()


@pytest.mark.django_db(transaction=True)
def test_a_connector_may_call_from_an_event_loop_and_from_threads(make_system):
    system = make_system(requests_per_second=1000)
    host = SystemHost(system)

    async def in_loop():
        host.before_request()
        return host.permit(3), host.token(lambda refresh: Token("t"))

    results = []
    thread = threading.Thread(target=lambda: results.append(asyncio.run(in_loop())))
    thread.start()
    thread.join()
    results.append(asyncio.run(in_loop()))
    host.close()

    assert [token for _permits, token in results] == ["t", "t"]
    assert results[0][0][0] >= 1


def test_a_host_for_settings_that_are_only_tried_keeps_its_token_to_itself():
    host = GuardedHost(System(name="CRM"))
    tokens = iter([Token("a", refresh="r"), Token("b")])
    seen = []

    def fetch(refresh):
        seen.append(refresh)
        return next(tokens)

    assert [host.token(fetch), host.token(fetch), host.token(fetch, stale="a")] == ["a", "a", "b"]
    assert seen == [None, "r"]
