"""The command: run blocks of cases, keep what they say, print the table.

python -m tests.fuzz [KIND ...] [--cases N] [--seed S] [--jobs J] [--results FILE] [--table]
python -m tests.fuzz KIND --seed S --only NUMBER
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path

from tests.faults.results import Commit
from tests.fuzz.block import Block, case_of, run_block
from tests.fuzz.kinds import all_kinds
from tests.fuzz.results import Results, table

BLOCK = 5000
"""Cases in a block."""


def main() -> int:
    """Run what is asked for and not done yet; print the table of this commit."""
    kinds = all_kinds()
    known = "; ".join(f"{name}: {' '.join((k.__doc__ or '').split())}" for name, k in kinds.items())
    options = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description=f"Fuzz, and judge. Kinds: {known}"
    )
    options.add_argument("kinds", nargs="*", metavar="KIND", help="all, where none is named")
    options.add_argument("--cases", type=int, default=5000, help="for each kind (default 5000)")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--jobs", type=int, default=1, help="processes at once (default 1)")
    options.add_argument("--results", type=Path, default=Path(".fuzz/results.jsonl"))
    options.add_argument("--table", action="store_true", help="run nothing, only print the table")
    options.add_argument("--only", type=int, metavar="NUMBER", help="run one case and print it")
    given = options.parse_args()
    if unknown := sorted(set(given.kinds) - set(kinds)):
        options.error(f"no kind is called {', '.join(unknown)}; there are {', '.join(kinds)}")
    chosen = given.kinds or list(kinds)
    if given.only is not None:
        return _only(chosen[0], given.seed, given.only)
    commit = Commit.here()
    results = Results(given.results, commit)
    wanted = [] if given.table else [
        (kind, given.seed, begin, min(BLOCK, given.cases - begin))
        for begin in range(0, given.cases, BLOCK)
        for kind in chosen
    ]  # fmt: skip
    left = [key for key in wanted if not results.is_done(key)]
    if wanted:
        state = "with changes: every block is run anew" if commit.dirty else "clean"
        _say(f"commit {commit.id[:12]} ({state}); {len(wanted) - len(left)} blocks done, "
             f"{len(left)} to run")  # fmt: skip
    try:
        _run(left, given.jobs, results)
    except KeyboardInterrupt:
        _say("interrupted; the blocks at hand are lost, the others are kept")
    _say(table(results.blocks.values()))
    return 0 if results.is_good() else 1


def _run(left: list[tuple[str, int, int, int]], jobs: int, results: Results) -> None:
    """Run blocks, each in a process of its own."""
    waiting, done = list(left), 0
    with ProcessPoolExecutor(
        jobs, mp_context=multiprocessing.get_context("spawn"), max_tasks_per_child=1
    ) as pool:
        running: dict[Future[Block], tuple[str, int, int, int]] = {}
        while waiting or running:
            while waiting and len(running) < jobs:
                key = waiting.pop(0)
                running[pool.submit(run_block, *key)] = key
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                running.pop(future)
                block = future.result()
                results.add(block)
                done += 1
                _say(f"{done}/{len(left)} {block.kind} {block.begin}+{block.size}: "
                     f"{block.tracebacks} tracebacks, {block.slow} slow, {block.leaks} leaks, "
                     f"longest {block.longest_ms:.0f} ms ({block.seconds:.0f} s)"
                     + (f" ERROR {block.error}" if block.error else ""))  # fmt: skip
                for number, text in block.findings:
                    _say(f"    case {number}: {text}")


def _only(kind: str, seed: int, number: int) -> int:
    """Run one case, and show it."""
    case = repr(case_of(all_kinds()[kind](), seed, number))
    _say(case if len(case) < 5000 else f"{case[:5000]}… ({len(case)} characters)")
    block = run_block(kind, seed, number, 1)
    for _, text in block.findings:
        _say(text)
    _say(
        f"longest callback: {block.longest_ms:.1f} ms of CPU"
        + (f"; {block.error}" if block.error else "")
    )
    return 1 if block.findings or block.error else 0


def _say(line: str) -> None:
    print(line.encode("utf-8", "backslashreplace").decode(), flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
