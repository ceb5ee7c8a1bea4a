"""What an answer means: success by status and body, an expired token, a wait, no such record, or a failure with its reason."""

from __future__ import annotations

import datetime as dt
import math
import random
import time
from email.utils import parsedate_to_datetime
from typing import Any

from connectors.base import BadAnswer, ConnectorError, Host, SettingsError, SystemBusy, SystemDown, _
from connectors.rest.answers import ABSENT, Answer
from connectors.rest.secrecy import Veil
from connectors.rest.settings import RestSettings
from connectors.rest.templates import as_text

REASON_LENGTH = 500
PATIENCE_SECONDS = 2.0  # a longer wait is the caller's, who frees the worker for it
LONGEST_WAIT = 60.0  # where the system does not say how long
LONGEST_ASKED = 86_400.0  # whatever it says: after a day it is asked again
COMMON_ERROR_PATHS = (
    "error.message.value",
    "error.message",
    "message",
    "error_description",
    "error",
    "errors.0.message",
    "errors.0.detail",
    "errors.0",
    "detail",
    "title",
    "msg",
    "errmsg",
)


class Verdicts:
    """Judges the answers of one system by its rules, and remembers until when it asked us to wait."""

    def __init__(self, settings: RestSettings, host: Host) -> None:
        self.settings, self.host = settings, host
        self.answers = settings.answers
        self.veil = Veil(settings)
        self._closed_until = 0.0  # the system asked us to wait until then (monotonic)
        self._waits = 0  # how often it did so in a row without saying how long

    def _token_refused(self, answer: Answer) -> bool:
        if answer.status == 401:
            return True
        return bool(self.answers.expired_codes) and self.code(answer) in self.answers.expired_codes

    def code(self, answer: Answer) -> str:
        """The error code inside an answer, as text; "" where there is none."""
        path = self.answers.code_path or self.answers.success_path
        if not path:
            return ""
        value = self._value(answer, path)
        return "" if value is None or value is ABSENT else as_text(value)

    def succeeded(self, answer: Answer) -> bool:
        """By HTTP status and by the success condition on the body."""
        if not 200 <= answer.status < 300:
            return False
        rules = self.answers
        if not rules.success_path or not answer.body:
            return True
        value = answer.value(rules.success_path)
        return value is not ABSENT and as_text(value).lower() in {v.lower() for v in rules.success_values}

    def missing(self, answer: Answer, statuses: tuple[int, ...]) -> bool:
        """The answer says that there is no such record."""
        return answer.status in statuses or (bool(self.answers.missing_codes) and self.code(answer) in self.answers.missing_codes)

    def reason(self, answer: Answer) -> str:
        """What the system said, without secrets, cut."""
        paths = (self.answers.error_path,) if self.answers.error_path else COMMON_ERROR_PATHS
        said = ""
        for path in paths:
            value = self._value(answer, path)
            if value is not None and value is not ABSENT and value != "":
                said = as_text(value)
                break
        code = self.code(answer)
        text = " ".join(part for part in (f"[{code}]" if code else "", said) if part) or f"HTTP {answer.status}"
        return self.veil.hide(" ".join(text.encode("utf-8", "replace").decode().replace("\0", "�").split()))[:REASON_LENGTH].rstrip(".")

    def _value(self, answer: Answer, path: str) -> Any:
        try:
            return answer.value(path)
        except BadAnswer:
            return ABSENT

    def judge(self, answer: Answer) -> None:
        """Raise what an unsuccessful answer means for a request as a whole."""
        if not self.succeeded(answer):
            raise self.failure(answer)

    def failure(self, answer: Answer) -> ConnectorError:
        names: dict[str, Any] = {"system": self.host.system, "place": answer.place, "status": answer.status, "reason": self.reason(answer)}
        if self.asks_to_wait(answer):
            return self.note_wait(answer)
        code = self.code(answer)
        if answer.status in (401, 403) or (code and code in self.answers.expired_codes):
            return SettingsError(
                _("{system} does not accept our credentials for {place}: {reason}. Enter them again under Systems, {system}."), **names
            )
        if 300 <= answer.status < 400:
            where = answer.headers.get("Location", "")
            target = self.veil.hide(where.split("?")[0])[:200]
            return SettingsError(
                _("{system} sends {place} on to {target}. Enter the final address in the system's settings."), target=target, **names
            )
        if answer.status == 404:
            return SettingsError(_("{system} knows no {place}. Correct the path in the system's settings."), **names)
        if answer.status >= 500 or answer.status == 408:
            return SystemDown(_("{system} failed at {place} with status {status}: {reason}."), **names)
        if 200 <= answer.status < 300:
            answer.tree()  # a page of another kind than JSON is told as what it is
            return BadAnswer(_("{system} answered {place} with an error: {reason}."), **names)
        return SettingsError(_("{system} refused {place} with status {status}: {reason}."), **names)

    def asks_to_wait(self, answer: Answer) -> bool:
        return answer.status in self.answers.wait_statuses or (bool(self.answers.wait_codes) and self.code(answer) in self.answers.wait_codes)

    def note_wait(self, answer: Answer) -> SystemBusy:
        """Remember that the system asked us to wait; no request goes out before that."""
        wait = retry_after(answer.headers.get("Retry-After"))
        if wait is None and (left := self._closed_until - time.monotonic()) > 0:  # of many in flight, each is told; that is one time
            wait = left
        if wait is None:  # longer each time, with jitter, so that many workers do not come back at once
            wait = random.uniform(0.5, 1.0) * min(2.0 ** min(self._waits, 10), LONGEST_WAIT)  # noqa: S311
            self._waits += 1
        until = time.monotonic() + wait
        if wait > PATIENCE_SECONDS and until > self._closed_until + 1.0:  # of many in flight, one tells the others
            self.host.asked_to_wait(wait)
        self._closed_until = max(self._closed_until, until)
        return SystemBusy(
            _("{system} asks us to wait (status {status} at {place})."),
            system=self.host.system,
            status=answer.status,
            place=answer.place,
            retry_after=wait,
        )

    def _asked_to_wait(self, wait: float) -> SystemBusy:
        return SystemBusy(_("{system} has asked us to wait."), system=self.host.system, retry_after=wait)


def retry_after(header: str | None) -> float | None:
    """Seconds a Retry-After header asks for, given as seconds or as a date, a day at most; None for none or nonsense."""
    if not header:
        return None
    try:
        wait = float(header)
    except ValueError:
        try:
            wait = (parsedate_to_datetime(header) - dt.datetime.now(dt.UTC)).total_seconds()
        except (TypeError, ValueError, OverflowError):
            return None
    return min(max(0.0, wait), LONGEST_ASKED) if math.isfinite(wait) else None
