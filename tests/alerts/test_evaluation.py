"""Rules in the engine: when they are asked, what they carry, and what happens to faulty ones."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from attrs import evolve, frozen

from tests.alerts.driver import Driver, book, star
from tocsin import History, Observation, Result, Rule, Status, Verdict
from tocsin.core.alerts.model import Phase, Policy
from tocsin.core.alerts.recheck_timers import RecheckTimers
from tocsin.core.alerts.rule_faults import RuleFaults
from tocsin.core.alerts.rule_set import EMPTY, BoundRule, RuleSet
from tocsin.core.contracts.base import private
from tocsin.core.monitor import events


def test_a_rule_taken_away_resolves_its_alerts() -> None:
    """A configuration without the rule ends what it had raised; the others go on."""
    driver = Driver({"web": ()})
    driver.see("web", "down")
    driver._note(driver.engine.configure(EMPTY, driver.moment))
    assert driver.told[-1] == ("resolved", "web")
    assert driver.alert("web").phase is Phase.RESOLVED


def _without_down(how: str) -> RuleSet:
    rules = book()
    if how == "rule gone":
        return RuleSet(rules={"slow": rules.rules["slow"]}, overrides={}, own={})
    if how == "off for the target":
        return RuleSet(rules=rules.rules, overrides={"db": {"down": None}}, own={})
    other = evolve(rules.rules["down"], rule=Mute())
    return RuleSet(rules={**rules.rules, "down": other}, overrides={}, own={})


@frozen(kw_only=True)
class Mute(Rule):
    """Fires, and explains nobody."""

    def evaluate(self, history: History, now: datetime) -> Verdict:
        return Verdict.firing("x")


@pytest.mark.parametrize("how", ["rule gone", "off for the target", "another rule of that name"])
def test_a_rule_taken_away_explains_nothing_any_more(how: str) -> None:
    """Its alert ends (or goes on, by a rule that explains nobody), and what it had kept untold is
    told at once, not after its cooldown."""
    driver = Driver(star())
    driver.see("db", "down")
    driver.see("app1", "degraded")
    assert driver.untold("inhibited") == [("fired", "app1")]
    driver._note(driver.engine.configure(_without_down(how), driver.moment))
    driver.wait(2)
    assert ("released", "app1") in driver.told
    driver.see("app2", "degraded")
    assert ("fired", "app2") in driver.told


@frozen(kw_only=True)
class Silencer(Rule):
    """Fires when nothing was heard for a minute: clear, for now."""

    def evaluate(self, history: History, now: datetime) -> Verdict:
        last = max(o.at for o in history.latest.values())
        left = 60 - (now - last).total_seconds()
        return Verdict.clear(recheck_after=left) if left > 0 else Verdict.firing("silent")


def test_a_rule_that_finds_nothing_yet_is_asked_again() -> None:
    """A verdict that time alone may change is asked for at the time it names, also where there is
    no alert; each new result moves that time on."""
    silent = BoundRule(name="silent", rule=Silencer(), plugin="p", policy=Policy())
    driver = Driver({"web": ()}, RuleSet(rules={"silent": silent}, overrides={}, own={}))
    for _ in range(5):
        driver.see("web", "up")
        driver.wait(50)
    assert driver.told == []
    driver.wait(15)
    assert driver.told == [("fired", "web")]


def test_a_rule_that_raises_is_named_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The fault is told with the plugin's name; the target's other rules judge as ever; the plugin
    has recovered when its rule judges again, on every target that it failed on."""
    faults: list[tuple[str, str]] = []
    well: list[str] = []
    driver = Driver({"web": (), "api": ()})
    driver.engine.evaluator.faults = RuleFaults(lambda *fault: faults.append(fault), well.append)
    slow = driver.engine.evaluator.rules.rules["slow"].rule

    def broken(*_: Any) -> Verdict:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(type(slow), "evaluate", broken)
    driver.see("web", "down")
    assert driver.told == [("fired", "web")]
    assert faults[0][0] == "p"
    assert "ZeroDivisionError: oops" in faults[0][1]
    driver.see("api", "down")
    monkeypatch.undo()
    driver.see("web", "down")
    assert well == []
    driver.see("api", "down")
    assert well == ["p"]


