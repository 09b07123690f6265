"""Durations and instants in the form that the control plane accepts."""

import re
from datetime import datetime, timedelta

# The units of the short form, largest first, in seconds.
_UNITS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1, "ms": 0.001}
_SHORT_FORM = re.compile("".join(rf"(?:(\d+(?:\.\d+)?){unit})?" for unit in _UNITS))


def duration(value: str | timedelta) -> str:
    """Returns an ISO 8601 duration for a `timedelta`, for a text such as "72h", "1d12h" or "250ms", or for an ISO 8601 duration.

    The units are w, d (24 hours), h, m (minutes), s and ms, largest first. Raises ValueError for any other text.
    """
    if isinstance(value, timedelta):
        return _seconds(value.total_seconds())
    if value.startswith("P"):
        return value
    found = _SHORT_FORM.fullmatch(value)
    if not found or not value:
        raise ValueError(f'{value!r} is not a duration: write "72h", "1d12h", "30m", "250ms", "PT72H", or a timedelta')
    return _seconds(sum(float(number or 0) * seconds for number, seconds in zip(found.groups(), _UNITS.values(), strict=True)))


def instant(value: str | datetime) -> str:
    """Returns an ISO 8601 instant. Raises ValueError for a `datetime` without a time zone."""
    if isinstance(value, str):
        return value
    if value.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone: add one, for example tzinfo=datetime.timezone.utc")
    return value.isoformat()


def _seconds(seconds: float) -> str:
    if seconds < 0:
        raise ValueError(f"a duration of {seconds} s is negative: the clock of a workspace moves forward only")
    return f"PT{seconds:.6f}".rstrip("0").rstrip(".") + "S"
