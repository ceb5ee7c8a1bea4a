"""One value of the system's JSON as the frame has it, or why it does not fit its field."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import msgspec

from connectors import canonical
from connectors.base import FieldType, Text, _

if TYPE_CHECKING:
    from connectors.rest.values import Form

T = FieldType
EPOCHS = {"epoch_seconds": 1_000_000, "epoch_milliseconds": 1_000}
JSON_DATE = re.compile(r"/Date\((-?\d{1,17})(?:[+-]\d{4})?\)/")  # milliseconds since 1970; what follows is where the clock hung
INTEGER_LIMIT = 2**63
_canonical = msgspec.json.Encoder(order="sorted", decimal_format="number")


class Unfit(Exception):
    """A value does not fit its field; carries the reason."""

    def __init__(self, template: str, /, **values: Any) -> None:
        self.reason = Text(template, values)
        super().__init__(template)


def canonical_json(value: Any) -> str:
    """JSON text with sorted names and no blanks."""
    return canonical.canonical_json(value if isinstance(value, msgspec.Raw) else _canonical.encode(value))  # decoding gives a number its one form


def _text(form: Form, value: Any) -> str:
    if isinstance(value, str):
        return value
    if form.format == "any" and not isinstance(value, list | dict):
        return canonical_json(value)
    raise Unfit(_("is {kind}, not text"), kind=_kind(value))


def _integer(form: Form, value: Any) -> int:
    number: Any = value  # what it may stand for
    if form.format in ("text", "any") and isinstance(value, str):
        try:
            number = int(value)
        except ValueError:
            raise Unfit(_("is no whole number")) from None
    if isinstance(number, float | Decimal) and not math.isnan(number):
        if not -INTEGER_LIMIT <= number < INTEGER_LIMIT:
            raise Unfit(_("is too large for a whole number of 64 bits"))
        number = int(number) if number == int(number) else number
    if not isinstance(number, int) or isinstance(number, bool):
        raise Unfit(_("is {kind}, not a whole number"), kind=_kind(value))
    if not -INTEGER_LIMIT <= number < INTEGER_LIMIT:
        raise Unfit(_("is too large for a whole number of 64 bits"))
    return number


def _number(form: Form, value: Any) -> float:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float | Decimal | str)
        or (isinstance(value, str) and form.format not in ("text", "any"))
    ):
        raise Unfit(_("is {kind}, not a number"), kind=_kind(value))
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise Unfit(_("is no number")) from None
    if not math.isfinite(number):
        raise Unfit(_("is not finite (NaN, infinity, or too large)"))
    return number


def _decimal(form: Form, value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        raise Unfit(_("is {kind}, not a decimal"), kind=_kind(value))
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        raise Unfit(_("is no decimal")) from None
    if not number.is_finite():
        raise Unfit(_("is not finite (NaN, infinity, or too large)"))
    if number and number.adjusted() >= 38 - form.field.scale:
        raise Unfit(_("has more digits than a decimal holds"))
    exponent = number.normalize().as_tuple().exponent
    if isinstance(exponent, int) and -exponent > form.field.scale:
        raise Unfit(_("has more than {scale} digits behind the point"), scale=form.field.scale)
    return number


def _boolean(form: Form, value: Any) -> bool:
    if form.format == "true/false":
        if isinstance(value, bool):
            return value
    else:
        text = str(value).lower() if isinstance(value, str | int) else None
        yes, _slash, no = form.format.lower().partition("/")
        if isinstance(value, bool) and form.format != "1/0":
            return value
        if text in (yes, no):
            return text == yes
    raise Unfit(_("is neither of {words}"), words=form.format)


def _datetime(form: Form, value: Any) -> dt.datetime:
    if form.format in EPOCHS:
        return _from_epoch(form, value)
    if not isinstance(value, str):
        raise Unfit(_("is {kind}, not a date and time"), kind=_kind(value))
    if form.format == "json_date":
        return _from_json_date(form, value)
    try:
        moment = (
            dt.datetime.fromisoformat(value.strip())
            if form.format == "iso"
            else dt.datetime.strptime(value, form.format.replace("%#z", "%z").replace("%.f", ".%f"))  # noqa: DTZ007
        )
    except ValueError:
        raise Unfit(_("is no date and time in the format {format}"), format=form.format) from None
    return _in_zone(form, moment)


def _in_zone(form: Form, moment: dt.datetime) -> dt.datetime:
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=form.zone)
        if moment.astimezone(dt.UTC).astimezone(form.zone).replace(tzinfo=None) != moment.replace(tzinfo=None):
            raise Unfit(_("does not exist in the time zone {zone}: clocks were put forward then"), zone=form.zone.key)
    try:
        return moment.astimezone(dt.UTC)
    except (OverflowError, ValueError):
        raise Unfit(_("is outside the years 1 to 9999")) from None


def _from_json_date(form: Form, value: str) -> dt.datetime:
    """/Date(1763805600000)/: what a clock in the form's time zone showed then."""
    found = JSON_DATE.fullmatch(value)
    if found is None:
        raise Unfit(_("is no date and time in the format {format}"), format="/Date(…)/")
    try:
        return _in_zone(form, dt.datetime(1970, 1, 1) + dt.timedelta(milliseconds=int(found[1])))  # noqa: DTZ001
    except OverflowError:
        raise Unfit(_("is outside the years 1 to 9999")) from None


