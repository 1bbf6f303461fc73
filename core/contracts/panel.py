"""What plugins declare for the dashboard: panels on the page of a target, as plain data."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from attrs import field, frozen

MOST = 20
"""Most charts, curves or facts of one panel or chart."""

LONGEST_TEXT = 10_000
"""Most characters of a panel's text."""


def _text(longest: int, least: int = 0) -> Callable[[Any, Any, Any], None]:
    def check(_: object, attribute: Any, value: Any) -> None:
        if not (type(value) is str and least <= len(value) <= longest and value.isprintable()):
            raise ValueError(
                f"{attribute.name} must be one line of {least} to {longest} characters"
            )

    return check


def _name(_: object, attribute: Any, value: Any) -> None:
    if not (type(value) is str and re.fullmatch(r"[A-Za-z0-9_-]{1,64}", value)):
        raise ValueError(f"{attribute.name} must be 1 to 64 letters, digits, '-' or '_'")


def _markdown(_: object, attribute: Any, value: Any) -> None:
    if not (type(value) is str and len(value) <= LONGEST_TEXT):
        raise ValueError(f"{attribute.name} must be text of at most {LONGEST_TEXT} characters")


def _several(cls: type, least: int = 0) -> Callable[[Any, Any, Any], None]:
    def check(_: object, attribute: Any, value: Any) -> None:
        if not (
            type(value) is tuple
            and least <= len(value) <= MOST
            and all(type(item) is cls for item in value)
        ):
            raise ValueError(
                f"{attribute.name} must be a tuple of {least} to {MOST} {cls.__name__}"
            )

    return check


def _flag(_: object, attribute: Any, value: Any) -> None:
    if type(value) is not bool:
        raise ValueError(f"{attribute.name} must be true or false")


@frozen(kw_only=True)
class PanelCurve:
    """One metric in a chart.

    Attributes:
        metric: name of the metric.
        label: what people call it; empty: its name.
        below: whether it is drawn downwards from zero, such as what is sent below what is received.
    """

    metric: str = field(validator=_text(200, 1))
    label: str = field(default="", validator=_text(60))
    below: bool = field(default=False, validator=_flag)


@frozen(kw_only=True)
class PanelChart:
    """Metrics of a check over time. A single curve has its average, maximum and present value below
    it, and the value that the target expects, if any, as a line.

    Attributes:
        title: heading of the chart.
        curves: the metrics, of the same unit.
        unit: unit of the values: ``%``, ``B`` for bytes, ``s`` for seconds, or any other; empty:
            what the name of the first metric ends in (``_percent``, ``_bytes``, ``_seconds``).
        per_second: whether the metrics are counters, of which the increase per second is drawn.
        limit: a metric whose present value is drawn as a line, such as a memory limit; empty: none.
    """

    title: str = field(validator=_text(60, 1))
    curves: tuple[PanelCurve, ...] = field(validator=_several(PanelCurve, 1))
    unit: str = field(default="", validator=_text(16))
    per_second: bool = field(default=False, validator=_flag)
    limit: str = field(default="", validator=_text(200))


@frozen(kw_only=True)
class PanelFact:
    """A present value: a metric or attribute of a check's newest result, or a fact of a container.

    Attributes:
        label: what people call it.
        value: name of the metric, the attribute or the field of :class:`Container`.
        unit: unit of a number; see :class:`PanelChart`.
    """

    label: str = field(validator=_text(60, 1))
    value: str = field(validator=_text(200, 1))
    unit: str = field(default="", validator=_text(16))


@frozen(kw_only=True)
class Panel:
    """A part of a target's page in the dashboard, for each of the target's checks that it is about.

    Attributes:
        name: unique among the panels of the plugin.
        title: heading of the panel.
        probes: names of the probes and sources whose checks it is about; empty: the plugin's own.
        kinds: kinds of the targets that have it, such as ``container``; empty: all kinds.
        facts: present values, shown as a table.
        text: Markdown, shown above the charts.
        charts: charts over time.

    Raises:
        ValueError: a value is wrong; the text says what to write.
    """

    name: str = field(validator=_name)
    title: str = field(validator=_text(60, 1))
    probes: tuple[str, ...] = field(default=(), validator=_several(str))
    kinds: tuple[str, ...] = field(default=(), validator=_several(str))
    facts: tuple[PanelFact, ...] = field(default=(), validator=_several(PanelFact))
    text: str = field(default="", validator=_markdown)
    charts: tuple[PanelChart, ...] = field(default=(), validator=_several(PanelChart))
