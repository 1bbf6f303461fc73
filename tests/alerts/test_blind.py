"""What cannot be seen: what freezes an alert, and how long a frozen one explains others."""

from __future__ import annotations

from tests.alerts.driver import Driver
from tocsin import Severity
from tocsin.core.alerts.inhibition import PATIENCE
from tocsin.core.alerts.model import Policy
from tocsin.core.alerts.rule_set import BoundRule, RuleSet
from tocsin.plugins.rules.down import DownRule, Of

GRAPH = {"db": (), "api": ("db",)}


def failing() -> RuleSet:
    """The rule that comes with tocsin, at the first failure."""
    rule = DownRule(of=Of.CHECKS)
    policy = Policy(severity=Severity.CRITICAL)
    down = BoundRule(name="down", rule=rule, plugin="down", policy=policy)
    return RuleSet(rules={"down": down}, overrides={}, own={})


def test_a_check_that_is_unknown_for_ever_freezes_nothing() -> None:
    """A database whose backup check can never tell: when its query is back, its recovery is told,
    and who depends on it is told of from then on."""
    driver = Driver(GRAPH, failing(), "query", "backup")
    driver.see("db", "unknown", "backup")
    driver.see("db", "down", "query")
    driver.see("db", "unknown", "backup")
    driver.wait(60)
    driver.see("db", "up", "query")
    assert driver.told == [("fired", "db"), ("resolved", "db")]
    driver.wait(100)
    driver.see("db", "unknown", "backup")
    driver.see("api", "down", "query")
    assert driver.told[2:] == [("fired", "api")]


def test_a_root_that_cannot_be_seen_any_more_explains_others_for_a_while() -> None:
    """Down when it was last seen: what depends on it waits whether it is seen again; then it is
    told. Seen to be down again, it explains them again, and they are not repeated."""
    driver = Driver(GRAPH, failing(), "query")
    driver.see("db", "down", "query")
    driver.see("api", "down", "query")
    driver.wait(300)
    driver.see("db", "unknown", "query")
    driver.wait(PATIENCE - 1)
    assert driver.told == [("fired", "db")]
    driver.wait(2)
    assert driver.told == [("fired", "db"), ("released", "api")]
    driver.see("db", "down", "query")
    driver.wait(800)
    driver.see("api", "down", "query")
    driver.wait(200)
    assert [told for told in driver.told if told[1] == "api"] == [("released", "api")]
    assert driver.untold("inhibited")[-1] == ("suppressed", "api")


def test_a_new_failure_under_a_root_not_seen_for_long_is_told() -> None:
    """However long the root has been frozen, it hides nothing that fails after that while."""
    driver = Driver(GRAPH, failing(), "query")
    driver.see("db", "down", "query")
    driver.see("db", "unknown", "query")
    driver.wait(PATIENCE + 1)
    driver.see("api", "down", "query")
    assert driver.told == [("fired", "db"), ("fired", "api")]


def test_after_an_outage_the_root_may_be_the_last_to_be_seen() -> None:
    """Nothing was seen for an hour. Its dependents are seen first, still down: they wait, and when
    the root is seen to be down, too, nothing was told; where it is not, they are told."""
    for seen in (True, False):
        driver = Driver(GRAPH, failing(), "query")
        for status in ("down", "unknown"):
            for target in GRAPH:
                driver.see(target, status, "query")
            driver.wait(600)
        driver.wait(3000)
        driver.see("api", "down", "query")
        driver.wait(PATIENCE - 20)
        assert driver.told == [("fired", "db")]
        if seen:
            driver.see("db", "down", "query")
        driver.wait(60)
        assert (("released", "api") in driver.told) is not seen
