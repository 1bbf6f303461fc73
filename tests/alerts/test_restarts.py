"""Restarts at any moment change nothing that people are told."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.alerts.driver import SCHEDULES, Driver, book
from tocsin import Severity
from tocsin.core.alerts.durable_clock import Anchor
from tocsin.core.alerts.engine import Engine
from tocsin.core.alerts.model import Policy
from tocsin.core.alerts.rule_set import BoundRule, RuleSet
from tocsin.core.journal.journal import Entry, Journal, Saved
from tocsin.core.monitor import Monitor, events
from tocsin.plugins.rules.down import DownRule, Of

pytestmark = pytest.mark.fuzz

TARGETS = ("db", "api", "web")
GRAPH = {"db": (), "api": ("db",), "web": ("api",)}
INTERVAL = 10.0
COOLDOWN = 120.0
"""Short, so that an hour of schedule holds waits, repeats, escalations, flaps and closings."""


def rules() -> RuleSet:
    return book(for_seconds=25.0, cooldown=COOLDOWN, escalate_after=2, severity=Severity.CRITICAL)


class Restarting(Driver):
    """A driver that can be killed: all that goes on is what the journal has."""

    def __init__(self, journal: Path, rules: RuleSet, *checks: str) -> None:
        super().__init__(GRAPH, rules, *checks)
        self.journal, self.rules = journal, rules

    def restart(self) -> None:
        """Write what the running tocsin would have written by now, through the real journal, and
        begin anew from it."""
        anchor = Anchor(boot="", monotonic=0.0, steady=self.now)
        saved = asyncio.run(_through(self.journal, self.entries, anchor))
        self.entries, self.monitor = [], Monitor()
        self.begin(self.rules, events.Started(saved, is_settled=False))

    def settle(self) -> None:
        """Every target was seen once since the start."""
        if not self.engine.muting.settled:
            self.handle(events.Settled(freeze=True))


async def _through(path: Path, entries: list[Entry], anchor: Anchor) -> Saved:
    journal = Journal(path)
    await journal.start()
    for entry in entries:
        journal.submit(entry)
    await journal.commit(Entry(anchor=anchor))
    await journal.stop()
    journal = Journal(path)
    saved = await journal.start()
    await journal.stop()
    return saved


statuses = st.lists(
    st.tuples(*(st.sampled_from(("up", "up", "down", "down", "unknown")) for _ in TARGETS)),
    min_size=5,
    max_size=40,
)


@settings(max_examples=SCHEDULES, deadline=None, suppress_health_check=list(HealthCheck))
@given(rounds=statuses, held=st.integers(1, 12), data=st.data())
def test_a_run_with_restarts_tells_what_one_without_tells(
    rounds: list[tuple[str, ...]], held: int, data: st.DataObject
) -> None:
    """The same results, once without and once with up to three restarts between two rounds: the
    same messages to the same targets in the same order, the same alerts in the end."""
    at = data.draw(st.lists(st.integers(0, len(rounds) - 1), max_size=3, unique=True))
    with tempfile.TemporaryDirectory() as directory:
        plain = Driver(GRAPH, rules())
        broken = Restarting(Path(directory) / "journal.db", rules())
        for number, seen in enumerate(rounds):
            if number in at:
                broken.restart()
            for _ in range(held):
                for driver in (plain, broken):
                    for target, status in zip(TARGETS, seen, strict=True):
                        driver.see(target, status)
                broken.settle()
                for driver in (plain, broken):
                    driver.wait(INTERVAL)
        for driver in (plain, broken):
            for target in TARGETS:
                driver.see(target, "up")
            driver.wait(10 * COOLDOWN)
    assert _words(broken) == _words(plain)
    assert broken.engine.alerts.keys() == plain.engine.alerts.keys()


def ours() -> RuleSet:
    """The rule that comes with tocsin, at the second failure, over two checks of each target."""
    policy = Policy(
        for_seconds=25.0, cooldown=COOLDOWN, escalate_after=2, severity=Severity.CRITICAL
    )
    rule = DownRule(of=Of.CHECKS, failures=2)
    down = BoundRule(name="down", rule=rule, plugin="down", policy=policy)
    return RuleSet(rules={"down": down}, overrides={}, own={})


CHECKS = ("ping", "query")

pairs = st.lists(
    st.tuples(
        *(st.sampled_from(("up", "up", "down", "down", "unknown")) for _ in TARGETS * len(CHECKS))
    ),
    min_size=5,
    max_size=10,
)


@settings(max_examples=SCHEDULES // 4, deadline=None, suppress_health_check=list(HealthCheck))
@given(rounds=pairs, held=st.integers(2, 14), data=st.data())
def test_checks_that_come_one_after_another_change_nothing_either(
    rounds: list[tuple[str, ...]], held: int, data: st.DataObject
) -> None:
    """Two checks a target, each of which may be unknown for as long as it likes, and nothing that
    changes while tocsin is away: after a restart the check that is heard first does not end what
    the other had begun, nor begin it anew."""
    at = data.draw(st.lists(st.integers(0, len(rounds) - 1), max_size=3, unique=True))
    with tempfile.TemporaryDirectory() as directory:
        plain = Driver(GRAPH, ours(), *CHECKS)
        broken = Restarting(Path(directory) / "journal.db", ours(), *CHECKS)
        for number, seen in enumerate([*rounds, *[("up",) * len(rounds[0])] * 2]):
            for time in range(held):
                if time == 1 and number in at:
                    broken.restart()
                for driver in (plain, broken):
                    results = iter(seen)
                    for target in TARGETS:
                        for check in CHECKS:
                            driver.see(target, next(results), check)
                broken.settle()
                for driver in (plain, broken):
                    driver.wait(INTERVAL)
        for driver in (plain, broken):
            driver.wait(10 * COOLDOWN)
    assert _words(broken) == _words(plain)
    assert _flaps(broken) == _flaps(plain)


def _flaps(driver: Driver) -> list[tuple[str, int]]:
    told = [c for c in driver.changes if c.kind.value == "resolved"]
    return [(c.alert.target, c.alert.flaps) for c in told]


def _words(driver: Driver) -> dict[str, list[str]]:
    """What was told of each target, in order; told late is told."""
    same = {"released": "fired"}
    return {
        target: [same.get(kind, kind) for kind, name in driver.told if name == target]
        for target in TARGETS
    }


def test_the_schedules_reach_what_they_are_to_test() -> None:
    """In a plain run of the kind above, waits, repeats, escalations, flaps and inhibitions occur:
    the property is not true for want of events."""
    driver = Driver(GRAPH, rules())
    kinds: Counter[str] = Counter()
    for down in (6, 60, 6, 6, 6, 6):
        for _ in range(down):
            for target in TARGETS:
                driver.see(target, "down")
            driver.wait(INTERVAL)
        for _ in range(3):
            for target in TARGETS:
                driver.see(target, "up")
            driver.wait(INTERVAL)
    driver.wait(10 * COOLDOWN)
    kinds.update(change.kind.value for change in driver.changes)
    kinds.update(change.reason for change in driver.changes if change.reason)
    wanted = {"pending", "fired", "repeated", "escalated", "reopened", "resolved", "inhibited",
              "closed"}  # fmt: skip
    assert wanted <= kinds.keys()


def test_an_engine_that_was_loaded_waits_for_its_rules() -> None:
    """Timers of an alert that nothing has been seen of since the start do nothing."""
    driver = Driver({"web": ()}, rules())
    driver.see("web", "down")
    driver.wait(30)
    (alert,) = driver.engine.alerts.values()
    fresh = Engine()
    fresh.configure(rules(), driver.moment)
    fresh.table.load([alert])
    driver.now += 10_000
    assert fresh.tick(driver.moment) == []
