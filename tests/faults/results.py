"""The results file, which runs are done already, and the table."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from attrs import asdict, frozen

from tests.faults.records import MUST_BE_ZERO, Verdict, read_lines

VERSION = 3
"""Of the harness; raised when what is counted, or what happens in a run of a seed, changes."""

ROOT = Path(__file__).parents[2]


@frozen
class Commit:
    """What is under test. A tree with changes of its own (``dirty``) is nobody's: its runs are
    written down, and never taken for done."""

    id: str
    dirty: bool

    @classmethod
    def here(cls) -> Commit:
        """That of the working tree."""
        return cls(_git("rev-parse", "HEAD") or "unknown", bool(_git("status", "--porcelain")))


@frozen(kw_only=True)
class Run:
    """A finished run. ``error``: why it could not be judged; then there is no verdict."""

    row: str
    seed: int
    short: bool
    verdict: Verdict | None = None
    error: str | None = None
    seconds: float = 0.0
    directory: str = ""

    @property
    def key(self) -> tuple[str, int, bool]:
        """Which run it is."""
        return self.row, self.seed, self.short


class Results:
    """The file. ``runs``: of this commit, the newest of each row and seed."""

    def __init__(self, path: Path, commit: Commit) -> None:
        self._path, self._commit = path, commit
        self.runs: dict[tuple[str, int, bool], Run] = {}
        for line in [] if commit.dirty else read_lines(path):
            same = (line["commit"], line["dirty"], line["version"]) == (commit.id, False, VERSION)
            if same:
                self._take(_run_of(line))

    def is_done(self, key: tuple[str, int, bool]) -> bool:
        """Whether this commit has made that run, and it could be judged."""
        return key in self.runs and self.runs[key].error is None

    def add(self, run: Run) -> None:
        """Keep a finished run."""
        self._take(run)
        line = {"version": VERSION, "commit": self._commit.id, "dirty": self._commit.dirty}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write(json.dumps({**line, **asdict(run)}) + "\n")

    def _take(self, run: Run) -> None:
        known = self.runs.get(run.key)
        # An error is no reason to forget what was judged.
        if known is None or run.error is None or known.error is not None:
            self.runs[run.key] = run

    def is_good(self) -> bool:
        """Whether every run could be judged, and nothing was wrong."""
        return all(r.verdict is not None and not r.verdict.wrong for r in self.runs.values())


def _run_of(line: dict[str, Any]) -> Run:
    said = line["verdict"]
    verdict = None if said is None else Verdict(**{**said, "notes": tuple(said["notes"])})
    names = ("row", "seed", "short", "error", "seconds", "directory")
    return Run(verdict=verdict, **{name: line[name] for name in names})


def _git(*args: str) -> str:
    done = subprocess.run(
        ["git", *args], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    return done.stdout.strip()


_COLUMNS = (
    ("lost", "lost"), ("same id", "doubled_same"), ("other id", "doubled_other"),
    ("(allowed)", "doubled_in_window"), ("order", "wrong_order"), ("wrongly down", "wrongly_down"),
    ("held up", "held_up"), ("gaps", "gaps"), ("(allowed)", "gaps_in_window"),
    ("twice", "history_doubles"), ("leaked", "leaked"), ("tracebacks", "tracebacks"),
    ("not well", "unrecovered"),
)  # fmt: skip


def table(runs: Iterable[Run]) -> str:
    """One line for each row: sums of counts, maxima of seconds."""
    by_row: dict[str, list[Run]] = {}
    for run in runs:
        by_row.setdefault(run.row, []).append(run)
    head = ["row", "n", "errors", "checks", "changes", *(name for name, _ in _COLUMNS)]
    lines = [[*head, "notice s", "recover s", "impaired s"]]
    for row, made in sorted(by_row.items()):
        verdicts = [run.verdict for run in made if run.verdict is not None]
        counts = ("checks", "changes", *(field for _, field in _COLUMNS))
        sums = [str(sum(getattr(verdict, field) for verdict in verdicts)) for field in counts]
        times = [
            f"{max(taken):.2f}"
            if (taken := [t for v in verdicts if (t := getattr(v, field)) is not None])
            else "-"
            for field in ("notice", "recover", "impaired")
        ]
        errors = sum(run.verdict is None for run in made)
        lines.append([row, str(len(verdicts)), str(errors), *sums, *times])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if n == 0 else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def in_words(verdict: Verdict) -> str:
    """A verdict in a line."""
    if verdict.wrong:
        return "WRONG: " + ", ".join(f"{name} {n}" for name, n in verdict.wrong.items())
    times = [
        f"{name} {taken:.2f} s"
        for name, taken in (("notice", verdict.notice), ("recover", verdict.recover))
        if taken is not None
    ]
    return ", ".join([f"{verdict.changes} changes told, {verdict.checks} checks", *times])


__all__ = ["MUST_BE_ZERO", "VERSION", "Commit", "Results", "Run", "in_words", "table"]
