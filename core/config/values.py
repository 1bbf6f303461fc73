"""Values that need more than a type check: time zone, intervals."""

from __future__ import annotations

import zoneinfo

from tocsin.core.config.checks import MIN_INTERVAL
from tocsin.core.config.errors import Problems
from tocsin.core.config.scalars import show
from tocsin.core.units import parse_duration, time_zone


def check_timezone(name: str, problems: Problems) -> None:
    """Report a time zone that is not in the machine's IANA database."""
    if name == "UTC":  # known without a database
        return
    try:
        time_zone(name)
    except ValueError:
        message = f"no time zone is called {show(name)}; write one such as 'Europe/Berlin'"
        if not zoneinfo.available_timezones():
            message = "this machine has no time zone database; install tzdata, or write 'UTC'"
        problems.add(("timezone",), message)


def interval_of(text: str) -> float:
    """Parse the interval of a check into seconds.

    Raises:
        ValueError: the text is no duration, or too short.
    """
    seconds = parse_duration(text)
    if seconds < MIN_INTERVAL:
        raise ValueError(f"must be at least {MIN_INTERVAL:g} s")
    return seconds
