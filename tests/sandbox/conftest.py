from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from sandbox.testing import RunningSandbox, running
from tests.sandbox.dialects import DIALECTS, CrmDialect, Dialect, ErpDialect, HelpDeskDialect, MarketingDialect, MrpDialect, OaDialect


@pytest.fixture(scope="session")
def _running_sandbox() -> Iterator[RunningSandbox]:
    with running() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(_running_sandbox: RunningSandbox) -> RunningSandbox:
    """A sandbox as on its first day."""
    _running_sandbox.reset()
    return _running_sandbox


@pytest.fixture
def speak(sandbox: RunningSandbox) -> Iterator[Callable[[str], Dialect]]:
    speakers: list[Dialect] = []

    def speak(system: str) -> Dialect:
        speakers.append(DIALECTS[system](sandbox.url))
        return speakers[-1]

    yield speak
    for speaker in speakers:
        speaker.connection.close()


@pytest.fixture
def crm(speak) -> CrmDialect:
    return speak("crm")


@pytest.fixture
def oa(speak) -> OaDialect:
    return speak("oa")


@pytest.fixture
def erp(speak) -> ErpDialect:
    return speak("erp")


@pytest.fixture
def mrp(speak) -> MrpDialect:
    return speak("mrp")


@pytest.fixture
def helpdesk(speak) -> HelpDeskDialect:
    return speak("helpdesk")


@pytest.fixture
def marketing(speak) -> MarketingDialect:
    return speak("marketing")
