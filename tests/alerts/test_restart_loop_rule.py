"""The rule restart-loop: restarts within its window, and the count of the engine."""

from __future__ import annotations

from datetime import timedelta

import pytest
from attrs import evolve

from tests.alerts.observations import NOW, RUNNING, ago, container, past, seen, state
from tocsin import Event, Observation, Reason, Result
from tocsin.plugins.rules.restart_loop import RestartLoopRule


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
