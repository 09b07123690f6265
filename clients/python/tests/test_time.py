"""Durations and instants."""

from datetime import UTC, datetime, timedelta

import pytest

from latchkey_seam import _time


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("72h", "PT259200S"),
        ("1d12h", "PT129600S"),
        ("1.5h", "PT5400S"),
        ("100m", "PT6000S"),
        ("250ms", "PT0.25S"),
        ("2w", "PT1209600S"),
        ("PT72H", "PT72H"),
        (timedelta(days=1, milliseconds=1), "PT86400.001S"),
        (timedelta(0), "PT0S"),
    ],
)
def test_duration_is_iso_8601(given: str | timedelta, expected: str) -> None:
    assert _time.duration(given) == expected


@pytest.mark.parametrize("given", ["", "72", "72 h", "h", "30m1h", "72H", "-1h", "1y", "1h!"])
def test_duration_with_another_form_is_rejected_with_an_example(given: str) -> None:
    with pytest.raises(ValueError, match='write "72h"'):
        _time.duration(given)


def test_duration_that_is_negative_is_rejected() -> None:
    with pytest.raises(ValueError, match="forward only"):
        _time.duration(timedelta(seconds=-1))


def test_instant_is_iso_8601_with_a_time_zone() -> None:
    assert _time.instant("2026-03-02T12:00:00Z") == "2026-03-02T12:00:00Z"
    assert _time.instant(datetime(2026, 3, 2, 12, tzinfo=UTC)) == "2026-03-02T12:00:00+00:00"
    with pytest.raises(ValueError, match="tzinfo"):
        _time.instant(datetime(2026, 3, 2, 12))
