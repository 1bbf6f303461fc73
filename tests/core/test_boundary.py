"""The boundary: what enters is clean from then on, whichever way it enters."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

import tocsin
from tests.conftest import eventually
from tests.core.test_sources import Harbour, Harness
from tests.core.test_sources import harness as harness
from tests.hidden import hide_only
from tocsin import Container, Event, LogLine, Observation, Reason, Result, Target, Verdict
from tocsin.core import boundary
from tocsin.core.alerts.engine import Engine
from tocsin.core.alerts.model import Alert, Moment
from tocsin.core.alerts.outbox import Decision, Row
from tocsin.core.boundary import (
    cleaned_event,
    cleaned_lines,
    cleaned_observation,
    cleaned_result,
    cleaned_verdict,
)
from tocsin.core.checks import source_supervisor as sources
from tocsin.core.clock import SystemClock
from tocsin.core.contracts.history_records import AlertRecord
from tocsin.core.contracts.message import Kind, Notice
from tocsin.core.contracts.rule import Severity
from tocsin.core.hiding import HIDDEN, know
from tocsin.core.history.records import cleaned
from tocsin.core.ids import new_id
from tocsin.core.journal.journal import Entry, Journal

SECRET = "Zx9kQ2vLm7-t0psecret"
NASTY = f"\x1b[31mpassword={SECRET}\x1b[0m \u202eno\0 {SECRET}"
AT = SystemClock().now()


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    hide_only(monkeypatch, {SECRET})


def is_clean(value: object) -> bool:
    """Whether neither the secret nor a harmful character is left anywhere."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    return SECRET not in text and not {"\x1b", "\u202e", "\0"} & set(text)


def test_an_ordinary_result_is_the_same_one() -> None:
    """What is clean costs no copy."""
    seen = Observation(
        target="web", check="http", at=AT,
        result=Result.up("200 OK in 12 ms", metrics={"total_seconds": 0.012}),
    )  # fmt: skip
    assert cleaned_observation(seen) is seen


def test_a_name_that_was_fit_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reload may make a secret of what was the name of a metric before."""
    hide_only(monkeypatch, ())
    result = Result.up(metrics={SECRET: 1.0})
    assert cleaned_result(result) is result
    know([SECRET])
    assert cleaned_result(result).metrics == {HIDDEN: 1.0}


def test_all_that_a_probe_says_is_cleaned() -> None:
    """Message, attributes in depth, names of metrics, what a container's labels say; numbers
    stay."""
    result = Result.down(
        NASTY, metrics={f"a\x1bb {SECRET}": 1.0},
        attributes={"output": NASTY, "deep": [{"token": "abc"}]},
        container=Container(id="1", image=f"reg/{SECRET}:1", state="running", project=NASTY,
                            service=NASTY, reason=Reason.RUNNING),
    )  # fmt: skip
    seen = cleaned_observation(Observation(target="web", check="c", at=AT, result=result)).result
    assert is_clean([seen.message, seen.metrics, seen.attributes, str(seen.container)])
    assert seen.attributes["deep"] == [{"token": "***"}]
    assert list(seen.metrics.values()) == [1.0]
    event = Event(target="web", source="s", action=NASTY, at=AT, attributes={"x": NASTY})
    clean = cleaned_event(event)
    assert is_clean([clean.action, clean.attributes])
    assert (clean.id, clean.at) == (event.id, event.at)


def test_a_huge_text_is_cut_before_it_is_looked_at() -> None:
    """A message of 50 MB costs no more than one of a few thousand characters."""
    began = time.thread_time()
    seen = cleaned_observation(
        Observation(target="a", check="c", at=AT, result=Result.down("password=" * 5_000_000))
    )
    assert len(seen.result.message) < 5000
    assert time.thread_time() - began < 2


def test_a_rules_words_are_cleaned_before_they_are_an_alert() -> None:
    """Message, details, and what it carries from one verdict to the next."""
    verdict = cleaned_verdict(
        Verdict.firing(NASTY, details={"a": {NASTY}}, rule_state={"b": NASTY})
    )
    assert is_clean([verdict.message, list(verdict.details["a"]), verdict.rule_state])
    engine = Engine()
    engine.judge(("r", "web"), Verdict.firing(NASTY, details={"a": NASTY}), Moment(1.0, AT))
    (alert,) = engine.alerts.values()
    assert is_clean([alert.message, alert.details])


async def test_what_a_source_says_is_cleaned_on_every_way(harness: Harness) -> None:
    """Names, reasons, results, events, log lines, documents, and errors of actions."""

    @frozen(kw_only=True)
    class Foul(Harbour):
        """Says all it can."""

        async def run(self, name: str, interval: float, sink: tocsin.Sink) -> None:
            sink.discovered(Target(name="sh\u202eip", kind="container"))
            sink.happened(Event(target="sh\u202eip", source=name, action="x", at=AT))
            sink.synced(["sh\u202eip"])
            sink.impaired(NASTY)
            await asyncio.sleep(3600)

        async def logs(self, target: str, lines: int) -> list[LogLine]:
            if lines == 1:
                raise tocsin.ActionError(NASTY, missing=True)
            return [LogLine(text=NASTY)] * lines

        async def inspect(self, target: str) -> Mapping[str, Any]:
            return {"Config": {"Env": ["A=b"], "Cmd": ["x", "--password", "abc"]}, "Said": NASTY}

    await harness.use(Foul())
    await eventually(lambda: "sh�ip" in harness.state.targets)
    await eventually(lambda: harness.supervisor.health()["source.docker"].message)
    assert is_clean(harness.supervisor.health()["source.docker"].message)
    assert [event.target for event in harness.executor.happenings] == ["sh�ip"]
    lines = await harness.supervisor.logs("sh�ip", 3)
    assert len(lines) == 3
    assert is_clean([line.text for line in lines])
    document = await harness.supervisor.inspect("sh�ip")
    assert is_clean(document)
    assert document["Config"] == {"Env": ["A=***"], "Cmd": ["x", "--password", "***"]}
    with pytest.raises(tocsin.ActionError) as caught:
        await harness.supervisor.logs("sh�ip", 1)
    assert caught.value.missing
    assert is_clean(str(caught.value))


def test_log_lines_are_bounded_one_by_one_and_in_all() -> None:
    """Forty lines of a megabyte, whatever source they come from: cut, and quick."""
    began = time.thread_time()
    shown = cleaned_lines([LogLine(text=f"{n} " + "password=x " * 90_000) for n in range(40)])
    assert time.thread_time() - began < 5
    assert [line.text.split()[0] for line in shown] == [str(n) for n in range(40)]
    assert all(len(line.text) < boundary.LONGEST_LINE + 60 for line in shown)
    assert "more characters" in shown[0].text
    many = cleaned_lines([LogLine(text=f"{n} " + "x" * 9_990) for n in range(1000)])
    assert sum(len(line.text) for line in many) <= boundary.MOST_OF_LOG + 100
    assert many[0].text == "… (earlier lines are left out)"
    assert many[-1].text.startswith("999 ")


def test_a_key_over_several_lines_is_hidden() -> None:
    """From its first line to its last."""
    texts = ["a", "-----BEGIN PRIVATE KEY-----", "MIIEvQ", "xyz", "-----END PRIVATE KEY-----", "b"]
    shown = [line.text for line in cleaned_lines([LogLine(text=text) for text in texts])]
    assert shown == ["a", "***", "***", "***", "***", "b"]


async def test_few_readers_of_logs_are_served_at_once(harness: Harness) -> None:
    """Many viewers who ask at once take no more memory than a few."""
    under_way: list[int] = [0, 0]
    go = asyncio.Event()

    @frozen(kw_only=True)
    class Slow(Harbour):
        """Counts who reads."""

        async def logs(self, target: str, lines: int) -> list[LogLine]:
            under_way[0] += 1
            under_way[1] = max(under_way)
            while not go.is_set():
                await asyncio.sleep(0.01)
            under_way[0] -= 1
            return []

    await harness.use(Slow())
    await eventually(lambda: "ship" in harness.state.targets)
    asked = [asyncio.create_task(harness.supervisor.logs("ship", 5)) for _ in range(20)]
    await eventually(lambda: under_way[0] == sources.READERS)
    go.set()
    await asyncio.gather(*asked)
    assert under_way[1] == sources.READERS


async def test_what_an_earlier_version_wrote_is_cleaned_when_it_is_read(tmp_path: Path) -> None:
    """The journal's alerts and rows, and rows of history; ids and times stay as they are."""
    alert = Alert(rule="r", target="web", message=NASTY, details={"a": NASTY}, since=1.0,
                  since_at=AT, comment=NASTY)  # fmt: skip
    notice = Notice(
        id=new_id(), alert=alert.id, kind=Kind.FIRED, rule="r", target="web", message=NASTY,
        severity=Severity.WARNING, at=AT, since=AT, details={"a": NASTY},
    )  # fmt: skip
    row = Row(alert=alert.id, channel="ops", transition="fired", at=AT, steady=1.0, answer=NASTY,
              decision=Decision.QUEUED, notice=notice)  # fmt: skip
    journal = Journal(tmp_path / "journal.db")
    await journal.start()
    await journal.submit(Entry(alerts=(alert,), rows=(row,)))
    await journal.stop()
    again = Journal(tmp_path / "journal.db")
    saved = await again.start()
    await again.stop()
    assert is_clean([str(saved.alerts), str(saved.rows)])
    assert (saved.alerts[0].id, saved.rows[0].id) == (alert.id, row.id)
    state = {"message": NASTY}
    stored = AlertRecord(
        id=new_id(), rule="r", target="t", severity="warning", message=NASTY,
        details={"a": NASTY}, created_at=AT, revision=3, state=state,
    )  # fmt: skip
    read = cleaned(stored)
    assert is_clean([read.message, dict(read.details)])
    assert (read.revision, read.state) == (3, state)


@pytest.mark.parametrize("wrong", [10**400, float("nan"), float("inf"), "5", [1], True])
def test_a_number_of_a_container_is_one(wrong: Any) -> None:
    """What an engine says in place of a number, or that no page could show, is left out."""
    facts = Container(
        id="a", image="i", state="running", reason=Reason.RUNNING,
        restart_count=wrong, exit_code=wrong, memory_limit_bytes=wrong,
    )  # fmt: skip
    seen = cleaned_result(Result.up("ok", container=facts)).container
    assert seen is not None
    assert (seen.restart_count, seen.exit_code, seen.memory_limit_bytes) == (0, None, None)
