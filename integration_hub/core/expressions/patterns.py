"""Patterns that people write: short, and with repeats that cannot make the matcher grow without measure.

The matcher is linear in the text, but its size is the product of nested repeats; `([a-z]{0,200}){0,200}` would take minutes.
"""

from __future__ import annotations

import re

from connectors.base import _

from .errors import ExpressionError

MAX_LENGTH = 200
MAX_REPEAT = 100
MAX_NESTED_REPEATS = 1_000
_REFERENCE = re.compile(r"\$(?:\{(\w+)\}|(\d+|[A-Za-z_]\w*))")


def check_pattern(pattern: str) -> None:
    """Raise ExpressionError for a regular expression that is too long, repeats too often, or is none."""
    import polars as pl

    if len(pattern) > MAX_LENGTH:
        raise ExpressionError(_("The pattern has {length} characters; {limit} are allowed."), length=len(pattern), limit=MAX_LENGTH)
    _check_repeats(pattern)
    try:
        pl.Series(["a"]).str.contains(pattern)
    except BaseException as error:  # a panic of Polars is no Exception
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise ExpressionError(_("“{pattern}” is not a pattern: {problem}."), pattern=pattern, problem=_problem(error)) from None


def read_replacement(text: str, pattern: str) -> str:
    """The text as the matcher takes it: in $1b it would look for a group named 1b. Raises ExpressionError for a group that the pattern does not have,
    for nothing would be put in its place."""
    import polars as pl

    named = pl.Series([""]).str.extract_groups(pattern).struct.fields  # those without a name by their number
    groups = {*named, *map(str, range(len(named) + 1))}

    def group(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        if name not in groups:
            raise ExpressionError(_("The pattern has no group {group}. A $ itself is written $$."), group=name)
        return f"${{{name}}}"

    return "$$".join(_REFERENCE.sub(group, piece) for piece in text.split("$$"))


def _problem(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines()]
    found = next((line.removeprefix("error: ") for line in lines if line.startswith("error: ")), lines[0] if lines else "")
    return found.removeprefix("regex error: ").rstrip(".")


def _check_repeats(pattern: str) -> None:
    """Walk the pattern once, with a stack of the open groups; each level holds the largest product of repeats seen in it."""
    levels = [1]
    last = 1  # the product inside the piece just read, to which a repeat applies
    place = 0
    while place < len(pattern):
        sign = pattern[place]
        if sign == "\\":
            place, last = place + 2, 1
        elif sign == "[":
            place, last = _after_class(pattern, place), 1
        elif sign == "(":
            levels.append(1)
            place, last = place + 1, 1
        elif sign == ")":
            last = levels.pop() if len(levels) > 1 else 1
            levels[-1] = max(levels[-1], last)
            place += 1
        elif sign == "{" and (end := pattern.find("}", place)) > 0 and (counts := _counts(pattern[place + 1 : end])):
            if max(counts) > MAX_REPEAT:
                raise ExpressionError(_("The pattern repeats a part {count} times; {limit} are allowed."), count=max(counts), limit=MAX_REPEAT)
            last *= max(1, *counts)
            if last > MAX_NESTED_REPEATS:
                raise ExpressionError(
                    _("The pattern repeats repeats: together {count} times; {limit} are allowed."), count=last, limit=MAX_NESTED_REPEATS
                )
            levels[-1] = max(levels[-1], last)
            place = end + 1
        else:
            place, last = place + 1, last if sign in "*+?" else 1


def _after_class(pattern: str, start: int) -> int:
    place, depth = start + 1, 1
    if pattern[place : place + 1] == "^":
        place += 1
    if pattern[place : place + 1] == "]":
        place += 1
    while place < len(pattern) and depth:
        if pattern[place] == "\\":
            place += 1
        elif pattern[place] == "[":
            depth += 1
        elif pattern[place] == "]":
            depth -= 1
        place += 1
    return place


def _counts(text: str) -> list[int]:
    parts = text.replace(" ", "").split(",")
    return [int(p[:9]) for p in parts if p] if all(p.isdigit() or not p for p in parts) and any(parts) else []


def like_pattern(pattern: str) -> str:
    r"""A LIKE pattern as a regular expression: % is any text, _ any character, \% and \_ themselves."""
    written = []
    place = 0
    while place < len(pattern):
        sign = pattern[place]
        if sign == "\\" and place + 1 < len(pattern):
            place += 1
            written.append(_escape(pattern[place]))
        else:
            written.append({"%": ".*", "_": "."}.get(sign) or _escape(sign))
        place += 1
    return "".join(written)


def _escape(text: str) -> str:
    return re.sub(r"([\\.+*?()|\[\]{}^$#&\-~])", r"\\\1", text)
