"""The fuzz harness: its judge sees what it is there for, and a short run of each kind is clean."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from attrs import evolve

from tests.faults.results import Commit
from tests.fuzz.block import Block, case_of, run_block
from tests.fuzz.inputs import secret
from tests.fuzz.judge import Judge
from tests.fuzz.kinds import all_kinds
from tests.fuzz.results import Results, table
from tocsin.core.logs import get_logger

CASES = {"requests": 200, "containers": 200}


@pytest.mark.fuzz
@pytest.mark.parametrize("kind", list(all_kinds()))
def test_a_short_run_finds_nothing(kind: str) -> None:
    """No traceback, no callback of over a second's CPU, no planted secret in what comes out. ``make
    fuzz`` holds callbacks to 100 ms; beside other tests they take longer."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        block = pool.submit(run_block, kind, 1, 0, CASES.get(kind, 500)).result()
    wrong = (block.error, block.tracebacks, block.longest_ms > 1000, block.leaks)
    assert wrong == (None, 0, False, 0), "\n".join(
        f"case {n}: {text}" for n, text in block.findings
    )


def judged(work: object) -> list[str]:
    """What the judge says of a callback."""
    judge = Judge()

    async def run() -> None:
        asyncio.get_running_loop().call_soon(work)  # type: ignore[arg-type]
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    with judge.watching():
        asyncio.run(run())
        return [finding.what for finding in judge.take()]


def test_the_judge_sees_a_slow_callback() -> None:
    """It counts the CPU of the loop's thread, not the time: a callback that sleeps is not slow."""

    def busy() -> None:
        until = time.thread_time() + 0.15
        while time.thread_time() < until:
            pass

    assert judged(busy) == ["slow"]
    assert judged(lambda: time.sleep(0.15)) == []


def test_the_judge_sees_tracebacks_and_failures_in_the_log() -> None:
    """A log record with a traceback, by structlog or by logging, and one of a failed plugin."""
    log = get_logger("x")
    for told in (
        lambda: logging.getLogger("x").error("Task exception", exc_info=ValueError("y")),
        lambda: log.warning("odd", exc_info=ValueError("y")),
        lambda: log.error("a source ended", reason="raised ValueError"),
    ):
        assert judged(told) == ["traceback"]
    assert judged(lambda: log.error("the engine is away")) == []


def test_the_judge_sees_planted_secrets() -> None:
    """In the log and in whatever comes out, in any case of letters."""
    from random import Random

    value = secret(Random(1))
    assert judged(lambda: get_logger("x").info("hello", text=value)) == ["leak"]
    judge = Judge()
    judge.out("page", f"it says {value.upper()}")
    judge.out("page", "it says ***")
    assert [finding.what for finding in judge.take()] == ["leak"]
    assert judge.take() == []


@pytest.mark.parametrize("name", list(all_kinds()))
def test_a_case_can_be_had_again(name: str) -> None:
    """The same kind, seed and number make the same case; others make others."""
    kind = all_kinds()[name]()
    cases = [repr(case_of(kind, 1, number)) for number in range(30)]
    assert cases == [repr(case_of(kind, 1, number)) for number in range(30)]
    assert len(set(cases)) > 20
    assert cases != [repr(case_of(kind, 2, number)) for number in range(30)]


def test_what_a_commit_has_run_is_not_run_again_and_sums(tmp_path: Path) -> None:
    """Blocks of a clean commit are done; those of another, of a changed tree, or in error are not.
    The table sums."""
    file = tmp_path / "r/results.jsonl"
    here, other, dirty = Commit("a", False), Commit("b", False), Commit("a", True)
    block = Block(kind="labels", seed=1, begin=0, size=5000, parts=9000, leaks=2, longest_ms=7.5,
                  seconds=2.0, findings=((3, "leak: x"),))  # fmt: skip
    Results(file, here).add(block)
    Results(file, dirty).add(evolve(block, begin=5000))
    Results(file, here).add(evolve(block, begin=10_000, error="it broke"))
    Results(file, here).add(evolve(block, begin=15_000, longest_ms=120.4))
    results = Results(file, here)
    assert [results.is_done(("labels", 1, b, 5000)) for b in (0, 5000, 10_000, 15_000)] == [
        True, False, False, True,
    ]  # fmt: skip
    assert not Results(file, other).blocks
    assert not results.is_good()
    assert Results(file, other).is_good()
    row = table(results.blocks.values()).splitlines()[-1].split()
    assert row[:8] == ["all", "10000", "18000", "0", "0", "6", "120", "1"]
