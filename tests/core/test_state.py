"""What has changed, by number."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from attrs import evolve

from tocsin.core import state as module
from tocsin.core.contracts.model import Observation, Result, Target
from tocsin.core.state import CheckState, LiveState
from tocsin.testing import SettableClock


@pytest.fixture
def live(clock: SettableClock) -> LiveState:
    """Three targets with a check each."""
    made = LiveState()
    for name in "abc":
        made.put(Target(name=name), declared=True, source=None, at=clock.now())
        made.put_check(CheckState(target=name, name="tcp", probe="tcp", interval=30))
    return made


def changed(live: LiveState, number: int) -> set[str]:
    """Names of targets that changed after a number."""
    return {state.target.name for state in live if state.revision > number}


def test_every_change_has_a_number(live: LiveState, clock: SettableClock) -> None:
    """Results, new words of the configuration, checks that come and go: each marks its target, and
    what changes nothing marks none."""
    steps: dict[str, Callable[[], object]] = {
        "a": lambda: live.record(
            Observation(target="a", check="tcp", at=clock.now(), result=Result.up())
        ),
        "b": lambda: live.put(
            evolve(live.targets["b"].target, critical=True),
            declared=True, source=None, at=clock.now(),
        ),
        "c": lambda: live.drop_check("c", "tcp"),
    }  # fmt: skip
    for name, step in steps.items():
        number = live.revision
        step()
        assert changed(live, number) == {name}
    number = live.revision
    live.put(live.targets["b"].target, declared=True, source=None, at=clock.now())
    live.drop_check("c", "tcp")
    live.drop("nobody")
    live.record(Observation(target="c", check="tcp", at=clock.now(), result=Result.up()))
    assert live.revision == number
    live.put_check(CheckState(target="c", name="http", probe="http", interval=30))
    assert changed(live, number) == {"c"}


def test_checks_that_come_and_go_are_news(live: LiveState) -> None:
    """A new check and one that is dropped are news; the same check put again is not, nor one that
    is not there dropped."""
    assert live.put_check(CheckState(target="a", name="http", probe="http", interval=30))
    assert not live.put_check(CheckState(target="a", name="http", probe="http", interval=60))
    assert live.drop_check("b", "tcp")
    assert not live.drop_check("b", "tcp")


def test_removals_are_remembered(live: LiveState, clock: SettableClock) -> None:
    """Who knows an earlier number learns who went since; one that became another kind went, too."""
    start = live.revision
    live.drop("a")
    middle = live.revision
    live.put(Target(name="b", kind="container"), declared=True, source=None, at=clock.now())
    assert live.removed_since(start) == ["a", "b"]
    assert live.removed_since(middle) == ["b"]
    assert live.removed_since(live.revision) == []
    assert live.removed_since(live.revision + 1) is None
    assert changed(live, middle) == {"b"}


def test_the_memory_of_removals_is_bounded(
    live: LiveState, clock: SettableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past its bound the oldest removals are forgotten, and who would need them is told so."""
    monkeypatch.setattr(module, "REMOVED_KEPT", 5)
    start = live.revision
    for n in range(20):
        live.put(Target(name=f"t{n}"), declared=True, source=None, at=clock.now())
        live.drop(f"t{n}")
        if n == 14:
            late = live.revision
    assert live.removed_since(start) is None
    assert live.removed_since(late) == [f"t{n}" for n in range(15, 20)]
    assert live.removed_since(late - 1) is None


def test_two_states_are_told_apart() -> None:
    """A number of an earlier run means nothing in the next one."""
    assert LiveState().epoch != LiveState().epoch
