"""A history of a third party: what it is passed and asked, and what becomes of its faults."""

from __future__ import annotations

import re
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, ClassVar

import pytest
from attrs import define, field, frozen

from tests.contexts import contexts
from tests.kept import no_history
from tocsin.core.config.settings import HistorySettings
from tocsin.core.contracts.model import AuditEntry, Health, Observation, Result
from tocsin.core.history import access as access_module
from tocsin.core.history.access import RETRY_SECONDS, HistoryAccess
from tocsin.core.history.plugin import HistoryPlugin, place_of
from tocsin.core.plugin.sandbox import Isolation
from tocsin.history import (
    HistoryBatch,
    HistoryContext,
    HistoryReader,
    HistoryRuntime,
    HistoryState,
    HistoryStore,
    HistoryUnavailable,
)
from tocsin.testing import SettableClock


@define
class Record:
    """What the history of a test was passed and is to do."""

    batches: list[HistoryBatch] = field(factory=list)
    refusals: list[Exception] = field(factory=list)
    opening: list[Exception] = field(factory=list)
    answer: Any = ()
    wrong_state: Any = None
    thread: int = 0
    closed: int = 0


class Runtime(HistoryRuntime):
    """Records batches; answers queries with one and the same."""

    def __init__(self, record: Record) -> None:
        self._record = record

    async def write(self, batch: HistoryBatch) -> None:
        self._record.thread = threading.get_ident()
        self._record.batches.append(batch)
        if self._record.refusals:
            raise self._record.refusals.pop(0)

    async def state(self) -> HistoryState:
        if isinstance(self._record.wrong_state, Exception):
            raise self._record.wrong_state
        state: HistoryState = self._record.wrong_state or HistoryState(
            status=Health.OK, is_readable=True, is_complete=True
        )
        return state

    async def audit(self, *_: Any, **__: Any) -> Any:
        if isinstance(self._record.answer, Exception):
            raise self._record.answer
        return self._record.answer

    async def close(self) -> None:
        self._record.closed += 1

    alerts = alert = alert_counts = notifications = events = results = chart = uptimes = audit
    availability = trends = unfinished = recent = audit

    def past(self, *_: Any) -> AsyncIterator[Any]:
        raise NotImplementedError


@frozen(kw_only=True)
class Recording(HistoryStore):
    """Record batches."""

    record: ClassVar[Record]

    def place(self) -> str:
        if isinstance(self.record.answer, Exception):
            raise self.record.answer
        return "a box \x1b[2J"

    async def open(self, context: HistoryContext) -> HistoryRuntime:
        if self.record.opening:
            raise self.record.opening.pop(0)
        return Runtime(self.record)

    async def open_reader(self, context: HistoryContext, hold: Callable[[], bool]) -> HistoryReader:
        raise HistoryUnavailable("not in a test")


@pytest.fixture
def record() -> Iterator[Record]:
    Recording.record = Record()
    yield Recording.record
    del Recording.record


@define
class Told:
    """What was reported about the plugin."""

    faults: list[str] = field(factory=list)
    works: list[str] = field(factory=list)


@pytest.fixture
def told() -> Told:
    return Told()


def access_of(clock: SettableClock, told: Told, inline: bool = True) -> HistoryAccess:
    isolation = Isolation(frozenset(["own"] * inline), lambda *_: None, contexts())
    settings = HistorySettings(name="recording", plugin="own", store=Recording())
    plugin = HistoryPlugin(
        settings, isolation, lambda _, reason: told.faults.append(reason), told.works.append
    )
    return HistoryAccess(plugin, clock)


@pytest.fixture
def history(clock: SettableClock, record: Record, told: Told) -> HistoryAccess:
    return access_of(clock, told)


def seen(clock: SettableClock, message: str = "ok") -> Observation:
    return Observation(target="web", check="http", at=clock.now(), result=Result.up(message))


def messages(batch: HistoryBatch) -> list[str]:
    return [r.result.message for r in batch.records if isinstance(r, Observation)]


