"""A block of cases in a process of its own, so that what one leaves behind troubles no other."""

from __future__ import annotations

import asyncio
import gc
import io
import signal
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

from attrs import frozen

from tests.fuzz.judge import Finding, Judge, one_line, unraisable
from tests.fuzz.kinds import Kind, all_kinds
from tests.fuzz.world import only_loopback
from tests.store.helpers import NOWHERE
from tocsin.core.config.core_settings import LogSettings
from tocsin.core.logs import configure
from tocsin.plugins.history.embedded import EmbeddedPostgres

STUCK = 30.0
"""Seconds of CPU after which a batch is stuck."""

TOLD = 20
"""Findings of a block that are traced to their cases; past them a batch counts as one."""


@frozen(kw_only=True)
class Block:
    """Cases ``begin`` to ``begin + size`` of a kind and seed, and what came of them."""

    kind: str
    seed: int
    begin: int
    size: int
    parts: int = 0
    tracebacks: int = 0
    slow: int = 0
    leaks: int = 0
    longest_ms: float = 0.0
    seconds: float = 0.0
    findings: tuple[tuple[int, str], ...] = ()
    error: str | None = None

    @property
    def key(self) -> tuple[str, int, int, int]:
        """Which block it is."""
        return self.kind, self.seed, self.begin, self.size


class Stuck(BaseException):
    """A batch uses up CPU without an end."""


def case_of(kind: Kind, seed: int, number: int) -> Any:
    """A case by its number."""
    return kind.make(Random(f"{kind.name}/{seed}/{number}"))


def run_block(name: str, seed: int, begin: int, size: int) -> Block:
    """Run a block. Meant for a process of its own."""
    only_loopback()
    configure(LogSettings(), io.StringIO())  # what is said between batches is nobody's
    kind = all_kinds()[name]()
    judge = Judge(limit=kind.limit)
    unraisable(judge)
    begun = time.monotonic()
    counts = {"traceback": 0, "slow": 0, "leak": 0}
    told: list[tuple[int, str]] = []
    parts = 0

    def counted(number: int) -> None:
        nonlocal parts
        parts += number

    def found(number: int, findings: list[Finding]) -> None:
        for what in {finding.what for finding in findings}:
            counts[what] += 1
        if len(told) < TOLD:
            told.append((number, one_line(findings)))

    error = None
    try:
        asyncio.run(
            _run(
                kind,
                judge,
                seed,
                range(begin, begin + size),
                counted,
                found,
                lambda: len(told) >= TOLD,
            )
        )
    except Exception as trouble:
        error = f"{type(trouble).__name__}: {trouble}"
    return Block(
        kind=name, seed=seed, begin=begin, size=size, parts=parts, tracebacks=counts["traceback"],
        slow=counts["slow"], leaks=counts["leak"], longest_ms=judge.longest * 1000,
        seconds=time.monotonic() - begun, findings=tuple(told), error=error,
    )  # fmt: skip


async def _run(
    kind: Kind, judge: Judge, seed: int, numbers: range, counted: Any, found: Any, enough: Any
) -> None:
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: (
            judge.raised(context["exception"], "loop")
            if context.get("exception")
            else judge.traceback(f"loop: {context.get('message')}")
        )
    )
    async with AsyncExitStack() as stack:
        database = NOWHERE
        base = Path("/dev/shm" if Path("/dev/shm").is_dir() else "/tmp")
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=base)))
        if kind.needs_database:
            server = EmbeddedPostgres()
            stack.push_async_callback(server.stop)
            database = await server.start(directory / "pg")
        places = _Places(kind, judge, directory, database)
        stack.push_async_callback(places.close)
        for at in range(numbers.start, numbers.stop, kind.batch):
            batch = [
                (number, case_of(kind, seed, number))
                for number in range(at, min(at + kind.batch, numbers.stop))
            ]
            counted(sum(kind.parts(case) for _, case in batch))
            longest = judge.longest
            if findings := await places.judged(batch):
                if enough():
                    found(batch[0][0], findings)
                    continue
                if len(batch) > 1:
                    judge.longest = longest
                await _blame(places, batch, findings, found)


async def _blame(
    places: _Places, batch: list[tuple[int, Any]], findings: list[Finding], found: Any
) -> None:
    """Name the cases by which a batch went wrong: its halves are run again, and theirs. What comes
    neither in one half nor in the other, and does not come again, was no case's."""
    if len(batch) == 1:
        found(batch[0][0], findings)
        return
    middle, wrong = len(batch) // 2, False
    for half in (batch[:middle], batch[middle:]):
        if again := await places.judged(half):
            wrong = True
            await _blame(places, half, again, found)
    if not wrong and (again := await places.judged(batch)):
        found(batch[0][0], again)  # these together


class _Places:
    """What cases run against: made anew after each batch in which something was wrong."""

    def __init__(self, kind: Kind, judge: Judge, directory: Path, database: str) -> None:
        self._kind, self._judge = kind, judge
        self._directory, self._database = directory, database
        self._stack: AsyncExitStack | None = None
        self._place: Any = None
        self._made = 0

    async def judged(self, batch: list[tuple[int, Any]]) -> list[Finding]:
        """Run a batch; what was wrong."""
        judge = self._judge
        if self._stack is None:
            self._made += 1
            directory = self._directory / f"w{self._made}"
            directory.mkdir()
            self._stack = AsyncExitStack()
            self._place = await self._stack.enter_async_context(
                self._kind.open(directory, judge, self._database)
            )
            judge.take()
            gc.collect()
            gc.freeze()
        signal.signal(signal.SIGVTALRM, _stuck)
        signal.setitimer(signal.ITIMER_VIRTUAL, STUCK)
        try:
            with judge.watching():
                await asyncio.create_task(self._kind.run(self._place, batch))
                findings = judge.take()
        except (Exception, Stuck, asyncio.CancelledError) as error:
            judge.raised(error, "case")
            findings = judge.take()
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        gc.collect()
        if findings:
            await self.close()  # what it left behind is no other's
        return findings

    async def close(self) -> None:
        """Take it down."""
        stack, self._stack = self._stack, None
        if stack is not None:
            try:
                await stack.aclose()
            except Exception as error:
                self._judge.raised(error, "stopping")


def _stuck(_: int, __: FrameType | None) -> None:
    raise Stuck(f"more than {STUCK:g} s of CPU")
