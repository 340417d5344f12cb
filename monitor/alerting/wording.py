"""Fills the texts of alerts: as much of Prometheus' templates as they use, and with the same words."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import quote_plus

from monitor.alerting.promql import Beyond

_PLACE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_LABEL = re.compile(r"\$labels\.([A-Za-z_][A-Za-z0-9_]*)")
_PRINTF = re.compile(r'printf "(%\.[0-9]+f)"')
_SMALL = ("m", "u", "n", "p", "f", "a", "z", "y")

_EPOCH = datetime.fromtimestamp(0, UTC)

Given = str | float


def fill(text: str, labels: Mapping[str, str], value: float) -> str:
    """The text with its places filled. A label that is not there is empty. Raises Beyond."""
    return _PLACE.sub(lambda place: _shown(_filled(place[1], labels, value)), text)


def _filled(place: str, labels: Mapping[str, str], value: float) -> Given:
    first, *steps = (part.strip() for part in place.split("|"))
    label = _LABEL.fullmatch(first)
    if first == "$value":
        found: Given = value
    elif label is not None:
        found = labels.get(label[1], "")
    else:
        raise Beyond(f"{{{{{place}}}}} is beyond what is filled here")
    for step in steps:
        found = _step(step, found)
    return found


def _step(step: str, given: Given) -> str:
    if (printf := _PRINTF.fullmatch(step)) is not None:
        return printf[1] % float(given)
    if step == "urlquery":
        return quote_plus(_shown(given), safe="")
    if step not in _FIGURES:
        raise Beyond(f"{step} is beyond what is filled here")
    return _FIGURES[step](float(given))


def _shown(given: Given) -> str:
    return given if isinstance(given, str) else plain(given)


def plain(value: float) -> str:
    """A number as Go prints it: the fewest digits that are no other number's, 1e+06 from a million on."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    # Python's repr has the same digits, and other opinions of when to write an exponent.
    mantissa, exponent = _scientific(value)
    if exponent < -4 or exponent >= 6:
        return f"{mantissa}e{exponent:+03}"
    return repr(value).removesuffix(".0")


def _scientific(value: float) -> tuple[str, int]:
    """The fewest digits, as a number from 1 to 10, and the power of ten."""
    for precision in range(17):
        text = f"{value:.{precision}e}"
        if float(text) == value:
            break
    mantissa, _, power = text.partition("e")
    return mantissa, int(power)


def _general(value: float) -> str:
    """Four digits that mean something."""
    return plain(value) if math.isnan(value) or math.isinf(value) else f"{value:.4g}"


def percentage(value: float) -> str:
    """`80%` of 0.8."""
    return f"{_general(value * 100)}%"


def duration(value: float) -> str:
    """`1h 1m 1s` of 3661 seconds."""
    if math.isnan(value) or math.isinf(value):
        return plain(value)
    if value == 0:
        return "0s"
    if abs(value) < 1:
        power = next((power for power in range(1, len(_SMALL)) if abs(value) * 1000**power >= 1), len(_SMALL))
        return f"{value * 1000**power:.4g}{_SMALL[power - 1]}s"
    sign, whole = "-" if value < 0 else "", int(abs(value))
    days, hours, minutes, seconds = whole // 86400, whole // 3600 % 24, whole // 60 % 60, whole % 60
    if days:
        return f"{sign}{days}d {hours}h {minutes}m {seconds}s"
    if hours:
        return f"{sign}{hours}h {minutes}m {seconds}s"
    return f"{sign}{minutes}m {seconds}s" if minutes else f"{sign}{abs(value):.4g}s"


def timestamp(value: float) -> str:
    """`2026-11-25 03:00:00 +0000 UTC` of epoch seconds, which are counted in whole milliseconds."""
    if math.isnan(value) or math.isinf(value):
        return plain(value)
    try:
        at = _EPOCH + timedelta(milliseconds=int(value * 1000))
    except OverflowError:
        return plain(value)
    fraction = f".{at.microsecond // 1000:03}".rstrip("0") if at.microsecond else ""
    return f"{at:%Y-%m-%d %H:%M:%S}{fraction} +0000 UTC"


_FIGURES: Mapping[str, Callable[[float], str]] = {
    "humanizePercentage": percentage,
    "humanizeDuration": duration,
    "humanizeTimestamp": timestamp,
}
