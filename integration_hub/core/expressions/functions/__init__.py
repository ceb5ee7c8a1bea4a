"""The functions of the language: the list of all that may be called, and its reference, in this order."""

from . import text, choice, numbers, times  # noqa: F401, I001  each declares its functions; the order is meant
from .base import ALIASES, FUNCTIONS, Function

__all__ = ["ALIASES", "FUNCTIONS", "Function"]
