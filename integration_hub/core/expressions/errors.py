"""What is wrong with an expression, and where."""

import difflib
from collections.abc import Iterable
from typing import Any

from connectors.base import Text


class ExpressionError(ValueError):
    """An expression that cannot be accepted. `text` is what to tell, `line` and `column` (from 1) where; None where the place is not known."""

    def __init__(self, template: str, /, *, line: int | None = None, column: int | None = None, **values: Any) -> None:
        self.text = Text(template, values)
        self.line = line
        self.column = column
        super().__init__(str(self.text))


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like `name`, if one is."""
    by_lower = {k.lower(): k for k in known}
    if found := difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6):
        return by_lower[found[0]]
    return next((k for lower, k in by_lower.items() if lower.rsplit(".", 1)[-1] == name.lower()), None)
