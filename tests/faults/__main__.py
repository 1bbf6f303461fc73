"""The command: make runs, keep what they say, print the table.

python -m tests.faults [ROW ...] [--runs N] [--seed S] [--short] [--results FILE] [--table]
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType

from tests.faults.fault import all_rows
from tests.faults.results import Commit, Results, Run, in_words, table
from tests.faults.run import run as make_run


def main() -> int:
    """Make the runs that are asked for and not done yet; print the table of this commit."""
    rows = all_rows()
    known = "; ".join(f"{name}: {(row.__doc__ or '').split('.')[0]}" for name, row in rows.items())
    options = argparse.ArgumentParser(
        prog="python -m tests.faults", description=f"Inject faults and judge. Rows: {known}."
    )
    options.add_argument("rows", nargs="*", metavar="ROW", help="all rows, where none is named")
    options.add_argument("--runs", type=int, default=5, help="seeds for each row (default 5)")
    options.add_argument("--seed", type=int, default=1, help="the first seed (default 1)")
    options.add_argument("--short", action="store_true", help="runs of 10 s instead of 24 s")
    options.add_argument("--results", type=Path, default=Path(".faults/results.jsonl"))
    options.add_argument("--table", action="store_true", help="make no run, only print the table")
    given = options.parse_args()
    if unknown := sorted(set(given.rows) - set(rows)):
        options.error(f"no row is called {', '.join(unknown)}; there are {', '.join(rows)}")
    commit = Commit.here()
    results = Results(given.results, commit)
    wanted = [] if given.table else [
        (row, seed, given.short)
        for seed in range(given.seed, given.seed + given.runs)
        for row in given.rows or rows
    ]  # fmt: skip
    left = [key for key in wanted if not results.is_done(key)]
    if wanted:
        state = "with changes: every run is made anew" if commit.dirty else "clean"
        _say(f"commit {commit.id[:12]} ({state}); {len(wanted) - len(left)} runs done, "
             f"{len(left)} to make")  # fmt: skip
    interrupted = False
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)
    for number, key in enumerate(left, 1):
        try:
            made = _one(*key)
        except KeyboardInterrupt:
            _say("interrupted; the run at hand is lost, the others are kept")
            interrupted = True
            break
        results.add(made)
        what = in_words(made.verdict) if made.verdict else f"ERROR: {made.error}"
        kept = f"  [{made.directory}]" if made.directory else ""
        _say(f"{number}/{len(left)} {made.row} seed {made.seed}: {what} ({made.seconds:.0f} s)"
             f"{kept}")  # fmt: skip
        for note in made.verdict.notes if made.verdict else ():
            _say(f"    {note}")
    _say(table(results.runs.values()))
    return 130 if interrupted else 0 if results.is_good() else 1


def _one(row: str, seed: int, short: bool) -> Run:
    """One run, errors of the harness included; the directory stays where something was wrong."""
    directory = Path(tempfile.mkdtemp(prefix=f"tocsin-fault-{row}-{seed}-"))
    begun = time.monotonic()
    verdict = error = None
    try:
        verdict = make_run(all_rows()[row], seed, directory, short=short)
    except KeyboardInterrupt:
        shutil.rmtree(directory, ignore_errors=True)
        raise
    except Exception as trouble:
        error = f"{type(trouble).__name__}: {trouble}"
    if keep := verdict is None or bool(verdict.wrong):
        (directory / "verdict.txt").write_text(f"{verdict}\n{error}\n")
    else:
        shutil.rmtree(directory, ignore_errors=True)
    return Run(
        row=row, seed=seed, short=short, verdict=verdict, error=error,
        seconds=time.monotonic() - begun, directory=str(directory) if keep else "",
    )  # fmt: skip


def _interrupt(_: int, __: FrameType | None) -> None:
    """Only once: what follows is clearing away."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
