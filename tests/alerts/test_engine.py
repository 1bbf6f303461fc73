"""The engine: root causes, silences, starts, timers, targets that come and go."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from attrs import evolve

from tests.alerts.driver import TEN, Driver, book, star
from tocsin import Severity, Target, Verdict
from tocsin.core.alerts.graph import Graph
from tocsin.core.alerts.matchers import parse_all
from tocsin.core.alerts.model import Policy, Transition
from tocsin.core.alerts.rule_set import EMPTY
from tocsin.core.alerts.silences import Silence, Window


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


@pytest.mark.parametrize("severity", list(Severity))
def test_severities_rise_by_one(severity: Severity) -> None:
    """Info, warning, critical; critical stays."""
    assert severity.raised().rank == min(2, severity.rank + 1)
