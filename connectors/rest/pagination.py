"""How one page of a list leads to the next: each way makes the parameters of a page and, from its answer, the step to the one after.

A step is what a position holds: small JSON that a later worker can go on from.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.base import BadAnswer, _
from connectors.rest.answers import ABSENT, Answer
from connectors.rest.settings import ByCursor, ByLastRecord, ByLinkHeader, ByNextAddress, ByOffset, ByPage, NoPages, Pagination

Step = Mapping[str, Any]


@dataclass(slots=True)
class Parameters:
    """What a step adds to the list's request; `url` replaces it."""

    query: dict[str, Any] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)
    url: str = ""


def parameters(way: Pagination, step: Step | None, *, size: int | None = None) -> Parameters:
    """What to send for this step; None is the first page."""
    if isinstance(way, NoPages):
        return Parameters()
    if step is not None and "url" in step:
        return Parameters(url=step["url"])
    sent: dict[str, Any] = {}
    if way.size_parameter:
        sent[way.size_parameter] = size or way.size
    match way:
        case ByPage():
            sent[way.parameter] = step["page"] if step else way.first
        case ByOffset():
            sent[way.parameter] = step["offset"] if step else 0
        case ByCursor() if step:
            sent[way.parameter] = step["cursor"]
        case ByLastRecord() if step:
            sent[way.parameter] = step["last"]
    in_body = isinstance(way, ByPage | ByOffset | ByCursor | ByLastRecord) and way.send_in == "body"
    return Parameters(body=sent) if in_body else Parameters(query=sent)


def next_step(way: Pagination, step: Step | None, answer: Answer, *, count: int, last: Any = None, asks_for_all: bool = False) -> Step | None:
    """The step after this answer with `count` records, whose last has `last` in the field that pages go by; None: it was the last page.

    Raises BadAnswer for a list that ends too early, where all records are asked for: a total may count those that were not asked for as well.
    """
    match way:
        case ByPage():
            page = step["page"] if step else way.first
            pages = _number(answer, way.pages_path)
            if pages is not None:
                return {"page": page + 1} if page - way.first + 1 < pages else None
            seen = (step.get("seen", 0) if step else 0) + count  # counted, since a system may grant fewer than were asked for
            counted = {"seen": seen} if way.total_path else {}
            return {"page": page + 1, **counted} if _more(way, answer, count, seen, asks_for_all) else None
        case ByOffset():
            offset = (step["offset"] if step else 0) + count
            return {"offset": offset} if _more(way, answer, count, offset, asks_for_all) else None
        case ByCursor():
            cursor = answer.value(way.path)
            if cursor in (ABSENT, None, "", False) or _says_no_more(way.more_path, answer):
                return None
            return {"cursor": cursor}
        case ByLastRecord():
            return {"last": last} if count and last is not None and not _says_no_more(way.more_path, answer) else None
        case ByNextAddress():
            link = answer.value(way.path)
            return {"url": link} if isinstance(link, str) and link else None
        case ByLinkHeader():
            link = next_link(answer)
            return {"url": link} if link else None
    return None


def _more(way: ByPage | ByOffset, answer: Answer, count: int, seen: int, asks_for_all: bool) -> bool:
    if way.more_path:
        return not _says_no_more(way.more_path, answer)
    total = _number(answer, way.total_path)
    if total is not None and count:
        return seen < total
    if total is not None and seen < total and asks_for_all:
        raise BadAnswer(
            _(
                "{system} answered {place} that there are {total} records, but its pages end after {seen}. If it counts others too, clear the total path."
            ),
            system=answer.system,
            place=answer.place,
            total=total,
            seen=seen,
        )
    return count > 0 and not (way.short_page_ends and count < way.size)


def _says_no_more(path: str, answer: Answer) -> bool:
    if not path:
        return False
    value = answer.value(path)
    return value in (False, None, 0, "", ABSENT) or str(value).lower() in ("false", "0", "no")


def _number(answer: Answer, path: str) -> int | None:
    """The number at a path; None where no path is given. Raises BadAnswer where it is missing, since reading would end too early or never."""
    if not path:
        return None
    value = answer.value(path)
    try:
        return int(value)
    except (TypeError, ValueError):
        raise BadAnswer(
            _("{system} answered {place} without a number at {path}, by which the last page is known. Correct the path under Pages."),
            system=answer.system,
            place=answer.place,
            path=path,
        ) from None


_LINK = re.compile(r'<([^>]*)>((?:\s*;\s*[\w*-]+\s*=\s*(?:"[^"]*"|[^",;\s]+))*)')


def next_link(answer: Answer) -> str | None:
    """The target of `rel="next"` in the Link headers (RFC 8288)."""
    header = ", ".join(answer.headers.getall("Link", [])) if hasattr(answer.headers, "getall") else answer.headers.get("Link", "")
    for target, attributes in _LINK.findall(header):
        relation = re.search(r'rel\s*=\s*(?:"([^"]*)"|([^",;\s]+))', attributes, re.IGNORECASE)
        if relation and "next" in (relation[1] or relation[2] or "").lower().split():
            return str(target)
    return None
