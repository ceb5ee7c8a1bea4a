"""All transforms, by name. The order is that of the reference page."""

from . import text  # noqa: F401  each declares its transforms
from .base import TRANSFORMS, Transform

__all__ = ["TRANSFORMS", "Transform"]
