"""The results file, which blocks are done already, and the table."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from attrs import asdict

from tests.faults.records import read_lines
from tests.faults.results import Commit
from tests.fuzz.block import Block

VERSION = 3
"""Of the harness; raised when a number comes to mean another case, or what counts changes."""


class Results:
    """The file. ``blocks``: of this commit, the newest of each."""

    def __init__(self, path: Path, commit: Commit) -> None:
        self._path, self._commit = path, commit
        self.blocks: dict[tuple[str, int, int, int], Block] = {}
        for line in [] if commit.dirty else read_lines(path):
            if (line["commit"], line["dirty"], line["version"]) == (commit.id, False, VERSION):
                names = list(asdict(Block(kind="", seed=0, begin=0, size=0)))
                block = Block(**{name: line[name] for name in names})
                self.blocks[block.key] = block

    def is_done(self, key: tuple[str, int, int, int]) -> bool:
        """Whether this commit has run that block to its end."""
        return key in self.blocks and self.blocks[key].error is None

    def add(self, block: Block) -> None:
        """Keep a finished block."""
        self.blocks[block.key] = block
        line = {"version": VERSION, "commit": self._commit.id, "dirty": self._commit.dirty}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write(json.dumps({**line, **asdict(block)}) + "\n")

    def is_good(self) -> bool:
        """Whether every block ran to its end with nothing wrong."""
        return all(not (b.error or b.tracebacks or b.slow or b.leaks) for b in self.blocks.values())


def table(blocks: Iterable[Block]) -> str:
    """One line for each kind and one for all: sums of counts, maxima of CPU."""
    by_kind: dict[str, list[Block]] = {}
    for block in blocks:
        by_kind.setdefault(block.kind, []).append(block)
    lines = [
        ["kind", "n", "parts", "tracebacks", "slow", "leaks", "longest ms", "errors", "cases/s"]
    ]
    for kind, made in [*sorted(by_kind.items()), ("all", [b for x in by_kind.values() for b in x])]:
        whole = [block for block in made if block.error is None]
        n = sum(block.size for block in whole)
        counts = [sum(getattr(b, name) for b in made) for name in ("tracebacks", "slow", "leaks")]
        longest = max((block.longest_ms for block in made), default=0.0)
        pace = n / max(0.001, sum(block.seconds for block in whole))
        errors = len(made) - len(whole)
        lines.append(
            [
                kind,
                str(n),
                str(sum(b.parts for b in whole)),
                *map(str, counts),
                f"{longest:.0f}",
                str(errors),
                f"{pace:.0f}",
            ]
        )
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if n == 0 else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )
