"""Limits on what labels may ask for.

Labels come with images from third parties. Checks that run for long, often, or in great numbers
take slots from the other checks that labels ask for.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any

from tocsin.core.config.settings import DAY
from tocsin.core.contracts.source import Sink, Source
from tocsin.core.units import format_duration, parse_duration

LONGEST_INTERVAL = DAY
"""Longest interval that a label may set, in seconds."""

MOST_RETRIES = 3


class _Unsaid(Source):
    async def run(self, name: str, interval: float, sink: Sink) -> None:
        """Never called: only the options of this source are used."""


UNSAID: Source = _Unsaid()
"""The limits of a source that is not available."""


def out_of_bounds(
    check: str, table: Mapping[str, Any], name: str, source: Source = UNSAID
) -> str | None:
    """Return why labels may not ask for a check with these values, or None.

    Only values that the labels set are checked. Values that are not numbers are reported elsewhere.

    Args:
        check: name of the check.
        table: the options from the labels.
        name: name of the source.
        source: the source, whose options set the limits.

    Returns:
        A clause that names the label, the limit and, if there is one, the option that changes it.
    """
    bounds = {
        "timeout": (0.0, source.label_timeout, "label_timeout"),
        "interval": (source.label_interval, LONGEST_INTERVAL, "label_interval"),
        "period": (source.label_interval, inf, "label_interval"),
        "retries": (0.0, MOST_RETRIES, None),
    }
    for option, (least, most, remedy) in bounds.items():
        try:
            value = float("nan") if option not in table else parse_duration(table[option])
        except (ValueError, OverflowError):
            continue
        if value < least:
            bound = f"less than {_show(option, least)}"
        elif value > most:
            bound = f"more than {_show(option, most)}"
        else:
            continue
        fixed = remedy is None or (option == "interval" and value > most)
        lifted = "" if fixed else f"; {remedy} in [sources.{name}] changes this limit"
        given = _show(option, value)
        return f"the label tocsin.check.{check}.{option} asks for {given}, {bound}{lifted}"
    return None


def _show(option: str, value: float) -> str:
    return f"{value:g}" if option == "retries" else format_duration(value)


def too_many(asked: int, left: int, name: str, source: Source = UNSAID) -> tuple[int, str | None]:
    """Return how many of the checks that a target's labels ask for are accepted.

    Args:
        asked: how many the labels ask for.
        left: how many the source may still accept, of all that labels ask for.
        name: name of the source.
        source: the source, whose options set the limits.

    Returns:
        The number of accepted checks, and a clause about the others, None if there are none.
    """
    taken = max(0, min(asked, source.label_checks, left))
    if taken == asked:
        return taken, None
    option, bound = "label_checks", f"{source.label_checks} for each container"
    if left < min(asked, source.label_checks):
        option, bound = "label_checks_in_all", f"{source.label_checks_in_all} in all"
    return taken, (
        f"the labels ask for {asked} checks, and {asked - taken} of them are left out: the limit "
        f"is {bound}; {option} in [sources.{name}] changes this limit"
    )
