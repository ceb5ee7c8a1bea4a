"""The parts of a configuration file, in the order in which they build on each other."""

from .base import Context, Part
from .mappings import MappingsPart
from .syncs import SyncsPart
from .systems import SystemsPart

PARTS: tuple[Part[object], ...] = (SystemsPart(), MappingsPart(), SyncsPart())  # type: ignore[assignment]

__all__ = ["PARTS", "Context", "Part"]
