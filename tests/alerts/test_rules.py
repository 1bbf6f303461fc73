"""The rules that come with tocsin, each by itself; all of them pass the authors' suite."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from attrs import evolve

from tocsin import (
    REPLICATED,
    Container,
    Event,
    History,
    Observation,
    Reason,
    Result,
    Rule,
    Status,
    Target,
    Verdict,
)
from tocsin.core.alerts.model import Policy
from tocsin.core.alerts.rule_set import BoundRule
from tocsin.plugins.rules.down import DownRule, Of, ReplicasRule
from tocsin.plugins.rules.restart_loop import RestartLoopRule
from tocsin.plugins.rules.thresholds import Operator, ThresholdRule
from tocsin.testing import check_rule_conformance

NOW = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
WEB = Target(name="web", kind="container", expected={"cpu_percent": 10.0, "memory_bytes": 1e6})
RUNNING = Container(id="1", image="nginx", state="running", reason=Reason.RUNNING)


@pytest.mark.parametrize(
    "rule",
    [
        DownRule(), DownRule(of=Of.CHECKS, failures=3), DownRule(paused=False), RestartLoopRule(),
        ThresholdRule(metric="cpu_percent", level=95, clear=85),
        ThresholdRule(metric="disk_free_percent", operator=Operator.BELOW, level=10, clear=12),
        ThresholdRule(times_expected=2), ReplicasRule(),
    ],
    ids=lambda rule: type(rule).__name__,
)  # fmt: skip
def test_our_rules_conform(rule: Rule) -> None:
    """Pure, quick, proper verdicts for every history, carried over restarts as JSON."""
    check_rule_conformance(rule)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def seen(result: Result, check: str = "docker", at: float = 0.0) -> Observation:
    return Observation(target="web", check=check, at=ago(at), result=result)


def container(state: str, reason: Reason, **facts: Any) -> Container:
    return evolve(RUNNING, state=state, reason=reason, **facts)


def past(*observations: Observation, **fields: Any) -> History:
    latest = {o.check: o for o in observations}
    return History(target=WEB, latest=latest, observations=observations, source="docker", **fields)


def state(verdict: Verdict) -> str:
    return verdict.state.value


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (Result.up("running", container=RUNNING), "clear"),
        (Result.up("completed", container=container("exited", Reason.COMPLETED)), "clear"),
        (Result.down("crashed", container=container("exited", Reason.CRASHED)), "firing"),
        (Result.down("oom", container=container("exited", Reason.OOM_KILLED)), "firing"),
        (Result.down("stopped", container=container("exited", Reason.STOPPED)), "firing"),
        (Result.down("paused", container=container("paused", Reason.PAUSED)), "firing"),
        (Result.down("loop", container=container("restarting", Reason.RESTARTING)), "firing"),
        (Result.degraded("loop", container=container("running", Reason.RESTARTING)), "firing"),
        (Result.degraded("unhealthy", container=container("running", Reason.UNHEALTHY)), "clear"),
        (Result.degraded("being redeployed", container=container("exited", Reason.STOPPED)),
         "clear"),
        (Result.down("missing", attributes={"reason": "missing"}), "firing"),
        (Result.degraded("being made anew", attributes={"replacing": True}), "unknown"),
        (Result.unknown("the engine is away"), "unknown"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.message,
)  # fmt: skip
def test_a_container_that_does_not_run_is_down(result: Result, expected: str) -> None:
    """Every way of not running fires, a completed job and a redeploy do not; between two crashes
    of a loop it is not back; and not seeing is unknown."""
    assert state(DownRule().evaluate(past(seen(result)), NOW)) == expected


def test_what_is_made_anew_has_not_recovered() -> None:
    """An alert on a service freezes while nothing serves and something is being made anew."""
    result = Result.degraded("being replaced", attributes={"replacing": True})
    assert state(DownRule().evaluate(past(seen(result), firing=True), NOW)) == "unknown"
    assert state(ReplicasRule().evaluate(past(seen(result)), NOW)) == "unknown"


def test_down_says_why_and_how() -> None:
    """The details have what a person asks first."""
    facts = container("exited", Reason.CRASHED, exit_code=3, restart_count=1)
    verdict = DownRule().evaluate(past(seen(Result.down("crashed", container=facts))), NOW)
    assert verdict.message == "crashed"
    assert verdict.details["exit_code"] == 3
    assert verdict.details["reason"] == "crashed"
    assert verdict.details["image"] == "nginx"


@pytest.mark.parametrize(
    ("result", "firing", "expected"),
    [
        (Result.degraded("2 of 3", metrics={"replicas": 3, "replicas_down": 1}), False, "firing"),
        (Result.down("none of 3", metrics={"replicas": 3, "replicas_down": 3}), False, "firing"),
        (Result.up("all 3", metrics={"replicas": 3, "replicas_down": 0}), True, "clear"),
        (Result.degraded("2 of 3, one in a loop", metrics={"replicas_down": 0}), False, "clear"),
        (Result.unknown("the engine is away"), True, "unknown"),
        (Result.unknown("0 of 2", metrics={"replicas": 2, "replicas_down": 1}), False, "firing"),
        (Result.degraded("being replaced"), True, "unknown"),
        (Result.up("running"), True, "over"),
        (Result.up("running"), False, "clear"),
    ],
)
def test_replicas_that_do_not_serve_are_told(result: Result, firing: bool, expected: str) -> None:
    """As many as their source counts; nothing is said where it counts none."""
    verdict = ReplicasRule().evaluate(past(seen(result), firing=firing), NOW)
    assert state(verdict) == ("clear" if expected == "over" else expected)
    assert verdict.recovered is (expected != "over")
    assert expected != "firing" or verdict.message == result.message


def test_whether_an_instance_runs_is_a_matter_of_its_service() -> None:
    """Its own checks are its own."""
    instance = evolve(WEB, service="api")
    assert not DownRule().applies(instance)
    assert DownRule().applies(WEB)
    assert DownRule(of=Of.CHECKS).applies(instance)


def test_checks_fail_after_so_many_failures_in_a_row() -> None:
    """The third failure in a row fires; the first two are rising; one success clears."""
    rule = DownRule(of=Of.CHECKS, failures=3)
    last = seen(Result.down("refused"), "http")
    states = [
        state(rule.evaluate(past(last, failures={"http": count}), NOW)) for count in (1, 2, 3, 9)
    ]
    assert states == ["rising", "rising", "firing", "firing"]
    assert state(rule.evaluate(past(seen(Result.up(), "http")), NOW)) == "clear"


def test_failures_go_on_counting_over_a_restart() -> None:
    """Two failures before a restart of tocsin and one after it are three; the same result judged
    twice counts once."""
    rule = DownRule(of=Of.CHECKS, failures=3)
    second = seen(Result.down("refused"), "http", at=30)
    verdict = rule.evaluate(past(second, failures={"http": 2}), NOW)
    again = rule.evaluate(past(second, failures={"http": 2}, rule_state=verdict.rule_state), NOW)
    assert again == verdict
    third = seen(Result.down("refused"), "http")
    after = rule.evaluate(past(third, failures={"http": 1}, rule_state=verdict.rule_state), NOW)
    assert state(after) == "firing"


def test_an_alert_ends_with_the_first_success_only() -> None:
    """While it fires, one failure is enough to go on; blindness freezes it."""
    rule = DownRule(of=Of.CHECKS, failures=3)
    down = past(seen(Result.down("x"), "http"), failures={"http": 1}, firing=True)
    assert state(rule.evaluate(down, NOW)) == "firing"
    blind = past(seen(Result.unknown("x"), "http"), firing=True)
    assert state(rule.evaluate(blind, NOW)) == "unknown"


def test_only_a_check_that_failed_can_blind() -> None:
    """A check that never failed may be unknown for ever: the alert ends when what failed is well.
    One that failed and is unknown now freezes it, until it is seen, or seen to be well once."""
    rule = DownRule(of=Of.CHECKS, failures=3)
    bad, good = seen(Result.down("x"), "query"), seen(Result.up(), "query")
    dark, lit = seen(Result.unknown("x"), "backup"), seen(Result.down("y"), "backup")
    first = rule.evaluate(past(bad, dark, failures={"query": 3}), NOW)
    assert state(first) == "firing"
    assert (
        state(rule.evaluate(past(good, dark, firing=True, rule_state=first.rule_state), NOW))
        == "clear"
    )
    blind = seen(Result.unknown("away"), "query")
    other = seen(Result.up(), "backup")
    froze = rule.evaluate(past(blind, other, firing=True, rule_state=first.rule_state), NOW)
    assert (state(froze), froze.rule_state) == ("unknown", first.rule_state)
    both = rule.evaluate(past(bad, lit, firing=True, rule_state=first.rule_state), NOW)
    half = rule.evaluate(past(good, dark, firing=True, rule_state=both.rule_state), NOW)
    assert (state(half), set(half.rule_state)) == ("unknown", {"backup"})
    late = rule.evaluate(past(blind, other, firing=True, rule_state=half.rule_state), NOW)
    assert state(late) == "clear"


def test_an_alert_that_goes_on_is_not_written_anew_for_each_result() -> None:
    """What the verdict asks to be kept stays the same while the same checks fail."""
    rule = DownRule(of=Of.CHECKS, failures=2)
    first = rule.evaluate(past(seen(Result.down("x"), "http"), failures={"http": 2}), ago(30))
    later = seen(Result.down("x"), "http", at=-30)
    again = rule.evaluate(
        past(later, failures={"http": 3}, firing=True, rule_state=first.rule_state), NOW
    )
    assert (state(again), again.rule_state) == ("firing", first.rule_state)


def test_a_check_that_failed_and_was_not_heard_of_since_a_start_blinds() -> None:
    """After a restart the first to report is the one that is well: the alert waits for the other,
    where that is still there."""
    rule = DownRule(of=Of.CHECKS)
    first = rule.evaluate(past(seen(Result.down("x"), "query"), failures={"query": 1}), NOW)
    well = seen(Result.up(), "ping")
    waits = past(
        well, firing=True, rule_state=first.rule_state, checks=frozenset({"ping", "query"})
    )
    assert state(rule.evaluate(waits, NOW)) == "unknown"
    gone = past(well, firing=True, rule_state=first.rule_state, checks=frozenset({"ping"}))
    assert state(rule.evaluate(gone, NOW)) == "clear"


def test_a_health_check_that_cannot_be_seen_freezes_its_alert() -> None:
    """The engine is away, and the last that was known is unhealthy: neither firing nor over."""
    rule = DownRule(of=Of.CHECKS)
    sick = container("running", Reason.UNHEALTHY, health="unhealthy")
    first = rule.evaluate(past(seen(Result.degraded("unhealthy", container=sick))), NOW)
    away = seen(Result.unknown("no engine", container=evolve(sick, reason=Reason.UNSEEN)))
    well = seen(Result.up(), "http")
    froze = rule.evaluate(past(away, well, firing=True, rule_state=first.rule_state), NOW)
    assert state(froze) == "unknown"
    assert state(rule.evaluate(past(away, well), NOW)) == "clear"


def test_a_health_check_that_has_not_said_anything_yet_is_no_recovery() -> None:
    """An unhealthy container that starts anew is waited for; one without a health check any more,
    or whose failing check was taken away, has not recovered."""
    rule = DownRule(of=Of.CHECKS, failures=1)
    sick = container("running", Reason.UNHEALTHY, health="unhealthy")
    first = rule.evaluate(past(seen(Result.degraded("unhealthy", container=sick))), NOW)
    found = {}
    for health in ("starting", "healthy", "none"):
        up = seen(Result.up(container=container("running", Reason.RUNNING, health=health)))
        verdict = rule.evaluate(past(up, firing=True, rule_state=first.rule_state), NOW)
        found[health] = (state(verdict), verdict.recovered)
    assert found == {
        "starting": ("unknown", True),
        "healthy": ("clear", True),
        "none": ("clear", False),
    }
    failed = rule.evaluate(past(seen(Result.down("refused"), "http")), NOW)
    left = past(seen(Result.up(), "tcp"), firing=True, rule_state=failed.rule_state)
    verdict = rule.evaluate(left, NOW)
    assert (verdict.message, verdict.recovered) == ("no longer checked: http", False)


def test_a_container_that_is_made_anew_is_not_back_yet() -> None:
    """While Compose replaces one that is down, its alert waits; none begins."""
    rule = DownRule()
    result = Result.degraded("being redeployed", container=container("exited", Reason.STOPPED))
    assert state(rule.evaluate(past(seen(result), firing=True), NOW)) == "unknown"
    assert state(rule.evaluate(past(seen(result)), NOW)) == "clear"


def test_a_loop_whose_tries_are_far_apart_goes_on() -> None:
    """It does not end while the container waits for its next try."""
    seen_so = seen(Result.down("loop", container=container("restarting", Reason.RESTARTING)))
    rule = RestartLoopRule()
    assert state(rule.evaluate(past(seen_so, firing=True), NOW)) == "firing"
    assert state(rule.evaluate(past(seen_so), NOW)) == "clear"


@pytest.mark.parametrize(("word", "recovered"), [("running", True), ("exited", False)])
def test_only_a_container_that_runs_has_recovered_from_a_restart_loop(
    word: str, recovered: bool
) -> None:
    """One that has stopped does not restart any more, either."""
    facts = container(word, Reason.RUNNING)
    verdict = RestartLoopRule().evaluate(past(seen(Result.up(container=facts)), firing=True), NOW)
    assert (state(verdict), verdict.recovered) == ("clear", recovered)


def test_the_engine_counts_the_failures_of_a_health_check() -> None:
    """``unhealthy`` has failed often enough already; ``starting`` says nothing."""
    rule = DownRule(of=Of.CHECKS, failures=3)
    sick = container("running", Reason.UNHEALTHY, health="unhealthy")
    verdict = rule.evaluate(past(seen(Result.degraded("unhealthy: x", container=sick))), NOW)
    assert (state(verdict), verdict.message) == ("firing", "health check: unhealthy: x")
    starting = container("running", Reason.STARTING, health="starting")
    assert state(rule.evaluate(past(seen(Result.up(container=starting))), NOW)) == "clear"


@pytest.mark.parametrize(
    ("result", "carried"),
    [
        (Result.up("completed, exit code 0"), "clear"), (Result.down("crashed"), "unknown"),
        (Result.degraded("one-off job: crashed", attributes={"one_off": True}), "unknown"),
        (Result.degraded("being redeployed by Compose"), "unknown"),
    ],
)  # fmt: skip
def test_the_health_check_of_what_does_not_run_says_nothing(result: Result, carried: str) -> None:
    """Docker calls each container with a health check unhealthy once it has ended: no alert begins
    by that, and one that fires waits, unless the container is done."""
    rule = DownRule(of=Of.CHECKS, failures=1)
    reason = Reason.COMPLETED if result.status is Status.UP else Reason.CRASHED
    ended = evolve(result, container=container("exited", reason, health="unhealthy"))
    assert state(rule.evaluate(past(seen(ended)), NOW)) == "clear"
    sick = container("running", Reason.UNHEALTHY, health="unhealthy")
    first = rule.evaluate(past(seen(Result.degraded("unhealthy", container=sick))), NOW)
    history = past(seen(ended), firing=True, rule_state=first.rule_state)
    assert state(rule.evaluate(history, NOW)) == carried


def test_the_alert_of_a_one_off_job_ends() -> None:
    """It had begun before the job was known as one; it is no recovery."""
    facts = container("exited", Reason.CRASHED)
    job = Result.degraded("one-off job: crashed", container=facts, attributes={"one_off": True})
    verdict = DownRule().evaluate(past(seen(job), firing=True), NOW)
    assert (state(verdict), verdict.recovered) == ("clear", False)


def loop(*ages: float, count: int | None = None) -> list[Event]:
    """A ``die`` and a ``start`` at each age."""
    return [
        Event(target="web", source="docker", action=action, at=ago(age - later))
        for age in ages
        for action, later in (("die", 0.0), ("start", 0.1))
    ]


def test_three_restarts_within_the_window_fire() -> None:
    """Two are rising, three fire, and say how often; when they leave the window it clears, and the
    verdict asks to be looked at then."""
    rule = RestartLoopRule()
    up = seen(Result.up(container=RUNNING))
    two = rule.evaluate(past(up, events=tuple(loop(100, 50))), NOW)
    assert state(two) == "rising"
    three = rule.evaluate(past(up, events=tuple(loop(280, 100, 50))), NOW)
    assert (state(three), three.message) == ("firing", "3 restarts in 5m")
    assert three.recheck_after == pytest.approx(20.01, abs=0.01)
    late = rule.evaluate(
        past(up, events=tuple(loop(280, 100, 50)), firing=True), NOW + timedelta(seconds=21)
    )
    assert state(late) == "clear"


def test_a_restart_loop_names_the_last_exit_code_at_whichever_moment_it_fires() -> None:
    """Seen while it runs again, the container has no exit code: the event of its last end has."""
    up = seen(Result.up(container=RUNNING))
    ends = tuple(evolve(e, attributes={"exitCode": "3"}) for e in loop(280, 100, 50))
    verdict = RestartLoopRule().evaluate(past(up, events=ends), NOW)
    assert verdict.message == "3 restarts in 5m, last exit code 3"
    assert verdict.details["exit_code"] == 3
    dead = seen(Result.down("x", container=container("exited", Reason.CRASHED, exit_code=4)))
    assert RestartLoopRule().evaluate(past(dead, events=ends), NOW).details["exit_code"] == 4


def test_an_end_without_a_start_is_no_restart() -> None:
    """A container that was stopped is down, not restarting."""
    end = Event(target="web", source="docker", action="die", at=ago(10))
    dead = seen(Result.down("x", container=container("exited", Reason.STOPPED)))
    assert state(RestartLoopRule().evaluate(past(dead, events=(end,)), NOW)) == "clear"


def counts(*pairs: tuple[float, int], identity: str = "1") -> list[Observation]:
    return [
        seen(Result.up(container=evolve(RUNNING, id=identity, restart_count=count)), at=age)
        for age, count in pairs
    ]


def test_the_engines_count_is_believed_where_events_were_missed() -> None:
    """A count that goes up by three fires without any event; the same restarts are not counted by
    event and by count."""
    rule = RestartLoopRule()
    assert state(rule.evaluate(past(*counts((60, 0), (30, 3))), NOW)) == "firing"
    both = past(*counts((250, 0), (120, 1), (40, 2)), events=tuple(loop(125, 45)))
    verdict = rule.evaluate(both, NOW)
    assert (state(verdict), len(verdict.rule_state["moments"])) == ("rising", 2)


def test_a_recreated_container_begins_anew() -> None:
    """A count that falls, or another id, is no restart; nor is the first count that is seen."""
    rule = RestartLoopRule()
    assert state(rule.evaluate(past(*counts((60, 9), (30, 0))), NOW)) == "clear"
    other = counts((60, 1)) + counts((30, 8), identity="2")
    assert state(rule.evaluate(past(*other), NOW)) == "clear"


def test_restarts_are_counted_over_a_restart_of_tocsin() -> None:
    """Two before, one after: three; and a count that went up while tocsin was away counts."""
    rule = RestartLoopRule()
    up = counts((90, 2))
    before = rule.evaluate(past(*up, events=tuple(loop(200, 100))), ago(90))
    after = past(*counts((20, 2)), events=tuple(loop(10)), rule_state=before.rule_state)
    assert state(rule.evaluate(after, NOW)) == "firing"
    missed = past(*counts((20, 3)), rule_state=before.rule_state)
    assert state(rule.evaluate(missed, NOW)) == "firing"


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


def test_what_is_said_of_containers_holds_for_a_service_of_them() -> None:
    """A rule that is kept to the kind ``container`` watches services of several, too."""
    bound = BoundRule(
        name="container_down", rule=DownRule(), plugin="down", policy=Policy(), kinds=("container",)
    )
    assert bound.watches(Target(name="api", kind=REPLICATED))
    assert not bound.watches(Target(name="api", kind="service"))
