"""The engine: root causes, silences, starts, timers, targets that come and go."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from attrs import evolve, frozen

from tests.alerts.driver import Driver, book, looping
from tocsin import (
    Container,
    History,
    Observation,
    Reason,
    Result,
    Rule,
    Severity,
    Status,
    Target,
    Verdict,
)
from tocsin.core.alerts.graph import Graph
from tocsin.core.alerts.matchers import parse_all
from tocsin.core.alerts.model import Phase, Policy, Transition
from tocsin.core.alerts.recheck_timers import RecheckTimers
from tocsin.core.alerts.rule_faults import RuleFaults
from tocsin.core.alerts.rule_set import EMPTY, BoundRule, RuleSet
from tocsin.core.alerts.silences import Silence, Window
from tocsin.core.config.settings import ChannelSettings
from tocsin.core.contracts.base import private
from tocsin.core.monitor import events
from tocsin.core.monitor.route import wanted
from tocsin.plugins.rules.restart_loop import RestartLoopRule

TEN = tuple(f"app{n}" for n in range(10))


def star() -> dict[str, tuple[str, ...]]:
    return {"db": (), **dict.fromkeys(TEN, ("db",))}


def test_ten_dependents_of_a_dead_root_are_one_message() -> None:
    """The root is told; each dependent fires untold, inhibited, naming the root; when all are back,
    the root's recovery is the only other message."""
    driver = Driver(star())
    driver.see("db", "down")
    for name in TEN:
        driver.see(name, "down")
    assert driver.told == [("fired", "db")]
    assert sorted(driver.untold("inhibited")) == sorted(("fired", name) for name in TEN)
    assert {c.why for c in driver.changes if c.reason == "inhibited"} == {"down on db explains it"}
    assert driver.engine.inhibition.affected("db") == TEN
    driver.wait(300)
    for name in ("db", *TEN):
        driver.see(name, "up")
    driver.wait(3600)
    assert driver.told == [("fired", "db"), ("resolved", "db")]


def test_a_dependent_that_stays_down_after_the_root_is_told_then() -> None:
    """After the grace in which dependents may recover, what is still down is told."""
    driver = Driver(star())
    for name in ("db", "app1", "app2"):
        driver.see(name, "down")
    driver.wait(300)
    driver.see("db", "up")
    driver.see("app2", "up")
    driver.wait(59)
    assert driver.told == [("fired", "db"), ("resolved", "db")]
    driver.wait(2)
    assert driver.told[2:] == [("released", "app1")]


def test_an_alert_is_found_by_its_id_for_as_long_as_it_is_kept() -> None:
    """As it is now, through its whole life; one that is closed, or was the target's before, is
    not, and leaves nothing behind."""
    driver = Driver({"web": (), "api": ()})
    for wait in (1.0, 100_000.0):
        for name in ("web", "api"):
            driver.see(name, "down")
        driver.see("web", "up")
        driver.wait(wait)
        for change in driver.changes:
            now = driver.engine.alerts.get(change.alert.key)
            kept = now is not None and now.id == change.alert.id
            assert driver.engine.table.find(change.alert.id) == (now if kept else None)
        kept_ids = {alert.id for alert in driver.engine.alerts.values()}
        assert driver.engine.table._keys.keys() == kept_ids
    assert [alert.target for alert in driver.engine.alerts.values()] == ["api"]


def test_a_root_found_late_still_inhibits() -> None:
    """Dependents that fail while the root is pending wait for it: fired, it inhibits them;
    cancelled, they are told."""
    slow_root = book(for_seconds=60.0)
    driver = Driver(star(), slow_root)
    driver.see("db", "down")
    driver.engine.evaluator.rules = book(for_seconds=0.0)  # the dependents' own rule has no wait
    driver.see("app1", "down")
    assert driver.untold("held") == [("fired", "app1")]
    driver.engine.evaluator.rules = slow_root
    driver.wait(61)
    assert driver.told == [("fired", "db")]
    suppression = driver.alert("app1").suppression
    assert suppression is not None
    assert suppression.cause.value == "inhibited"

    driver = Driver(star(), slow_root)
    driver.see("db", "down")
    driver.engine.evaluator.rules = book(for_seconds=0.0)
    driver.see("app1", "down")
    driver.engine.evaluator.rules = slow_root
    driver.wait(20)
    driver.see("db", "up")
    assert driver.told == [], "perhaps it is up again, too"
    driver.see("app1", "down")
    assert driver.told == [("released", "app1")]


