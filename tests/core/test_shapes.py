"""What plugins hand over: what is wrong is left out or refused, and the plugin is named."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from attrs import evolve, frozen

import tocsin
from tests.conftest import eventually
from tests.contexts import contexts
from tests.core.test_sources import Harbour, Harness
from tests.core.test_sources import harness as harness
from tocsin import Container, Event, LogLine, Reason, Receipt, Result, Status, Target, Verdict
from tocsin.core.checks.intake import Intake
from tocsin.core.contracts.rule import VerdictState
from tocsin.core.encoding import encode
from tocsin.core.http.views import target_view
from tocsin.core.plugin import sandbox as isolation
from tocsin.core.plugin.sandbox import PluginFault
from tocsin.core.shapes import (
    fit_event,
    fit_receipt,
    fit_result,
    fit_target,
    fit_time,
    fit_verdict,
)
from tocsin.core.shapes.look import MOST_METRICS
from tocsin.core.shapes.sources import fit_names

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HUGE = 10**400
FACTS = Container(id="1", image="i", state="running", reason=Reason.RUNNING)


def changed(given: Any, **fields: Any) -> Any:
    """The same with other fields, of whatever type."""
    return evolve(given, **fields)


class Hostile(Mapping[str, Any]):
    """A table that raises, or never ends."""

    def __init__(self, endless: bool = False) -> None:
        self.endless = endless

    def __getitem__(self, key: str) -> Any:
        return 1.0

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[str]:
        if not self.endless:
            raise RuntimeError("not today")
        number = 0
        while True:
            number += 1
            yield f"m{number}"


@pytest.mark.parametrize("value", ["12", [1], None, HUGE, float("nan"), float("inf"), {}, b"1", 2j])
def test_a_metric_that_is_no_number_is_left_out(value: Any) -> None:
    """The others and the status stay: the alarm rings all the same, and the reason names it."""
    result, wrong = fit_result(Result.down("gone", metrics={"bad": value, "good": 2.5}))
    assert (result.status, result.metrics) == (Status.DOWN, {"good": 2.5})
    assert "bad" in str(wrong)


def test_a_number_of_another_library_becomes_one_of_ours() -> None:
    """What counts as a real number is one; so is true, as it was before."""
    from fractions import Fraction

    result, wrong = fit_result(Result.up("", metrics={"half": Fraction(1, 2), "yes": True}))
    assert (result.metrics, wrong) == ({"half": 0.5, "yes": 1.0}, None)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("message", 5), ("message", None), ("latency", "1"), ("latency", float("nan")),
        ("latency", HUGE), ("latency", -1), ("metrics", None), ("metrics", [1]),
        ("metrics", {5: 1.0}), ("metrics", {"x" * 300: 1.0}), ("metrics", Hostile(endless=True)),
        ("metrics", {f"m{n}": 1.0 for n in range(MOST_METRICS + 1)}), ("attributes", [1]),
        ("attributes", {f"a{n}": n for n in range(10_000)}),
    ],
)  # fmt: skip
def test_a_part_that_is_wrong_costs_only_itself(field: str, value: Any) -> None:
    """Whatever stands in a field, the result can be shown, and the clause names the field."""
    result, wrong = fit_result(evolve(Result.down("gone"), **{field: value}))
    assert result.status is Status.DOWN
    assert field in str(wrong)
    json.loads(encode(result))
    assert len(result.metrics) <= MOST_METRICS


@pytest.mark.parametrize(
    "given",
    [
        None, "up", 5, changed(Result.up(), status="up"), changed(Result.up(), status=None),
        changed(Result.up(), metrics=Hostile()), changed(Result.up(), attributes=Hostile()),
        changed(Result.up(), container="c1"),
        changed(Result.up(), container=changed(FACTS, reason="up")),
        Result.__new__(Result),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_a_fault(given: Any) -> None:
    """No result, a status of another type, a table that raises, an object that was never made."""
    with pytest.raises(PluginFault):
        fit_result(given)


def test_a_containers_facts_are_of_their_types() -> None:
    """Texts, times and ports of a container that are something else are left out."""
    facts = Container(
        id=5, image=None, state="running", reason=Reason.RUNNING,  # type: ignore[arg-type]
        created_at=NOW.replace(tzinfo=None),
        started_at="now", ports=["80"], oom_killed="no", project=7,  # type: ignore[arg-type]
    )  # fmt: skip
    result, wrong = fit_result(Result.up("ok", container=facts))
    assert result.container is not None
    json.loads(encode(result))
    assert (result.container.created_at, result.container.ports) == (None, ())
    assert "id 5" in str(wrong)


def test_data_of_any_size_and_kind_becomes_json() -> None:
    """Huge numbers, bytes, objects without words, what contains itself, megabytes of text."""

    class Mute:
        def __str__(self) -> str:
            raise RuntimeError("no words")

    loop: dict[str, Any] = {}
    loop["self"] = loop
    attributes = {
        "huge": HUGE, "deep": [{"n": HUGE}], "loop": loop, "mute": Mute(), "bytes": b"\xff",
        "text": "x" * 5_000_000, 5: "five", "nan": float("nan"), "more": ["y" * 50_000] * 50_000,
    }  # fmt: skip
    result, _ = fit_result(Result.up("", attributes=attributes))
    assert len(msgspec.json.encode(dict(result.attributes))) < 3_000_000


def test_a_secret_as_a_message_is_not_shown() -> None:
    """A text of a type of its own is what it shows."""
    result, _ = fit_result(Result.up(tocsin.Secret("hunter2")))
    assert (type(result.message), result.message) == (str, "***")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("message", 5), ("details", "no"), ("rule_state", [1]), ("recheck_after", "5"),
        ("recheck_after", float("nan")), ("recheck_after", HUGE), ("recheck_after", -1),
        ("rule_state", {"x": ["y" * 1000] * 1000}),
    ],
)  # fmt: skip
def test_a_part_of_a_verdict_that_is_wrong_costs_only_itself(field: str, value: Any) -> None:
    """It fires all the same."""
    verdict, wrong = fit_verdict(evolve(Verdict.firing("it burns"), **{field: value}))
    assert verdict.state is VerdictState.FIRING
    assert wrong
    json.loads(encode(verdict))
    assert len(encode(verdict.rule_state)) < 70_000


def _nested(levels: int) -> dict[str, Any]:
    deep: dict[str, Any] = {"end": 1}
    for _ in range(levels - 1):
        deep = {"a": deep}
    return deep


def _endless() -> dict[str, Any]:
    itself: dict[str, Any] = {}
    itself["a"] = [itself]
    return itself


def test_data_may_have_twenty_levels() -> None:
    """What lies deeper is left out, and the plugin is blamed; also where it holds itself."""
    assert fit_result(Result.up("", attributes=_nested(20))) == (
        Result.up("", attributes=_nested(20)), None
    )  # fmt: skip
    for given in (_nested(21), _nested(100_000), _endless()):
        result, wrong = fit_result(Result.up("", attributes=given))
        assert wrong == "gave a result with attributes of more than 20 levels"
        assert len(encode(result.attributes)) < 200


@pytest.mark.parametrize(
    "state", [{"much": "x" * 64_001}, _nested(21), {str(n): n for n in range(6000)}]
)
def test_a_rule_never_gets_back_a_part_of_its_state(state: dict[str, Any]) -> None:
    """A state that does not fit is dropped, and the plugin is blamed."""
    verdict, wrong = fit_verdict(Verdict.rising("", rule_state=state))
    assert verdict.rule_state == {}
    assert wrong is not None
    assert "rule_state" in wrong


@pytest.mark.parametrize("given", [None, "firing", changed(Verdict.clear(), state="firing")])
def test_a_verdict_that_is_none_is_a_fault(given: Any) -> None:
    """No verdict, or a state of another type."""
    with pytest.raises(PluginFault):
        fit_verdict(given)


def test_a_rule_is_asked_again_no_sooner_than_after_a_second() -> None:
    """Where that is asked for, and where the rule wants it at once."""
    assert fit_verdict(Verdict.rising("", recheck_after=0.0), 1.0)[0].recheck_after == 1.0
    assert fit_verdict(Verdict.rising("", recheck_after=5.0), 1.0)[0].recheck_after == 5.0


@pytest.mark.parametrize("reference", [5, "x" * 5000, "a\nb", [1], ""])
def test_a_reference_is_a_short_text(reference: Any) -> None:
    """What else a receipt names the message by is left out; it was delivered all the same."""
    receipt, wrong = fit_receipt(Receipt(answer=5, reference=reference))  # type: ignore[arg-type]
    assert (receipt.answer, receipt.reference) == ("", None)
    assert "reference" in str(wrong)


@pytest.mark.parametrize("name", [5, None, "", "a/b", "x" * 300, ["a"]])
def test_a_target_without_a_name_is_refused(name: Any) -> None:
    """A name is text of bounded length, without a slash; nothing can be watched without."""
    with pytest.raises(PluginFault, match="called a target"):
        fit_target(Target(name=name))
    with pytest.raises(PluginFault, match="called a target"):
        fit_event(Event(target=name, source="s", action="die", at=NOW), NOW)


def test_a_target_is_what_is_left_of_it() -> None:
    """Kind, dependencies, expectations and labels of other types are left out."""
    target, wrong = fit_target(
        Target(name="a\nb", kind=5, critical="yes", depends_on="web",  # type: ignore[arg-type]
               expected={"x": "y"}, labels={"a": 1, "b": "c"})  # type: ignore[dict-item]
    )  # fmt: skip
    assert target == Target(name="a�b", labels={"b": "c"})
    assert "kind" in str(wrong)
    for service in (["x"], "", "a\x1b[31m", "x" * 300, 5):
        target, wrong = fit_target(Target(name="a", service=service))  # type: ignore[arg-type]
        assert target.service is None
        assert "service" in str(wrong)


def test_a_name_that_cannot_be_costs_an_inventory_that_name_alone() -> None:
    """The others are there, and what is wrong is said."""
    names, wrong = fit_names(["a", "b/c", 5, "d"])
    assert names == {"a", "d"}
    assert "b/c" in str(wrong)


def test_an_event_and_a_time_are_looked_at() -> None:
    """A time without a zone, of a far future or past is now."""
    event, wrong = fit_event(
        Event(target="web", source=5, action="x" * 500, at=NOW.replace(tzinfo=None),  # type: ignore[arg-type]
              attributes=5), NOW  # type: ignore[arg-type]
    )  # fmt: skip
    assert (event.source, len(event.action), event.at) == ("", 100, NOW)
    assert wrong
    for odd in (datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC), "now", None):
        assert fit_time(odd, NOW) is NOW
    assert fit_time(NOW - timedelta(days=1), NOW) == NOW - timedelta(days=1)


async def test_what_a_source_hands_over_is_named_and_the_api_answers(harness: Harness) -> None:
    """Targets called by numbers, with texts for numbers, results that are none: the good target
    is watched, the plugin is failed with the reason, and every page can be made."""

    @frozen(kw_only=True)
    class Odd(Harbour):
        """Hands over all it can think of."""

        async def run(self, name: str, interval: float, sink: tocsin.Sink) -> None:
            def tell() -> None:
                wrong: Any = 5
                sink.discovered(Target(name=wrong))
                sink.discovered(wrong)
                sink.discovered(Target(name="odd", expected={"a": wrong, "b": float("nan")},
                                       depends_on=wrong, labels=wrong), wrong, wrong)  # fmt: skip
                sink.discovered(Target(name="ship", kind="container"))
                sink.observed(wrong, Result.up())
                sink.observed("ship", wrong)
                sink.observed("ship", Result.up("", metrics={"a": wrong, "b": HUGE, "c": "text"}),
                              wrong)  # fmt: skip
                sink.happened(wrong)
                sink.retired(wrong, wrong)
                sink.impaired(wrong)
                sink.synced(["ship", "odd"])
                sink.synced(wrong)

            await asyncio.to_thread(tell)
            await asyncio.sleep(3600)

        async def logs(self, target: str, lines: int) -> list[LogLine]:
            return ["no", 5][:lines]  # type: ignore[return-value]

        async def inspect(self, target: str) -> Mapping[str, Any]:
            return 5  # type: ignore[return-value]

    await harness.use(Odd())
    await eventually(lambda: "ship" in harness.state.targets)
    await eventually(lambda: harness.plugins.records[0].status == "failed")
    assert "source docker" in str(harness.plugins.records[0].reason)
    await eventually(lambda: harness.state.targets["ship"].last_seen)
    assert harness.state.targets["ship"].checks["docker"].last is not None
    assert set(harness.state.targets) == {"ship", "odd"}
    for state in harness.state:
        json.loads(encode(target_view(state)))
    for act in (harness.supervisor.logs("ship", 2), harness.supervisor.inspect("ship")):
        with pytest.raises(tocsin.ActionError, match="plugin echo returned"):
            await act


async def test_a_source_that_tells_without_end_waits_and_leaves_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thread that tells in a loop is slowed down to its rate and named; everything else in the
    core's loop has its turn, little waits in memory, and the order is kept. When the run is over
    the thread is told so by an error."""
    from tocsin.core.checks import intake

    monkeypatch.setattr(intake, "BURST", 300.0)
    monkeypatch.setattr(intake, "FLOOD", 0.2)
    monkeypatch.setattr(intake, "PATIENCE", 0.01)
    blamed: list[str] = []
    taken: list[int] = []
    way = Intake(asyncio.get_running_loop(), blamed.append, lambda: None)
    ended: list[BaseException] = []

    def tell() -> None:
        number = 0
        try:
            while True:
                way.put(taken.append, number)
                number += 1
        except PluginFault as error:
            ended.append(error)

    thread = threading.Thread(target=tell, daemon=True)
    began = time.monotonic()
    thread.start()
    turns = 0
    while not blamed:
        await asyncio.sleep(0.001)
        turns += 1
    seconds = time.monotonic() - began
    assert len(way._calls) <= intake.ROOM
    assert taken == list(range(len(taken)))
    assert len(taken) <= 300 + intake.RATE * seconds + 1
    assert turns > 10
    assert "slowed down" in blamed[0]
    way.close()
    await asyncio.to_thread(thread.join, 5)
    assert len(ended) == 1


async def test_an_inventory_of_thousands_is_taken_in_at_once() -> None:
    """What is no flood is neither slowed down nor named; that its thread waits now and then is
    said at once, so that its thread is not taken to be blocked."""
    blamed: list[str] = []
    taken: list[int] = []
    waits: list[int] = []
    way = Intake(asyncio.get_running_loop(), blamed.append, lambda: waits.append(1))

    def tell() -> None:
        for number in range(5000):
            way.put(taken.append, number)

    await asyncio.to_thread(tell)
    await eventually(lambda: len(taken) == 5000)
    assert (taken, blamed) == (list(range(5000)), [])
    assert waits


async def test_a_thread_that_waits_is_not_a_blocked_lane() -> None:
    """A source whose loop stands still since the core is slow is not given up for that."""
    reports: list[object] = []
    guard = isolation.Isolation(frozenset(), lambda _, fault: reports.append(fault), contexts())
    plugin_thread = guard._threads["x"] = isolation.PluginThread("x")

    async def wait() -> None:
        plugin_thread._last_tick -= 60  # so long it has stood still
        guard.awaited("x")
        guard.inspect()

    await plugin_thread.call(wait, 5)
    assert (reports, plugin_thread._loop is None) == ([], False)
    await guard.stop()
