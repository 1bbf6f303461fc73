"""The rules that come with tocsin, each by itself; all of them pass the authors' suite."""

from __future__ import annotations

import pytest
from attrs import evolve

from tests.alerts.observations import NOW, RUNNING, WEB, ago, container, past, seen, state
from tocsin import REPLICATED, Reason, Result, Rule, Status, Target
from tocsin.core.alerts.model import Policy
from tocsin.core.alerts.rule_set import BoundRule
from tocsin.plugins.rules.down import DownRule, Of, ReplicasRule
from tocsin.plugins.rules.restart_loop import RestartLoopRule
from tocsin.plugins.rules.thresholds import Operator, ThresholdRule
from tocsin.testing import check_rule_conformance


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


def test_what_is_said_of_containers_holds_for_a_service_of_them() -> None:
    """A rule that is kept to the kind ``container`` watches services of several, too."""
    bound = BoundRule(
        name="container_down", rule=DownRule(), plugin="down", policy=Policy(), kinds=("container",)
    )
    assert bound.watches(Target(name="api", kind=REPLICATED))
    assert not bound.watches(Target(name="api", kind="service"))