def test_the_root_of_a_chain_is_named() -> None:
    """Over several steps the deepest failing target is the cause, not the one in between."""
    driver = Driver({"db": (), "api": ("db",), "web": ("api",)})
    for name in ("db", "api", "web"):
        driver.see(name, "down")
    assert driver.told == [("fired", "db")]
    suppression = driver.alert("web").suppression
    assert suppression is not None
    assert suppression.by == "db"
    assert driver.engine.inhibition.affected("db") == ("api", "web")


def test_a_chain_is_inhibited_through_a_link_that_is_up() -> None:
    """Dependence is transitive, whatever the target in between says."""
    driver = Driver({"db": (), "api": ("db",), "web": ("api",)})
    for name in ("db", "web"):
        driver.see(name, "down")
    assert driver.told == [("fired", "db")]


def test_in_a_circle_somebody_is_told() -> None:
    """Targets that depend on each other: the first to fail is told, the others are not."""
    driver = Driver({"a": ("c",), "b": ("a",), "c": ("b",)})
    for name in ("b", "c", "a"):
        driver.see(name, "down")
    driver.wait(3600)
    assert [t for kind, t in driver.told if kind == "fired"] == ["b"]
    assert all(target == "b" for _, target in driver.told)


def test_a_weaker_alert_of_the_same_kind_is_explained() -> None:
    """A target that does not run explains that its checks fail; that it is slow, too, is told."""
    driver = Driver({"both": (), "web": ()})
    driver.see("both", "down")
    assert [(c.alert.rule, c.reason) for c in driver.changes if c.kind.value == "fired"] == [
        ("down", ""), ("weak", "inhibited"),
    ]  # fmt: skip
    driver.see("web", "down")
    verdict = Verdict.firing("slow")
    driver._note(driver.engine.judge(("slow", "web"), verdict, driver.moment))
    assert driver.told == [("fired", "both"), ("fired", "web"), ("fired", "web")]


def test_a_silence_suppresses_and_its_end_releases() -> None:
    """What matches fires untold, saying who silenced it; when the silence ends it is told."""
    driver = Driver({"web": (), "api": ()})
    now = driver.moment.wall
    driver.quiet.put(
        [
            Silence(
                matchers=parse_all(["target=w*"]), starts_at=now,
                ends_at=now + timedelta(hours=1), created_by="ann", comment="work",
            )
        ]
    )  # fmt: skip
    driver.see("web", "down")
    driver.see("api", "down")
    assert driver.told == [("fired", "api")]
    (why,) = {c.why for c in driver.changes if c.reason == "silenced"}
    assert why.startswith("silenced by ann until ")
    assert why.endswith(": work")
    driver.wait(3599)
    assert ("released", "web") not in driver.told
    driver.wait(3)
    assert driver.told.count(("released", "web")) == 1


def test_a_maintenance_window_suppresses_while_it_is_open() -> None:
    """From its start for its duration, by the calendar; then what still fires is told."""
    driver = Driver({"web": ()})
    opens = driver.moment.wall + timedelta(minutes=10)
    driver.quiet.windows = (
        Window(name="night", schedule=f"{opens.minute} {opens.hour} * * *", duration=1800.0),
    )
    driver.wait(11 * 60)
    driver.see("web", "down")
    assert driver.untold("maintenance") == [("fired", "web")]
    driver.wait(1800)
    assert driver.told == [("released", "web")]


def test_a_removed_target_resolves_its_alerts() -> None:
    """Whoever was told hears that the target is gone."""
    driver = Driver({"web": ()})
    driver.see("web", "down")
    driver._note(driver.engine.drop("web", driver.moment))
    assert driver.told == [("fired", "web"), ("resolved", "web")]
    assert driver.changes[-1].alert.resolution == "the target was removed"


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


