"""Where the records of a CSV text end: at a line end outside quotes. Told for a block at once; only a block with stray quotes is walked through.

A quote opens a value where a value begins, is doubled inside it, and closes it where it ends. Where every quote of a block is in its place, whether a
line end lies inside quotes is told by whether the number of quotes before it is odd.
"""

from __future__ import annotations

import re
from bisect import bisect_right

import numpy as np


def whole_records(block: bytes, *, separator: bytes, quote: bytes, newline: bytes) -> int:
    """How many bytes of the block are whole records, each with its line end; 0 where none ends in it."""
    quotes = block.count(quote)
    if not quotes:
        return block.rfind(newline) + 1
    array = np.frombuffer(block, dtype=np.uint8)
    at = np.flatnonzero(array == quote[0])
    if not _in_place(array, at, separator, quote, newline):
        return _walked(block, separator, quote, newline)
    end = len(block)
    while (end := block.rfind(newline, 0, end)) >= 0:
        if np.searchsorted(at, end) % 2 == 0:
            return end + 1
    return 0


def is_open(block: bytes, *, separator: bytes, quote: bytes, newline: bytes) -> bool:
    """Whether the block ends inside quotes."""
    spans = _quoted(block, separator, quote, newline)
    return bool(spans) and spans[-1][1] == len(block) and not _closed(block[spans[-1][0] :], quote)


def _in_place(array: np.ndarray, at: np.ndarray, separator: bytes, quote: bytes, newline: bytes) -> bool:
    edges = [separator[0], quote[0], *newline, 13]
    opening, closing = at[::2], at[1::2]
    before = array[opening[opening > 0] - 1]
    after = array[closing[closing < array.size - 1] + 1]
    return bool(np.isin(before, edges).all() and np.isin(after, edges).all())


def _quoted(block: bytes, separator: bytes, quote: bytes, newline: bytes) -> list[tuple[int, int]]:
    edge, q = re.escape(separator) + rb"\r" + re.escape(newline), re.escape(quote)
    pattern = rb"(?:\A|(?<=[" + edge + rb"]))" + q + rb"[^" + q + rb"]*(?:" + q + q + rb"[^" + q + rb"]*)*(?:" + q + rb"|\Z)"
    return [found.span() for found in re.finditer(pattern, block)]


def _walked(block: bytes, separator: bytes, quote: bytes, newline: bytes) -> int:
    spans = _quoted(block, separator, quote, newline)
    starts = [start for start, _end in spans]
    end = len(block)
    while (end := block.rfind(newline, 0, end)) >= 0:
        place = bisect_right(starts, end) - 1
        if place < 0 or spans[place][1] <= end:
            return end + 1
        end = spans[place][0]
    return 0


def _closed(text: bytes, quote: bytes) -> bool:
    return len(text) > 1 and text.count(quote) % 2 == 0
