"""Every bench, one after the other, and at the end one table of figures and bounds.

    python bench/all.py [--quick] [--month DIR] [NAME ...]

``--quick`` takes fewer rounds: to see that the benches work, not to quote figures from. With
``--month`` the month of history is kept in DIR, and taken from there the next time. The bench
``hostile`` takes part if it is named, or quick.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table
from table import MARK, machine

HERE = Path(__file__).parent
BENCHES = (
    "throughput", "probes", "schedule", "detection", "outage", "api", "history", "dashboard",
    "footprint", "commands", "hosts", "soak",
)  # fmt: skip
ON_REQUEST = ("hostile",)
"""Those that are not run in full unless they are named: they show what may go wrong, and how long
they take depends on how much does."""

BOUNDED = {"hostile": ["--seconds", "60"]}
"""What keeps a bench short where it is one of many and not quick."""


def run(name: str, arguments: list[str]) -> tuple[list[list[str]], bool]:
    """Run one bench, its output passed through; its figures, and whether it ended well."""
    print(f"\n== {name}", flush=True)
    command = [sys.executable, str(HERE / f"{name}.py"), *arguments]
    figures = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for row in process.stdout or ():
            if row.startswith(MARK + " | "):
                figures.append([cell.strip() for cell in row.split(" | ")[1:]])
            else:
                print(row, end="", flush=True)
    return figures, process.returncode == 0


def main() -> None:
    """Run what was asked for and print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("names", nargs="*", choices=[*BENCHES, *ON_REQUEST, []], metavar="NAME")
    options.add_argument("--quick", action="store_true")
    options.add_argument("--month", metavar="DIR", help="where the month of history lies")
    given = options.parse_args()
    table = Table("what", "bound", "figure", "", title=machine())
    broken = []
    chosen = given.names or (BENCHES + ON_REQUEST if given.quick else BENCHES)
    for name in chosen:
        arguments = ["--quick"] if given.quick else list(BOUNDED.get(name, ()))
        if name == "history" and given.month:
            arguments += ["--keep", given.month]
        figures, ended = run(name, arguments)
        for row in figures:
            table.add_row(*row)
        if not ended:
            broken.append(name)
    Console(width=120).print(table)
    if broken:
        sys.exit(f"these benches did not end well: {', '.join(broken)}")


if __name__ == "__main__":
    main()