def _from_epoch(form: Form, value: Any) -> dt.datetime:
    if isinstance(value, str) and value.strip().lstrip("-").isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise Unfit(_("is {kind}, not a time stamp"), kind=_kind(value))
    try:
        return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=round(value * EPOCHS[form.format]))
    except (OverflowError, ValueError):
        raise Unfit(_("is outside the years 1 to 9999")) from None


def _date(form: Form, value: Any) -> dt.date:
    if form.format in EPOCHS:
        return _from_epoch(form, value).astimezone(form.zone).date()
    if not isinstance(value, str):
        raise Unfit(_("is {kind}, not a date"), kind=_kind(value))
    if form.format == "json_date":
        return _from_json_date(form, value).astimezone(form.zone).date()
    try:
        return dt.date.fromisoformat(value.strip()) if form.format == "iso" else dt.datetime.strptime(value, form.format).date()  # noqa: DTZ007
    except ValueError:
        raise Unfit(_("is no date in the format {format}"), format=form.format) from None


def _time(form: Form, value: Any) -> dt.time:
    if not isinstance(value, str):
        raise Unfit(_("is {kind}, not a time"), kind=_kind(value))
    try:
        time = dt.time.fromisoformat(value.strip()) if form.format == "iso" else dt.datetime.strptime(value, form.format).time()  # noqa: DTZ007
    except ValueError:
        raise Unfit(_("is no time in the format {format}"), format=form.format) from None
    if time.tzinfo is not None:
        raise Unfit(_("is a time with a time zone, which a time of day cannot hold"))
    return time


def _json(form: Form, value: Any) -> str:
    try:
        text = canonical_json(value)
    except (ValueError, RecursionError, UnicodeEncodeError):
        raise Unfit(_("is no valid JSON")) from None
    if _holds_not_a_number(value):
        raise Unfit(_("is not finite (NaN, infinity, or too large)"))
    form.examine_text(text)
    return text


def _holds_not_a_number(value: Any) -> bool:
    if isinstance(value, float | Decimal):
        return not math.isfinite(value)
    if isinstance(value, dict):
        return any(map(_holds_not_a_number, value.values()))
    return isinstance(value, list) and any(map(_holds_not_a_number, value))


_TO_BASE64 = str.maketrans("-_", "+/")


def _binary(form: Form, value: Any) -> bytes:
    if isinstance(value, str):  # in either alphabet, with its padding or without
        value = value.translate(_TO_BASE64).rstrip("=")
        value += "=" * (-len(value) % 4)
    try:
        return msgspec.convert(value, bytes)
    except (msgspec.ValidationError, ValueError):
        raise Unfit(_("is no Base64 text")) from None


def _kind(value: Any) -> Text | str:
    if isinstance(value, bool):
        return Text(_("true or false"))
    if isinstance(value, str):
        return Text(_("text"))
    if isinstance(value, int | float | Decimal):
        return Text(_("a number"))
    if isinstance(value, list):
        return Text(_("a list"))
    return Text(_("an object")) if isinstance(value, dict) else str(value)


PARSERS: dict[FieldType, Callable[[Form, Any], Any]] = {
    T.TEXT: _text,
    T.INTEGER: _integer,
    T.NUMBER: _number,
    T.DECIMAL: _decimal,
    T.BOOLEAN: _boolean,
    T.DATE: _date,
    T.TIME: _time,
    T.DATETIME: _datetime,
    T.JSON: _json,
    T.BINARY: _binary,
}
