"""The ``thresholds`` rule: a metric is above or below a level."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from attrs import field, frozen, validators

from tocsin import History, Result, Rule, Status, Target, Verdict, format_bytes, hookimpl
from tocsin.plugins.rules._threshold_texts import TEXTS


class Operator(StrEnum):
    """How a value is compared with its level."""

    ABOVE = ">"
    AT_LEAST = ">="
    BELOW = "<"
    AT_MOST = "<="


_COMPARE: dict[Operator, Callable[[float, float], bool]] = {
    Operator.ABOVE: operator.gt,
    Operator.AT_LEAST: operator.ge,
    Operator.BELOW: operator.lt,
    Operator.AT_MOST: operator.le,
}
_WORDS = {
    Operator.ABOVE: "above", Operator.AT_LEAST: "at or above",
    Operator.BELOW: "below", Operator.AT_MOST: "at or below",
}  # fmt: skip


_UNMEASURED = "no longer measured"

MISSING_MOST = 300.0
"""Seconds for which a metric that was beyond its level may be missing before the alert ends: the
measurement may be late, as after a start, or fail once."""


@frozen(kw_only=True)
class ThresholdRule(Rule):
    """Fire when a metric is beyond a level; the rule's "for" sets how long it has to be.

    NaN counts as not measured: it is beyond no level, and an open alert keeps its state.

    Attributes:
        metric: name of the metric, such as "memory_percent"; unset (only with times_expected):
            every metric that the target's expected table names.
        operator: one of ">", ">=", "<", "<=".
        level: the level, in the metric's unit.
        clear: the level at which the alert ends (hysteresis); unset: the same level.
        times_expected: instead of level: this multiple of the value that the target expects.
        check: the check whose metric is used; unset: every check that reports it.
    """

    autostart: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "out_of_memory": {"metric": "oom_kills", "operator": ">=", "level": 2, "clear": 1},
        "high_memory": {"metric": "memory_percent", "level": 90, "clear": 85},
        "high_cpu": {"metric": "cpu_percent", "level": 95, "clear": 85, "for": "2m"},
        "disk_space_low": {
            "metric": "disk_free_percent", "operator": "<", "level": 10, "clear": 12,
            "severity": "critical",
        },
        "above_expected": {"times_expected": 2, "for": "10m"},
    }  # fmt: skip
    templates: ClassVar[Mapping[str, str]] = TEXTS

    metric: str | None = None
    operator: Operator = Operator.ABOVE
    level: float | None = None
    clear: float | None = None
    times_expected: float | None = field(
        default=None, validator=validators.optional(validators.gt(0))
    )
    check: str | None = None

    def __attrs_post_init__(self) -> None:
        if (self.level is None) == (self.times_expected is None):
            raise ValueError("give either level or times_expected")
        if self.level is not None and self.metric is None:
            raise ValueError("metric must be given with level: its name, such as 'memory_percent'")
        if self.clear is not None and self.level is not None:
            inner = self.level >= self.clear if self._upward else self.level <= self.clear
            if not inner:
                side = "below" if self._upward else "above"
                raise ValueError(f"clear must lie {side} level, or be left out")

    @property
    def _upward(self) -> bool:
        return self.operator in (Operator.ABOVE, Operator.AT_LEAST)

    @property
    def looks_at(self) -> tuple[str, ...] | None:
        """Return the metric, if it is the same for all targets."""
        return None if self.metric is None else (self.metric,)

    def applies(self, target: Target) -> bool:
        """Return whether the target has a level (with times_expected: an expected value)."""
        if self.times_expected is None:
            return True
        return self.metric in target.expected if self.metric else bool(target.expected)

    def evaluate(self, history: History, now: datetime) -> Verdict:
        """Compare the newest values with their levels."""
        values = list(self._values(history))
        unseen, missing = self._unseen(history, now)
        if not values and not unseen:
            return Verdict.over(_UNMEASURED)
        beyond: list[tuple[str, float, float, str]] = []
        for check, name, value, level in values:
            limit = level
            if history.firing and self.clear is not None:
                limit = self.clear
            if _COMPARE[self.operator](value, limit):
                beyond.append((name, value, level, check))
        if beyond:
            text = "; ".join(self._words(*found[:3]) for found in beyond[:5])
            name, value, level, check = beyond[0]
            details = {
                "metric": name,
                "value": value,
                "level": level,
                "operator": self.operator.value,
                "check": check,
            }
            carried = unseen + [[found[3], found[0]] for found in beyond]
            rule_state = {"beyond": sorted(carried), **missing}
            return Verdict.firing(text, details=details, rule_state=rule_state)
        if unseen:
            again = MISSING_MOST + 1 if missing else None
            words = "the metric has no value now"
            return Verdict.unknown(
                words, rule_state={"beyond": unseen, **missing}, recheck_after=again
            )
        measured = {(check, name) for check, name, _, _ in values}
        if not measured.issuperset(map(tuple, history.rule_state.get("beyond", ()))):
            return Verdict.over(_UNMEASURED)
        found = [(name, value) for _, name, value, _ in values[:3]]
        said = "; ".join(f"{_name_of(name)} is {_number(name, value)}" for name, value in found)
        return Verdict.clear(said[:1].upper() + said[1:])

    def _unseen(self, history: History, now: datetime) -> tuple[list[list[str]], dict[str, float]]:
        """Find the metrics that were beyond their level when last measured, and have no value now.

        Returns:
            Check and metric of each; and, as ``missing``, since when (epoch seconds) a check that
            works has not reported its metric.
        """
        unseen: list[list[str]] = []
        missing: dict[str, float] = {}
        names = self._names(history)
        since = float(history.rule_state.get("missing", now.timestamp()))
        for check, name in history.rule_state.get("beyond", ()):
            if name not in names or self.check not in (None, check):
                continue
            last = history.latest.get(check)
            if last is None:
                waits = check in history.checks
            elif name in last.result.metrics:
                waits = math.isnan(last.result.metrics[name])
            elif last.result.status is Status.UNKNOWN:
                waits = True
            else:
                waits = _may_be_late(last.result) and now.timestamp() - since <= MISSING_MOST
                missing = {"missing": since} if waits else missing
            if waits:
                unseen.append([check, name])
        return unseen, missing

    def _names(self, history: History) -> list[str]:
        return [self.metric] if self.metric is not None else list(history.target.expected)

    def _values(self, history: History) -> Iterator[tuple[str, str, float, float]]:
        """Yield check, metric, value and level of each measured value."""
        expected, names = history.target.expected, self._names(history)
        for check, last in history.latest.items():
            if self.check is not None and check != self.check:
                continue
            for name in names:
                level = self.level
                if self.times_expected is not None:
                    level = self.times_expected * expected.get(name, 0.0)
                if level is None:
                    continue
                value = last.result.metrics.get(name, math.nan)
                if not math.isnan(value):  # NaN is neither beyond the level nor back
                    yield check, name, float(value), level

    def _words(self, name: str, value: float, level: float) -> str:
        told, limit = _number(name, value), _number(name, level)
        if name.endswith("_percent") and f"{value:.0f}" != f"{level:.0f}":
            told = f"{value:.0f} %"
        elif name.endswith("_percent") and told == limit and value != level:
            told = f"{value:.2f} %"
        high = "High" if self._upward else "Low"
        said = f"{high} {_name_of(name)} ({told}), "
        if self.clear is not None and not _COMPARE[self.operator](value, level):
            back = "below" if self._upward else "above"
            return f"{said}not yet {back} {_number(name, self.clear)}"
        said += f"{_WORDS[self.operator]} {limit}"
        if self.times_expected is not None:
            usual = _number(name, level / self.times_expected)
            said += f" ({self.times_expected:g} times the expected {usual})"
        return said


_NAMES = {
    "cpu_percent": "CPU", "disk_free_percent": "free disk space",
    "disk_free_bytes": "free disk space", "network_rx_bytes": "network traffic received",
    "network_tx_bytes": "network traffic sent", "restart_count": "number of restarts",
    "oom_kills": "number of processes killed for memory",
}  # fmt: skip
_UNITS = ("_percent", "_bytes", "_seconds")


def _name_of(metric: str) -> str:
    """Return a metric's name for people: ``memory``, ``response time p95``."""
    if metric in _NAMES:
        return _NAMES[metric]
    return next((metric[: -len(u)] for u in _UNITS if metric.endswith(u)), metric).replace("_", " ")


def _may_be_late(result: Result) -> bool:
    """Return whether the target still runs, as far as is known, so that its metric is only late."""
    facts = result.container
    return result.status is not Status.DOWN and (facts is None or facts.state == "running")


def _number(name: str, value: float) -> str:
    if name.endswith("_percent"):
        return f"{value:.1f} %".replace(".0 %", " %")
    if name.endswith("_bytes"):
        return format_bytes(value, 1000)
    if name.endswith("_seconds"):
        return f"{value:.3g} s"
    return f"{value:.6g}"


@hookimpl
def tocsin_rules() -> dict[str, type[Rule]]:
    """Announce the rule."""
    return {"thresholds": ThresholdRule}
