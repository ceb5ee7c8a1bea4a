"""What the host says is heeded: permits, deadline, addresses."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from connectors.base import AddressRefused, Connector, Entity, FreeHost, Stopped, SystemBusy, _
from connectors.conformance.frames import changes
from connectors.conformance.kit import Kit, Prepared


class Full(FreeHost):
    """A host whose permits are used up."""

    def permit(self, wanted: int = 1) -> tuple[int, float]:
        return 0, 60.0


class Slow(FreeHost):
    """A host that grants one request at a time, each after a moment."""

    asked = 0

    def permit(self, wanted: int = 1) -> tuple[int, float]:
        self.asked += 1
        return (0, 0.05) if self.asked % 2 else (1, 0.0)


class Late(FreeHost):
    """A host whose time is over."""

    def deadline(self) -> float:
        return time.monotonic() - 1

    def before_request(self) -> None:
        raise Stopped(_("The time is over."))


class Closed(FreeHost):
    """A host that allows no address."""

    def allow_address(self, host: str, address: str) -> None:
        raise AddressRefused(_("{host} is not allowed by ALLOWED_NETWORKS."), host=host)


class Hosting(Kit):
    def test_used_up_permits_are_a_wait(self, connect: Callable[..., Connector], entity: Entity, prepared: Prepared) -> None:
        if not prepared.is_remote:
            pytest.skip("is not remote")
        started = time.monotonic()

        with pytest.raises(SystemBusy) as caught:
            next(iter(connect(Full("System")).read(entity)))

        assert caught.value.retry_after
        assert time.monotonic() - started < 3

    def test_a_permit_that_comes_soon_is_waited_for(self, connect: Callable[..., Connector], entity: Entity, prepared: Prepared) -> None:
        if not prepared.is_remote:
            pytest.skip("is not remote")
        host = Slow("System")

        assert list(connect(host).read(entity))

        assert host.asked >= 2

    def test_nothing_is_started_after_the_deadline(self, connect: Callable[..., Connector], entity: Entity, prepared: Prepared) -> None:
        if not prepared.is_remote:
            pytest.skip("is not remote")

        with pytest.raises(Stopped):
            next(iter(connect(Late("System")).read(entity)))
        if entity.capabilities.create and prepared.new is not None:
            with pytest.raises(Stopped):
                connect(Late("System")).write(entity, changes(entity, [("create", None, prepared.new(1))]))

    def test_an_address_that_is_not_allowed_is_not_connected_to(self, connect: Callable[..., Connector], entity: Entity, prepared: Prepared) -> None:
        if not prepared.is_remote:
            pytest.skip("is not remote")

        with pytest.raises(AddressRefused, match="ALLOWED_NETWORKS"):
            connect(Closed("System")).check()