async def test_what_is_stored_is_passed_in_batches(
    history: HistoryAccess, record: Record, clock: SettableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In order, each record once, in batches that do not hold the loop up; none for nothing."""
    monkeypatch.setattr(access_module, "BATCH_RECORDS", 2)
    for text in ("a", "b", "c"):
        history.write(seen(clock, text))
    await history.pass_on()
    await history.pass_on()
    assert [messages(batch) for batch in record.batches] == [["a", "b"], ["c"]]
    assert record.batches[0].id < record.batches[1].id


async def test_a_batch_that_is_refused_is_passed_again(
    history: HistoryAccess, record: Record, clock: SettableClock, told: Told
) -> None:
    """With the same id, after a while; health has the reason, and nobody is blamed."""
    record.refusals = [HistoryUnavailable("the disk is full")]
    history.write(seen(clock, "a"))
    await history.pass_on()
    history.write(seen(clock, "b"))
    await history.pass_on()
    assert len(record.batches) == 1
    health = history.health()
    assert (health.status, health.message) == (Health.DEGRADED, "the disk is full")
    clock.advance(RETRY_SECONDS)
    await history.pass_on()
    first, again, rest = record.batches
    assert first == again
    assert messages(rest) == ["b"]
    assert history.health().status is Health.OK
    assert told == Told()


async def test_a_fault_costs_one_batch(
    history: HistoryAccess, record: Record, clock: SettableClock, told: Told
) -> None:
    """The plugin is named with the reason, the loss is counted; the next batch is passed, and the
    plugin works again."""
    record.refusals = [KeyError("oops")]
    history.write(seen(clock, "a"))
    await history.pass_on()
    assert told.faults == ["failed in write(): it raised KeyError: 'oops'"]
    assert "plugin own failed in write(): it raised KeyError" in history.health().message
    history.write(seen(clock, "b"))
    await history.pass_on()
    assert [messages(batch) for batch in record.batches] == [["a"], ["b"]]
    assert told.works == ["own"]
    health = history.health()
    assert (health.status, health.details) == (Health.OK, {"records_dropped": 1})


async def test_what_comes_before_it_opens_waits(
    history: HistoryAccess, record: Record, clock: SettableClock, told: Told
) -> None:
    """A history that does not open is named and opened again; a query says why there is no
    answer."""
    record.opening = [OSError("no such device"), OSError("no such device")]
    await history.start()
    assert history.health().status is Health.DEGRADED
    with pytest.raises(
        HistoryUnavailable, match=r"plugin own failed in open\(\): it raised OSError: no such"
    ):
        await history.records(lambda past: past.audit(1, None), AuditEntry)
    history.write(seen(clock, "a"))
    await history.pass_on()
    assert [messages(batch) for batch in record.batches] == [["a"]]
    assert told.works == ["own"]
    await history.stop()


async def test_memory_is_bounded(
    history: HistoryAccess, record: Record, clock: SettableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While nothing is taken, the oldest records give way and are counted."""
    monkeypatch.setattr(access_module, "MOST_WAITING", 3)
    for text in "abcde":
        history.write(seen(clock, text))
    await history.pass_on()
    assert [messages(batch) for batch in record.batches] == [["c", "d", "e"]]
    assert history.health().details == {"records_dropped": 2}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("no list", "returned str, not a list"),
        ([1], "returned int in a list of AuditEntry"),
        (ZeroDivisionError("x"), "raised ZeroDivisionError: x"),
    ],
)
async def test_a_wrong_answer_is_a_fault(
    history: HistoryAccess, record: Record, told: Told, answer: Any, reason: str
) -> None:
    """The query is not answered, with the reason; the plugin is named."""
    record.answer = answer
    reason = f"failed in audit(): it {reason}"
    said = f"history cannot be read: the plugin own {reason}"
    with pytest.raises(HistoryUnavailable, match=re.escape(said)):
        await history.records(lambda past: past.audit(1, None), AuditEntry)
    assert told.faults == [reason]


async def test_a_refusal_is_no_fault(history: HistoryAccess, record: Record, told: Told) -> None:
    """The sentence of the history is passed on, without secrets."""
    record.answer = HistoryUnavailable("postgresql://u:hunter2-x@h/d is away")
    with pytest.raises(HistoryUnavailable) as caught:
        await history.records(lambda past: past.audit(1, None), AuditEntry)
    assert str(caught.value) == "postgresql://u:***@h/d is away"
    assert told == Told()


@pytest.mark.parametrize("wrong", [ValueError("x"), "fine"])
async def test_a_state_that_cannot_be_had_is_said(
    history: HistoryAccess, record: Record, told: Told, wrong: Any
) -> None:
    """Health names the plugin; nothing else fails."""
    await history.start()
    record.wrong_state = wrong
    await history.plugin.look()
    await history.plugin.look()
    assert told.works == []
    health = history.health()
    assert health.status is Health.DEGRADED
    assert health.message.startswith("the plugin own failed in state(): it r")
    assert not history.state.is_readable
    record.wrong_state = None
    await history.plugin.look()
    assert history.health().status is Health.OK
    assert history.state.is_complete
    await history.stop()


async def test_a_plugin_of_its_own_thread_keeps_history_too(
    clock: SettableClock, record: Record, told: Told
) -> None:
    """Its methods run in its thread, not in the loop of the checks."""
    history = access_of(clock, told, inline=False)
    await history.start()
    history.write(seen(clock, "a"))
    await history.stop()
    assert [messages(batch) for batch in record.batches] == [["a"]]
    assert record.thread != threading.get_ident()
    assert record.closed == 1
    await history.plugin.isolation.stop()


async def test_the_rest_is_passed_at_the_end(
    history: HistoryAccess, record: Record, clock: SettableClock,
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """What waits is passed once more before the history is closed; what is not taken is lost, and
    logged."""
    await history.start()
    record.refusals = [HistoryUnavailable("away")] * 2
    history.write(seen(clock))
    await history.stop()
    assert record.closed == 1
    # Another test of this process may have configured logging, which then does not print.
    logged = "".join(capfd.readouterr()) + caplog.text
    assert "it was not taken before the stop" in logged


async def test_without_a_history_nothing_is_kept(clock: SettableClock) -> None:
    """What is stored is dropped, and queries say so."""
    history = no_history(clock)
    await history.start()
    history.write(seen(clock))
    assert history.is_disabled
    with pytest.raises(HistoryUnavailable, match="no plugin keeps history"):
        await history.records(lambda past: past.audit(1, None), AuditEntry)
    assert history.health().status is Health.DISABLED
    await history.stop()


def test_where_history_is_kept_is_said_whatever_the_plugin_does(record: Record) -> None:
    """What runs the command goes on: a refusal is passed on, a fault names the plugin."""
    settings = HistorySettings(name="recording", plugin="own", store=Recording())
    assert place_of(settings) == "a box "
    for error, said in (
        (HistoryUnavailable("set BOX"), "set BOX"),
        (KeyError("x"), "the plugin own raised KeyError while its place() was called: 'x'"),
    ):
        record.answer = error
        with pytest.raises(HistoryUnavailable) as caught:
            place_of(settings)
        assert str(caught.value) == said
    with pytest.raises(HistoryUnavailable, match="no plugin keeps history"):
        place_of(HistorySettings())