def test_a_reload_takes_a_shorter_cooldown_over() -> None:
    """An alert that fires is repeated by the cooldown that holds now, though nothing new is
    seen."""
    rules = book()
    driver = Driver({"web": ()}, rules)
    driver.see("web", "degraded")
    short = evolve(rules.rules["slow"], policy=Policy(cooldown=60.0))
    driver.engine.configure(evolve(rules, rules={**rules.rules, "slow": short}), driver.moment)
    driver.wait(61)
    assert driver.told == [("fired", "web"), ("repeated", "web")]


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


def test_the_graph_survives_circles_and_changes() -> None:
    """Closures over any graph end, leave the target itself out, and follow changes."""
    graph = Graph()
    graph.put("a", ["b"])
    graph.put("b", ["c", "a"])
    graph.put("c", ["a", "c"])
    assert graph.above("a") == {"b", "c"}
    assert graph.below("a") == {"b", "c"}
    assert not graph.put("a", ["b"])
    assert graph.put("b", [])
    assert graph.above("a") == {"b"}
    assert graph.below("c") == frozenset()


def test_each_way_to_end_has_its_own_words() -> None:
    """A target, a rule or a check that is gone ends its alerts, and nothing has recovered."""
    ways: dict[str, Callable[[Driver], list[Transition]]] = {
        "it was removed": lambda d: d.engine.drop("web", d.moment, "it was removed"),
        "its rule was removed": lambda d: d.engine.configure(EMPTY, d.moment),
        "its checks were removed": lambda d: d.engine.put(Target(name="web"), None, {}, d.moment),
    }
    for words, end in ways.items():
        driver = Driver({"web": ()})
        driver.see("web", "down")
        driver._note(end(driver))
        last = driver.changes[-1]
        assert (last.kind.value, last.notify) == ("resolved", True)
        assert (last.alert.resolution, last.alert.recovered) == (words, False)


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


REPLICAS = {f"api{n}": "shop/api" for n in (1, 2, 3)}


def replicated(**above: tuple[str, ...]) -> Driver:
    """Three replicas of a service, and a target that depends on one of them by name."""
    graph = {**dict.fromkeys(REPLICAS, ()), "web": ("api1",), **above}
    return Driver(graph, services=REPLICAS)


@pytest.mark.parametrize("acknowledged", [False, True])
def test_one_replica_explains_nothing_while_another_serves(acknowledged: bool) -> None:
    """Whichever of them is down, acknowledged or not, and pending or firing: who depends on the
    service is told, and is not named as affected."""
    for name in REPLICAS:
        driver = replicated(top=("web",))
        driver.see(name, "down")
        if acknowledged:
            driver.engine.table.acknowledge(driver.alert(name), "ann", "", driver.moment)
        assert driver.engine.inhibition.affected(name) == ()
        for other in ("web", "top"):
            driver.see(other, "down")
        assert driver.told == [("fired", name), ("fired", "web")]


def test_a_service_explains_what_depends_on_it_once_no_replica_serves() -> None:
    """Then all that depend on any of them are affected; they are told as one of them serves again
    and they are down still."""
    driver = replicated(**{"job": ("api3",)})
    for name in (*REPLICAS, "web", "job"):
        driver.see(name, "down")
    assert driver.told == [("fired", name) for name in REPLICAS]
    assert {driver.engine.inhibition.affected(name) for name in REPLICAS} == {("job", "web")}
    driver.wait(100)
    driver.see("api2", "up")
    assert driver.engine.inhibition.affected("api1") == ()
    driver.see("job", "up")
    driver.wait(61)
    assert driver.told[3:] == [("resolved", "api2"), ("released", "web")]


def test_replicas_that_were_down_one_after_the_other_explain_nothing() -> None:
    """One of them served all the time, though each has been down within the grace."""
    driver = replicated()
    for name in REPLICAS:
        driver.see(name, "down")
        driver.wait(5)
        driver.see(name, "up")
    driver.see("api1", "down")
    driver.see("web", "down")
    assert driver.told[-1] == ("fired", "web")


