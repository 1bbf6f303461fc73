"""The judge: CPU of each callback, tracebacks, and where planted secrets have come to."""

from __future__ import annotations

import asyncio
import gc
import io
import logging
import re
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from attrs import define, field

from tests.fuzz.inputs import MARK
from tocsin.core.config.core_settings import LogSettings
from tocsin.core.logs import configure

SLOW = 0.1
"""Seconds of CPU of the loop's thread that one callback may take."""


@define
class Finding:
    """Something wrong: ``what`` is traceback, slow or leak."""

    what: str
    text: str


@define(eq=False)
class Judge:
    """Watches this process. ``limit``: seconds of CPU for one callback."""

    limit: float = SLOW
    longest: float = 0.0
    findings: list[Finding] = field(factory=list)
    outputs: list[tuple[str, str]] = field(factory=list)
    """Where a text came out, and the text."""
    _log: io.StringIO = field(factory=io.StringIO)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Everything that happens meanwhile is judged."""
        run, thread = asyncio.events.Handle._run, threading.get_ident()
        judge = self

        def timed(handle: asyncio.Handle) -> None:
            if threading.get_ident() != thread:
                run(handle)
                return
            before = time.thread_time()
            try:
                run(handle)
            finally:
                took = time.thread_time() - before
                if took > judge.longest:
                    judge.longest = took
                if took > judge.limit:
                    judge.slow(took, handle)

        root = logging.getLogger()
        before = root.handlers[:], root.level
        configure(LogSettings(), self._log)
        records = _Records(self)
        root.addHandler(records)
        hook = threading.excepthook
        threading.excepthook = lambda args: self.traceback(
            f"thread: {args.exc_type.__name__}: {args.exc_value}"
        )
        asyncio.events.Handle._run = timed  # type: ignore[method-assign, assignment]
        gc.disable()  # its pauses are the harness's heap's, and not a case's
        try:
            yield
        finally:
            gc.enable()
            asyncio.events.Handle._run = run  # type: ignore[method-assign]
            threading.excepthook = hook
            root.handlers[:], root.level = before

    def slow(self, took: float, handle: asyncio.Handle) -> None:
        """A callback took too long."""
        what = getattr(handle, "_callback", None)
        task = getattr(what, "__self__", None)
        name = getattr(task, "get_coro", lambda: what)()
        self.findings.append(Finding("slow", f"{took * 1000:.0f} ms in {name!r:.120}"))

    def traceback(self, text: str) -> None:
        """Something raised what nobody documents."""
        self.findings.append(Finding("traceback", text[:300]))

    def raised(self, error: BaseException, doing: str) -> None:
        """The same, with its place."""
        last = traceback.extract_tb(error.__traceback__)[-1:]
        place = f" at {last[0].filename.rpartition('/')[2]}:{last[0].lineno}" if last else ""
        self.traceback(f"{doing}: {type(error).__name__}: {str(error)[:150]}{place}")

    def out(self, where: str, text: str) -> None:
        """Something came out."""
        self.outputs.append((where, text))

    def take(self) -> list[Finding]:
        """What was wrong since the last time."""
        self.out("log", self._log.getvalue())
        self._log.seek(0)
        self._log.truncate()
        for where, text in self.outputs:
            if (at := text.lower().find(MARK)) >= 0:
                self.findings.append(
                    Finding("leak", f"{where}: {text[max(0, at - 60) : at + 12]!r}")
                )
        self.outputs.clear()
        found, self.findings = self.findings, []
        return found


class _Records(logging.Handler):
    """Tells the judge of records with a traceback."""

    def __init__(self, judge: Judge) -> None:
        super().__init__()
        self._judge = judge

    def emit(self, record: logging.LogRecord) -> None:
        """Judge one record."""
        info: Any = record.exc_info
        error = info[1] if isinstance(info, tuple) else None
        said = record.msg if isinstance(record.msg, dict) else {}
        if error is not None:
            self._judge.raised(error, f"log {record.name}")
        elif said.get("exc_info") or said.get("exception"):
            self._judge.traceback(f"log {record.name}: {said.get('event')}")
        elif record.levelno >= logging.ERROR and re.search(
            "failed|ended|Task", str(said or record.msg)
        ):
            reason = said.get("reason") or said.get("error") or ""
            self._judge.traceback(f"log {record.name}: {said.get('event', record.msg)}: {reason}")


def one_line(findings: Iterable[Finding]) -> str:
    """The first finding of each sort, in a line."""
    first = {finding.what: finding.text for finding in reversed(list(findings))}
    return "; ".join(f"{what}: {' '.join(text.split())}" for what, text in sorted(first.items()))


def unraisable(judge: Judge) -> None:
    """What Python itself cannot raise any more is told to the judge."""
    sys.unraisablehook = lambda args: judge.traceback(f"unraisable: {args.exc_value!r}")
