"""All transforms, by name. The order is that of the reference page."""

from . import text, numbers, times, choice, structure, link  # noqa: F401, I001  each declares its transforms; the order is meant
from .base import TRANSFORMS, Transform

__all__ = ["TRANSFORMS", "Transform"]
