"""How much labels may ask for. Labels come with images, which strangers make; what runs for long,
often, or in great numbers takes slots from other checks that labels ask for."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any

from tocsin.core.config.settings import DAY
from tocsin.core.contracts.base import Sink, Source
from tocsin.core.units import format_duration, parse_duration

LONGEST_INTERVAL = DAY
"""Seconds."""

MOST_RETRIES = 3


class _Unsaid(Source):
    async def run(self, name: str, interval: float, sink: Sink) -> None:
        """It is there for its options."""


UNSAID: Source = _Unsaid()
"""What holds where the source itself cannot be had."""


def out_of_bounds(
    check: str, table: Mapping[str, Any], name: str, source: Source = UNSAID
) -> str | None:
    """Why labels may not ask for a check with these values, naming the label, the bound and, where
    there is one, the option of the source ``name`` that moves it; or None.

    What the labels do not set is the configuration's, or the probe's, and no matter. What is no
    number is for others to refuse.
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
        lifted = "" if fixed else f"; {remedy} in [sources.{name}] moves this bound"
        given = _show(option, value)
        return f"the label tocsin.check.{check}.{option} asks for {given}, {bound}{lifted}"
    return None


def _show(option: str, value: float) -> str:
    return f"{value:g}" if option == "retries" else format_duration(value)


def too_many(asked: int, left: int, name: str, source: Source = UNSAID) -> tuple[int, str | None]:
    """How many of the checks that a target's labels ask for are taken, and what is said of others.

    Args:
        asked: how many the labels ask for.
        left: how many the source has left, of all that its labels may ask for.
        name: the source's name.
        source: the source.
    """
    taken = max(0, min(asked, source.label_checks, left))
    if taken == asked:
        return taken, None
    option, bound = "label_checks", f"{source.label_checks} for each container"
    if left < min(asked, source.label_checks):
        option, bound = "label_checks_in_all", f"{source.label_checks_in_all} in all"
    return taken, (
        f"the labels ask for {asked} checks, and {asked - taken} of them are left out: allowed are "
        f"{bound}; {option} in [sources.{name}] moves this bound"
    )
