"""One renewal for all workers, whoever asks at the same time."""

import time

import pytest

from connectors.base import SettingsError, Stopped, SystemBusy, SystemDown, Token
from integration_hub.systems.host import SystemHost
from integration_hub.systems.models import Credential
from tests.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)


class Provider:
    """A token endpoint that rotates refresh tokens and burns the grant when an old one comes back."""

    def __init__(self, *, life=3600.0, slow=0.0, rotates=True):
        self.calls, self.life, self.slow, self.rotates, self.burned = 0, life, slow, rotates, False
        self.refresh = None

    def fetch(self, refresh):
        if self.burned or (refresh is not None and refresh != self.refresh):
            self.burned = True
            raise SettingsError("The grant was revoked.")
        self.calls += 1
        if self.rotates:
            self.refresh = f"r{self.calls}"
        time.sleep(self.slow)
        return Token(f"t{self.calls}", time.time() + self.life, self.refresh if self.rotates else None)


def token_of(system, provider, **more):
    host = SystemHost(system)
    try:
        return host.token(provider.fetch, **more)
    finally:
        host.close()


def test_many_workers_cause_one_renewal(make_system):
    system, provider = make_system(), Provider(slow=0.3)

    results = at_once(*[lambda: token_of(system, provider)] * 6)

    assert results == ["t1"] * 6
    assert provider.calls == 1


def test_many_workers_with_the_same_refused_token_cause_one_renewal_and_burn_none(make_system):
    system, provider = make_system(), Provider(slow=0.2)
    token_of(system, provider)

    results = at_once(*[lambda: token_of(system, provider, stale="t1")] * 6)

    assert results == ["t2"] * 6
    assert (provider.calls, provider.burned) == (2, False)
    assert Credential.objects.get().sealed.reveal() == {"value": "t2", "refresh": "r2"}


def test_a_token_lies_encrypted(make_system):
    system = make_system()

    token_of(system, Provider())

    raw = Credential.objects.extra(select={"raw": "sealed"}).values_list("raw", flat=True).get()
    assert raw.startswith("k1:")


def test_a_good_token_is_read_once_and_then_kept(make_system, django_assert_num_queries):
    system, provider = make_system(), Provider()
    token_of(system, provider)
    host = SystemHost(system)
    host.token(provider.fetch)

    with django_assert_num_queries(0):
        assert host.token(provider.fetch) == "t1"


@pytest.mark.parametrize(("life", "calls"), [(3600, 1), (59, 1), (0.0, 2)])
def test_a_token_is_renewed_before_its_end(make_system, life, calls):
    system, provider = make_system(), Provider(life=life)
    token_of(system, provider)

    token_of(system, provider)

    assert provider.calls == calls


def test_a_refresh_token_is_kept_where_the_answer_brings_no_new_one(make_system):
    system = make_system()
    Credential.objects.create(system=system, sealed={"value": "old", "refresh": "keep"})
    provider = Provider(rotates=False)
    provider.refresh = "keep"

    token_of(system, provider, stale="old")

    assert Credential.objects.get().sealed.reveal() == {"value": "t1", "refresh": "keep"}


def test_a_revoked_refresh_token_asks_to_reconnect(make_system):
    system, provider = make_system(), Provider()
    token_of(system, provider)
    provider.burned = True
    revoked = []
    host = SystemHost(system, on_revoked=revoked.append)

    with pytest.raises(SettingsError, match="revoked"):
        host.token(provider.fetch, stale="t1")

    assert [str(error) for error in revoked] == ["The grant was revoked."]
    assert Credential.objects.get().lease_until is None


def test_a_failed_renewal_frees_the_lease_for_the_next(make_system):
    system, provider = make_system(), Provider()
    host = SystemHost(system)

    def down(refresh):
        raise SystemDown("The token endpoint does not answer.")

    with pytest.raises(SystemDown):
        host.token(down)

    assert host.token(provider.fetch) == "t1"


def test_a_token_that_cannot_be_saved_frees_the_lease_for_the_next(make_system):
    system = make_system()

    with pytest.raises(OverflowError):
        token_of(system, Provider(life=float("inf")))

    assert token_of(system, Provider()) == "t1"


def test_a_lease_whose_holder_died_is_taken_over(make_system):
    system, provider = make_system(), Provider()
    Credential.objects.create(system=system, lease_number=7, lease_until="2020-01-01T00:00:00Z")

    assert token_of(system, provider) == "t1"


def test_waiting_for_anothers_renewal_ends_at_the_deadline(make_system):
    system = make_system()
    Credential.objects.create(system=system, lease_number=7, lease_until="2100-01-01T00:00:00Z")
    end = time.monotonic() + 0.3

    with pytest.raises(Stopped):
        SystemHost(system, deadline=lambda: end).token(Provider().fetch)


def test_waiting_for_anothers_renewal_is_bounded(make_system):
    system = make_system(time_out_seconds=1)
    Credential.objects.create(system=system, lease_number=7, lease_until="2100-01-01T00:00:00Z")
    system.time_out_seconds = 0.1

    with pytest.raises(SystemBusy, match="being renewed by another worker"):
        SystemHost(system).token(Provider().fetch)


def test_a_worker_that_slept_through_its_lease_overwrites_no_newer_token(make_system):
    system, provider = make_system(), Provider()
    token_of(system, provider)

    def overtaken(refresh):
        Credential.objects.update(sealed={"value": "newer", "refresh": "newer"})
        return Token("mine", time.time() + 3600, "r-mine")

    token_of(system, type("P", (), {"fetch": staticmethod(overtaken)}), stale="t1")

    assert Credential.objects.get().sealed.reveal()["value"] == "newer"
