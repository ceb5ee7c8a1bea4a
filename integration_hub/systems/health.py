"""The state of a system: looked at on a schedule, changed by one conditional UPDATE, told once."""

from __future__ import annotations

from connectors.base import SettingsError
from integration_hub.systems.models import System


def mark_revoked(system: System, error: SettingsError) -> None:
    raise NotImplementedError