def test_a_rule_that_is_taken_away_fails_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin whose rule raised has recovered once no rule of its is left that did."""
    well: list[str] = []
    driver = Driver({"web": ()})
    driver.engine.evaluator.faults = RuleFaults(lambda *_: None, well.append)
    slow = driver.engine.evaluator.rules.rules["slow"].rule
    monkeypatch.setattr(type(slow), "evaluate", lambda *_: 1 / 0)
    driver.see("web", "down")
    driver.engine.configure(driver.engine.evaluator.rules, driver.moment)
    assert well == []
    driver.engine.configure(EMPTY, driver.moment)
    assert well == ["p"]


def test_a_rule_that_wants_to_be_asked_again_is_asked_once_for_all_its_wishes() -> None:
    """However often a rule wishes to be asked again, one look waits for it, at the time it named
    last; one that wishes no more is asked no more; what waits does not grow with time."""
    looks = RecheckTimers()
    key, other = ("loop", "web"), ("loop", "api")
    for second in range(1000):
        looks.want(key, 300.0 + second % 7)
        assert looks.take(float(second) / 10) is None
    assert len(looks) < 10
    looks.want(other, 250.0)
    assert (looks.next(), looks.take(250.0), looks.take(250.0)) == (250.0, other, None)
    looks.want(key, 400.0)
    assert looks.take(399.0) is None
    assert (looks.take(400.0), looks.take(1000.0)) == (key, None)
    looks.want(key, 500.0)
    looks.want(key, None)
    assert looks.take(1000.0) is None
    assert (len(looks), looks.next()) == (0, None)


def test_a_check_that_is_gone_fails_no_more() -> None:
    """The only failing check is taken away: the alert ends at once, though nothing else is seen."""
    driver = Driver({"web": ()})
    driver.see("web", "down")
    target = driver.engine.evaluator.target("web")
    assert target is not None
    driver._note(driver.engine.put(target, None, {}, driver.moment))
    assert driver.told == [("fired", "web"), ("resolved", "web")]


@frozen(kw_only=True)
class Counting(Rule):
    """Counts how often it was asked, and fires at the fourth result that is not up."""

    def evaluate(self, history: History, now: datetime) -> Verdict:
        count = history.rule_state.get("count", 0) + 1
        down = any(o.result.status is Status.DOWN for o in history.latest.values())
        if history.unseen:
            return Verdict.unknown()
        return (Verdict.firing if down else Verdict.clear)(str(count), rule_state={"count": count})


def test_what_a_clear_verdict_carries_comes_back() -> None:
    """With no alert, while one fires, once it is resolved, and when it is closed; an unknown
    verdict that carries nothing leaves it; with the target it is gone."""
    rule = BoundRule(name="counting", rule=Counting(), plugin="p", policy=Policy(cooldown=60.0))
    driver = Driver({"web": ()}, RuleSet(rules={"counting": rule}, overrides={}, own={}))
    key = ("counting", "web")

    def carried() -> Any:
        return driver.engine.evaluator.rule_states.of(key, driver.engine.alerts.get(key)).get(
            "count"
        )

    for number, status in enumerate(("up", "up", "down", "down", "up", "up"), 1):
        driver.see("web", status)
        assert carried() == number
    driver.wait(61)
    driver.see("web", "up")
    assert key not in driver.engine.alerts
    assert carried() == 7
    driver.see("web", "unknown")
    assert carried() == 7
    kept = [entry.rule_states for entry in driver.entries if entry.rule_states]
    assert kept[-1] == {key: {"count": 7}}
    driver.handle(events.TargetGone("web"))
    assert carried() is None
    assert driver.entries[-1].rule_states == {key: {}}


@frozen(kw_only=True)
class Full(Rule):
    """Fires while ``depth`` is over 10, and writes down how often it was asked."""

    asked: list[datetime] = private(factory=list)

    @property
    def looks_at(self) -> tuple[str, ...]:
        return ("depth",)

    def evaluate(self, history: History, now: datetime) -> Verdict:
        self.asked.append(now)
        depth = history.latest["c"].result.metrics.get("depth", 0.0)
        return Verdict.firing("full") if depth > 10 else Verdict.clear("has room")


def test_a_rule_is_asked_where_what_it_looks_at_is_measured() -> None:
    """Without the metric it is not asked, until it is measured; with an alert it is asked whatever
    is measured, so that it says how that ends."""
    rule = BoundRule(name="full", rule=Full(), plugin="p", policy=Policy(), looks_at=("depth",))
    driver = Driver({"web": ()}, RuleSet(rules={"full": rule}, overrides={}, own={}))

    def see(**metrics: float) -> int:
        seen = Observation(
            target="web", check="c", at=driver.moment.wall, result=Result.up(metrics=metrics)
        )
        driver.handle(events.Observed(seen))
        assert isinstance(rule.rule, Full)
        return len(rule.rule.asked)

    assert see(height=11) == 0
    assert see(depth=9) == 1
    assert see(depth=11) == 2
    assert driver.told == [("fired", "web")]
    assert see(height=11) == 3
    assert driver.told == [("fired", "web"), ("resolved", "web")]
    driver.wait(1000)
    see(height=11)  # after which there is no alert any more
    assert see(height=11) == see(height=11)


@frozen(kw_only=True)
class Scribbling(Rule):
    """Counts in the table that it is given, and hands nothing on."""

    def evaluate(self, history: History, now: datetime) -> Verdict:
        """At the third time it fires."""
        state: Any = history.rule_state
        state["n"] = state.get("n", 0) + 1
        return Verdict.firing("third") if state["n"] >= 3 else Verdict.clear()


def test_what_a_rule_writes_into_its_history_is_not_kept() -> None:
    """Neither for its next verdict nor for another rule: only ``rule_state`` of a verdict is."""
    bound = [BoundRule(name=n, rule=Scribbling(), plugin="x", policy=Policy()) for n in "ab"]
    driver = Driver({"web": ()}, RuleSet(rules={r.name: r for r in bound}, overrides={}, own={}))
    for _ in range(5):
        driver.see("web", "up")
    assert driver.told == []
    assert driver.engine.alerts == {}