def test_the_last_replica_that_may_be_going_down_is_waited_for() -> None:
    """While one is pending and all others are down, dependents wait which it is."""
    driver = replicated()
    for name in ("api1", "api2"):
        driver.see(name, "down")
    driver.engine.evaluator.rules = book(for_seconds=30.0)
    driver.see("api3", "down")
    driver.engine.evaluator.rules = book()
    driver.see("web", "down")
    assert driver.untold("held") == [("fired", "web")]
    driver.see("api3", "up")
    driver.see("web", "down")
    assert driver.told[2:] == [("released", "web")]


def test_a_replica_that_comes_or_goes_changes_what_explains() -> None:
    """A new one, scaled up, serves in place of those that are down; once it is removed, nothing
    does, and a target that fails then is explained."""
    driver = replicated(other=("api2",))
    for name in (*REPLICAS, "web"):
        driver.see(name, "down")
    driver.services = {**REPLICAS, "api4": "shop/api"}
    driver.put("api4")
    assert driver.told[3:] == [("released", "web")]
    driver.engine.drop("api4", driver.moment)
    driver.see("other", "down")
    assert driver.told[4:] == []


def test_a_service_that_is_a_target_speaks_for_its_instances() -> None:
    """Its failure explains that of its instances and of who depends on it, or on one of them; so
    does that of all of its instances; nobody is told of instances as affected."""
    services = dict.fromkeys(("api1", "api2"), "api")
    graph = {"api": ("db",), "db": (), "api1": ("api",), "api2": ("api",)}
    graph |= {"web": ("api",), "job": ("api1",)}
    driver = Driver(graph, services=services)
    affected = driver.engine.inhibition.affected
    assert (affected("api"), affected("db")) == (("job", "web"), ("api", "job", "web"))
    for name in ("api", "api1", "web", "job"):
        driver.see(name, "down")
    assert driver.told == [("fired", "api")]
    driver = Driver(graph, services=services)
    for name in ("api1", "web"):
        driver.see(name, "down")
    assert driver.told == [("fired", "api1"), ("fired", "web")]
    driver = Driver(graph, services=services)
    for name in ("api1", "api2", "web", "job"):
        driver.see(name, "down")
    assert driver.told == [("fired", "api1"), ("fired", "api2")]
    assert driver.engine.inhibition.affected("api1") == ("job", "web")


@frozen(kw_only=True)
class Some(Rule):
    """Whatever is not up has some instance that is not."""

    explained_by_down = True

    def evaluate(self, history: History, now: datetime) -> Verdict:
        """By any check."""
        bad = any(o.result.status is not Status.UP for o in history.latest.values())
        return Verdict.firing("some are down") if bad else Verdict.clear()


def test_that_some_replicas_are_down_explains_nothing_and_is_explained_by_all() -> None:
    """A target that depends on the service fails for a reason of its own; once none serves, that
    one alert is told."""
    some = BoundRule(name="some", rule=Some(), plugin="p", policy=Policy())
    rules = evolve(book(), rules={"down": book().rules["down"], "some": some})
    driver = Driver({"api": (), "web": ("api",)}, rules)
    driver.see("api", "degraded")
    assert driver.alert("api", "some").phase is Phase.FIRING
    driver.see("web", "down")
    assert driver.told == [("fired", "api"), ("fired", "web")]
    driver.see("api", "down")
    suppression = driver.alert("api", "some").suppression
    assert suppression is not None
    assert suppression.message == "down on api explains it"


def test_replicas_do_not_explain_each_other() -> None:
    """Not even in a circle of dependencies: each that is down is told."""
    driver = Driver({"api1": ("web",), "api2": (), "web": ("api2",)}, services=REPLICAS)
    for name in ("api1", "api2"):
        driver.see(name, "down")
    assert driver.told == [("fired", "api1"), ("fired", "api2")]
    assert driver.engine.inhibition.affected("api1") == ("web",)


@pytest.mark.parametrize("severity", list(Severity))
def test_severities_rise_by_one(severity: Severity) -> None:
    """Info, warning, critical; critical stays."""
    assert severity.raised().rank == min(2, severity.rank + 1)


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
