"""Replicas and services: what explains the alerts of others."""

from __future__ import annotations

from datetime import datetime

import pytest
from attrs import evolve, frozen

from tests.alerts.driver import Driver, book
from tocsin import History, Rule, Status, Verdict
from tocsin.core.alerts.model import Phase, Policy
from tocsin.core.alerts.rule_set import BoundRule

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
