"""What a spreadsheet would run gets an apostrophe in front, in files that are written and in lists that are exported alike. Source: OWASP, CSV Injection."""

from __future__ import annotations

import re

RUN = re.compile(r"^'*[=+\-@\t\r\n＝＋－＠]")  # the wide ones are run in East Asian settings; the apostrophes, so that one can be taken off again


def harmless(text: str) -> str:
    return f"'{text}" if RUN.match(text) else text


def as_it_was(text: str) -> str:
    """The text that `harmless` was given."""
    return text.removeprefix("'") if RUN.match(text) else text
