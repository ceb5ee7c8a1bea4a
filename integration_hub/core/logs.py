"""What the logs say: JSON for machines, coloured lines for `make run`, each with the ids of the request, run and partition it belongs to.

`with logs.context(run=7, partition=12): …` marks every line written within. As a second line of defence (the first is not to log them) whatever
looks like a secret is masked in the finished line, traceback included.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

from pythonjsonlogger.json import JsonFormatter

MASK = "***"
_SENSITIVE = r"authorization|proxy-authorization|cookie|set-cookie|x-api-key|api[_-]?key|password|passwd|[a-z]*_?secret|access[_-]?key|[a-z]*_?token"
_MASKS = [
    (re.compile(r"\b(bearer|basic|digest|token|apikey)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE), rf"\1 {MASK}"),
    # a name, perhaps in quotes (escaped ones too, within JSON), then = or :, then the value up to where it must end
    (re.compile(rf"""\b({_SENSITIVE})(\\?["'])?(\s*[=:]\s*)(\\?["'])?(?!\*)[^\s"'\\&,;)}}\]]+""", re.IGNORECASE), rf"\1\2\3\4{MASK}"),
    (re.compile(r"(://[^/\s:@]*):[^/\s@]+@"), rf"\1:{MASK}@"),
]
_context: ContextVar[Mapping[str, Any]] = ContextVar("log_context", default=MappingProxyType({}))
_OWN_NAMES = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}


@contextmanager
def context(**ids: Any) -> Iterator[None]:
    """Every line logged within the block carries `ids`, for example run=7, beside those of the blocks around it."""
    token = _context.set({**_context.get(), **ids})
    try:
        yield
    finally:
        _context.reset(token)


def current() -> dict[str, Any]:
    return dict(_context.get())


def new_id() -> str:
    return secrets.token_hex(8)


def mask(line: str) -> str:
    """The line with whatever looks like a secret replaced; still valid JSON if it was."""
    for pattern, replacement in _MASKS:
        line = pattern.sub(replacement, line)
    return line


class ContextFilter(logging.Filter):
    """Puts the ids of the surrounding `context` blocks on each record; what the call itself says goes first."""

    def filter(self, record: logging.LogRecord) -> bool:
        if not isinstance(getattr(record, "request", ""), str):
            vars(record).pop("request")  # Django puts the whole request there
        for name, value in _context.get().items():
            if not hasattr(record, name):
                setattr(record, name, value)
        return True


class OnlyExceptions(logging.Filter):
    """Django logs each answer from 400 on; the access log has them, so only those with a traceback are left."""

    def filter(self, record: logging.LogRecord) -> bool:
        return bool(record.exc_info)


class NotSentBack(logging.Filter):
    """Celery logs each message that goes back to its queue; why it does, core.takeup has told once."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (isinstance(record.args, dict) and record.args.get("description") == "rejected")


class Json(JsonFormatter):
    """One JSON object a line."""

    def __init__(self) -> None:
        super().__init__(
            "%(asctime)s %(levelname)s %(name)s %(message)s",
            rename_fields={"asctime": "at", "levelname": "level", "name": "logger"},
            json_ensure_ascii=False,
        )
        self.converter = time.gmtime
        self.default_time_format, self.default_msec_format = "%Y-%m-%dT%H:%M:%S", "%s.%03dZ"

    def format(self, record: logging.LogRecord) -> str:
        return mask(super().format(record))


class Console(logging.Formatter):
    """A line for people: time, level where it is not information, message, then what else the call said."""

    COLOURS = {logging.WARNING: "33", logging.ERROR: "31", logging.CRITICAL: "31;1", logging.DEBUG: "2"}

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(message)s", datefmt="%H:%M:%S")
        self.coloured = os.environ.get("FORCE_COLOR", "") not in ("", "0")

    def format(self, record: logging.LogRecord) -> str:
        more = "  ".join(f"{name}={value}" for name, value in vars(record).items() if name not in _OWN_NAMES)
        line = super().format(record)
        head, newline, trace = line.partition("\n")
        if record.levelno != logging.INFO:
            at, _, rest = head.partition(" ")
            head = f"{at} {self._colour(record.levelname.lower(), self.COLOURS.get(record.levelno, ''))} {rest}"
        return mask(head + (f"  {self._colour(more, '2')}" if more else "") + newline + trace)

    def _colour(self, text: str, code: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self.coloured and code else text


def settings(form: str, level: str) -> dict[str, Any]:
    """Django's LOGGING, for web, workers and scheduler alike. `form` is json or console."""
    formatter = Console if form == "console" else Json
    quiet = ("axes", "celery.worker.strategy", "celery.beat", "celery.redirected", "django.server")
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"context": {"()": ContextFilter}, "exceptions": {"()": OnlyExceptions}, "not sent back": {"()": NotSentBack}},
        "formatters": {"lines": {"()": formatter}},
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "lines", "filters": ["context"]}},
        "root": {"handlers": ["console"], "level": level},
        "loggers": {
            "gunicorn.error": {"handlers": [], "propagate": True, "level": level},
            "gunicorn.access": {"handlers": [], "propagate": False},  # core.middleware writes the access log, with ids
            "django": {"handlers": [], "propagate": True, "level": level},
            "django.request": {"handlers": [], "propagate": True, "filters": ["exceptions"]},
            "celery.app.trace": {"handlers": [], "propagate": True, "filters": ["not sent back"], "level": "WARNING"},
            **{name: {"handlers": [], "propagate": True, "level": "WARNING"} for name in quiet},
        },
    }
