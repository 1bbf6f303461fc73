"""Restart loops: one alert in place of many."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.alerts.driver import Driver, looping
from tocsin import Container, Observation, Reason, Result, Severity, Target, Verdict
from tocsin.core.alerts.matchers import parse_all
from tocsin.core.alerts.model import Phase, Policy
from tocsin.core.alerts.rule_faults import RuleFaults
from tocsin.core.alerts.rule_set import BoundRule, RuleSet
from tocsin.core.alerts.silences import Silence
from tocsin.core.config.settings import ChannelSettings
from tocsin.core.monitor.route import wanted
from tocsin.plugins.rules.restart_loop import RestartLoopRule


def rung(driver: Driver) -> list[tuple[str, str, str]]:
    """Kind, rule and severity of what people were told."""
    told = [change for change in driver.changes if change.notify]
    return [(c.kind.value, c.alert.rule, c.alert.severity.value) for c in told]


def loop_for(driver: Driver, seconds: int) -> None:
    """The target is down, and restarts every ten seconds."""
    for _ in range(seconds // 10):
        driver.happened("web", "start")
        driver.see("web", "down")
        driver.wait(10)


def test_a_restart_loop_is_one_alert() -> None:
    """It is told at once; when it would have been down for long enough it is as grave as that, and
    goes to the same channels; the other alerts are told to nobody, neither when they fire, nor
    again, nor when they are over."""
    driver = Driver({"web": (), "api": ("web",)}, looping(channels=("c", "mail")))
    loop_for(driver, 50)
    # Who depends on it is named by the one that is told.
    assert driver.engine.evaluator.rules.explains("loop", "web")
    assert driver.engine.inhibition.affected("web") == ("api",)
    assert rung(driver) == [("fired", "loop", "warning")]
    loop_for(driver, 850)
    assert rung(driver)[1:] == [("escalated", "loop", "critical")]
    assert driver.engine.inhibition.policy(("loop", "web")).channels == ("c", "mail")
    assert {c.why for c in driver.changes if c.reason == "inhibited"} == {"loop on web covers it"}
    loop_for(driver, 60)
    assert rung(driver)[2:] == [("repeated", "loop", "critical")]
    driver.see("web", "up")
    driver.wait(60)
    driver.see("web", "up")
    assert rung(driver)[3:] == [("resolved", "loop", "critical")]
    driver.wait(3600)
    assert driver.engine.alerts == {}
    assert len(rung(driver)) == 4


def test_a_loop_reaches_those_who_are_named_for_what_it_stands_for() -> None:
    """A rule that names its channels is told on these though the loop's names none, whatever their
    own least severity."""
    policy = Policy().joined(Policy(channels=("mail",)))
    assert (policy.channels, policy.also) == (None, ("mail",))
    driver = Driver({"web": ()}, looping())
    loop_for(driver, 50)
    channels = [
        ChannelSettings(
            name=name, notifier_name="x", plugin="p", notifier=None, broken=None, options={},
            min_severity=Severity.CRITICAL,
        )
        for name in ("mail", "other")
    ]  # fmt: skip
    alert = driver.engine.alerts["loop", "web"]
    assert wanted(alert, policy, channels) == (["mail"], ["other"])


def test_a_verdict_that_is_wrong_in_part_counts_for_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A stranger's rule that rings, and asks for the impossible beside that, rings; its plugin is
    named."""
    faults: list[tuple[str, str]] = []
    driver = Driver({"web": ()})
    driver.engine.evaluator.faults = RuleFaults(lambda *fault: faults.append(fault), lambda _: None)
    slow = driver.engine.evaluator.rules.rules["slow"].rule
    monkeypatch.setattr(
        type(slow), "evaluate", lambda *_: Verdict.firing("bad", recheck_after=-0.5), raising=True
    )
    monkeypatch.setattr(type(slow), "__module__", "acme")
    driver.see("web", "down")
    assert ("fired", "web") in driver.told
    assert driver.engine.alerts["slow", "web"].message == "bad"
    assert "recheck_after" in faults[0][1]


def test_a_loop_whose_target_stays_down_is_told_as_down_then() -> None:
    """The loop has ended, and nothing runs: that is told, and repeated."""
    driver = Driver({"web": ()}, looping())
    loop_for(driver, 90)
    driver.wait(70)
    assert rung(driver)[2:] == [("resolved", "loop", "critical"), ("released", "down", "critical")]


def test_a_loop_takes_the_place_of_what_was_told_before() -> None:
    """Of a target that was down before it loops, only the loop is told again; a loop that comes
    after another trouble is no graver for that."""
    driver = Driver({"web": ()}, looping(wait=0.0))
    driver.see("web", "down")
    loop_for(driver, 1800)
    assert rung(driver)[:2] == [("fired", "down", "critical"), ("fired", "loop", "critical")]
    assert {rule for _, rule, _ in rung(driver)[2:]} == {"loop"}
    driver = Driver({"web": ()}, looping(wait=0.0))
    driver.see("web", "down")
    driver.see("web", "up")
    driver.wait(100)
    driver.happened("web", "start")
    assert rung(driver)[2:] == [("fired", "loop", "warning")]


def test_a_silenced_loop_hides_nothing() -> None:
    """Who silences the loop alone is told that the target is down."""
    driver = Driver({"web": ()}, looping())
    at = driver.moment.wall
    driver.quiet.put([Silence(matchers=parse_all(["rule=loop"]), starts_at=at,
                              ends_at=at + timedelta(hours=1), created_by="ann")])  # fmt: skip
    loop_for(driver, 90)
    assert ("fired", "down", "critical") in rung(driver)
    assert "loop" not in {rule for _, rule, _ in rung(driver)}


def test_a_crash_loop_that_never_ends_leaves_nothing_behind() -> None:
    """Hours of restarts: no more waits to be looked at than after a few minutes."""
    loop = BoundRule(name="loop", rule=RestartLoopRule(), plugin="p", policy=Policy())
    driver = Driver({}, RuleSet(rules={"loop": loop}, overrides={}, own={}))
    target, checks = Target(name="web", kind="container"), {"docker": None}
    driver.engine.put(target, "docker", checks, driver.moment)
    waiting = []
    for restarts in range(500):
        facts = Container(
            id="1", image="i", state="running", reason=Reason.RUNNING, restart_count=restarts
        )
        at, result = driver.moment, Result.up(container=facts)
        seen = Observation(target="web", check="docker", at=at.wall, result=result)
        driver.engine.observe(seen, at)
        driver.wait(30)
        waiting.append(len(driver.engine.evaluator._rechecks))
    assert max(waiting) <= 2
    assert driver.engine.alerts["loop", "web"].phase is Phase.FIRING
