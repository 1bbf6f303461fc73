"""The rule thresholds: levels, what cannot be measured, and what its messages say."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve

from tests.alerts.observations import NOW, RUNNING, past, seen, state
from tocsin import Reason, Result, Target
from tocsin.plugins.rules.thresholds import Operator, ThresholdRule


@pytest.mark.parametrize(
    ("operator", "level", "value", "expected"),
    [
        (">", 90, 90.0, "clear"), (">", 90, 90.1, "firing"), (">=", 90, 90.0, "firing"),
        ("<", 10, 10.0, "clear"), ("<", 10, 9.9, "firing"), ("<=", 10, 10.0, "firing"),
    ],
)  # fmt: skip
def test_a_threshold_compares(operator: str, level: float, value: float, expected: str) -> None:
    """Each operator, at the level itself and beyond it."""
    rule = ThresholdRule(metric="x", operator=Operator(operator), level=level)
    history = past(seen(Result.up(metrics={"x": value})))
    assert state(rule.evaluate(history, NOW)) == expected


def test_a_threshold_clears_at_its_own_level() -> None:
    """Between clear and level it goes on firing, and does not begin to."""
    rule = ThresholdRule(metric="cpu_percent", level=95, clear=85)
    between = seen(Result.up(metrics={"cpu_percent": 90.0}))
    assert state(rule.evaluate(past(between, firing=True), NOW)) == "firing"
    assert state(rule.evaluate(past(between), NOW)) == "clear"
    low = seen(Result.up(metrics={"cpu_percent": 80.0}))
    assert state(rule.evaluate(past(low, firing=True), NOW)) == "clear"


def test_a_metric_that_cannot_be_seen_freezes_its_alert() -> None:
    """Unknown where it was beyond is unknown; a metric that is simply no more is clear."""
    rule = ThresholdRule(metric="cpu_percent", level=95)
    first = rule.evaluate(past(seen(Result.up(metrics={"cpu_percent": 99.0}))), NOW)
    blind = past(seen(Result.unknown("away")), firing=True, rule_state=first.rule_state)
    froze = rule.evaluate(blind, NOW)
    assert (state(froze), froze.rule_state) == ("unknown", first.rule_state)
    gone = past(seen(Result.down("stopped")), firing=True, rule_state=first.rule_state)
    verdict = rule.evaluate(gone, NOW)
    assert (state(verdict), verdict.recovered) == ("clear", False)


def test_a_metric_that_comes_late_ends_nothing() -> None:
    """A container that runs is seen before it is measured, as after a start, and a measurement may
    fail once: its alert waits, for minutes at most, and what ends then has not recovered."""
    rule = ThresholdRule(metric="cpu_percent", level=95)
    first = rule.evaluate(past(seen(Result.up(metrics={"cpu_percent": 99.0}))), NOW)
    early = past(
        seen(Result.up("running", container=RUNNING)), firing=True, rule_state=first.rule_state
    )
    waits = rule.evaluate(early, NOW)
    assert (state(waits), waits.recheck_after is not None) == ("unknown", True)
    late = evolve(early, rule_state=waits.rule_state)
    assert state(rule.evaluate(late, NOW + timedelta(seconds=299))) == "unknown"
    ended = rule.evaluate(late, NOW + timedelta(seconds=301))
    assert (state(ended), ended.message, ended.recovered) == ("clear", "no longer measured", False)
    measured = past(seen(Result.up(metrics={"cpu_percent": 99.0})), rule_state=waits.rule_state)
    assert rule.evaluate(measured, NOW).rule_state == first.rule_state
    exited = evolve(RUNNING, state="exited", reason=Reason.COMPLETED)
    over = rule.evaluate(past(seen(Result.up(container=exited)), rule_state=first.rule_state), NOW)
    assert (state(over), over.recovered) == ("clear", False)


def test_another_check_s_good_value_is_no_recovery() -> None:
    """The check that gave the bad one is gone."""
    rule = ThresholdRule(metric="disk_free_percent", operator=Operator.BELOW, level=10)
    first = rule.evaluate(past(seen(Result.up(metrics={"disk_free_percent": 5.0}), "root")), NOW)
    well = seen(Result.up(metrics={"disk_free_percent": 50.0}), "data")
    verdict = rule.evaluate(past(well, firing=True, rule_state=first.rule_state), NOW)
    assert (state(verdict), verdict.recovered) == ("clear", False)


def test_nan_is_no_level() -> None:
    """NaN is beyond nothing, nor back again: no alert begins with it, and one that is there stands
    still. Infinity is beyond every level."""
    rule = ThresholdRule(metric="cpu_percent", level=95)
    nan = seen(Result.up(metrics={"cpu_percent": math.nan}))
    assert state(rule.evaluate(past(nan), NOW)) == "clear"
    first = rule.evaluate(past(seen(Result.up(metrics={"cpu_percent": math.inf}))), NOW)
    assert state(first) == "firing"
    froze = rule.evaluate(past(nan, firing=True, rule_state=first.rule_state), NOW)
    assert (state(froze), froze.rule_state) == ("unknown", first.rule_state)


def test_only_a_metric_that_was_beyond_can_blind() -> None:
    """A check that never gave the metric, or gave a good value, may be unknown for ever; one that
    was beyond, and was not heard of since a start, is waited for."""
    rule = ThresholdRule(metric="disk_free_percent", operator=Operator.BELOW, level=10)
    low, high = ({"disk_free_percent": value} for value in (5.0, 50.0))
    dark = seen(Result.unknown("exit 3"), "backup")
    first = rule.evaluate(past(seen(Result.up(metrics=low), "root"), dark), NOW)
    well = past(
        seen(Result.up(metrics=high), "root"), dark, firing=True, rule_state=first.rule_state
    )
    assert state(rule.evaluate(well, NOW)) == "clear"
    other = past(
        seen(Result.up(metrics=high), "data"), firing=True, rule_state=first.rule_state,
        checks=frozenset({"data", "root"}),
    )  # fmt: skip
    assert state(rule.evaluate(other, NOW)) == "unknown"
    only = ThresholdRule(metric="x", level=1, check="data")
    assert state(only.evaluate(other, NOW)) == "clear"


def test_more_than_expected_is_told_with_both_numbers() -> None:
    """Every expected metric is compared, and the words say what is usual."""
    rule = ThresholdRule(times_expected=2)
    history = past(seen(Result.up(metrics={"cpu_percent": 25.0, "memory_bytes": 1.5e6})))
    verdict = rule.evaluate(history, NOW)
    assert verdict.message == ("High CPU (25 %), above 20 % (2 times the expected 10 %)")
    assert not rule.applies(Target(name="x"))


def test_between_its_two_levels_an_alert_says_what_it_waits_for() -> None:
    """It is not beyond the level any more, and not yet back."""
    for operator, level, clear, value, words in (
        (Operator.ABOVE, 90, 85, 87.0, "High memory (87 %), not yet below 85 %"),
        (Operator.BELOW, 10, 15, 12.0, "Low memory (12 %), not yet above 15 %"),
    ):
        rule = ThresholdRule(metric="memory_percent", operator=operator, level=level, clear=clear)
        now = past(seen(Result.up(metrics={"memory_percent": value})), firing=True)
        assert rule.evaluate(now, NOW).message == words


@pytest.mark.parametrize(
    ("options", "value", "begin", "end"),
    [
        ({"metric": "memory_percent", "level": 90}, 93.7, "High memory (94 %), above 90 %",
         "Memory is 70 %"),
        ({"metric": "memory_percent", "level": 90}, 90.2, "High memory (90.2 %), above 90 %",
         "Memory is 70 %"),
        ({"metric": "memory_percent", "level": 90}, 90.02, "High memory (90.02 %), above 90 %",
         "Memory is 70 %"),
        ({"metric": "oom_kills", "level": 2, "operator": Operator.AT_LEAST}, 80,
         "High number of processes killed for memory (80), at or above 2", ""),
        ({"metric": "cpu_percent", "level": 95, "operator": Operator.AT_LEAST}, 187.0,
         "High CPU (187 %), at or above 95 %", "CPU is 70 %"),
        ({"metric": "disk_free_percent", "level": 80, "operator": Operator.BELOW}, 7.4,
         "Low free disk space (7 %), below 80 %", "Free disk space is 90 %"),
        ({"metric": "queue_length", "level": 100}, 250, "High queue length (250), above 100",
         "Queue length is 70"),
        ({"metric": "memory_bytes", "level": 1e9}, 2.5e9, "High memory (2.5 GB), above 1.0 GB",
         "Memory is 70 B"),
    ],
)  # fmt: skip
def test_a_threshold_speaks_of_things_and_not_of_names(
    options: dict[str, Any], value: float, begin: str, end: str
) -> None:
    """What fires, and what is over, is said in people's words, in whole percent where that does not
    hide that the level was passed."""
    rule, metric = ThresholdRule(**options), options["metric"]
    assert rule.evaluate(past(seen(Result.up(metrics={metric: value}))), NOW).message == begin
    calm = 90.0 if options.get("operator") is Operator.BELOW else 70.0
    if not end:
        return
    assert rule.evaluate(past(seen(Result.up(metrics={metric: calm}))), NOW).message == end


@pytest.mark.parametrize(
    "options",
    [
        {}, {"level": 1}, {"metric": "x"}, {"metric": "x", "level": 1, "times_expected": 2},
        {"metric": "x", "level": 90, "clear": 95},
        {"metric": "x", "operator": Operator.BELOW, "level": 10, "clear": 5},
    ],
)  # fmt: skip
def test_a_threshold_that_makes_no_sense_is_refused(options: dict[str, Any]) -> None:
    """With a sentence that says what is missing or the wrong way round."""
    with pytest.raises(ValueError, match=r"give either|must be given|clear must lie"):
        ThresholdRule(**options)
