"""How long commands take that only ask a running tocsin, in terms of a bare Python's start.

    python bench/commands.py [--quick]

The bare Python imports click and attrs. Wall time, in turns; the medians are compared.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from stand import Running
from table import line, machine

BOUND = 3.0
BARE = [sys.executable, "-c", "import click, attrs"]
TOCSIN = [sys.executable, "-c", "from tocsin.core.cli.main import main; main()"]
COMMANDS = (
    ("--help",), ("status",), ("alerts",), ("silence", "list"), ("maintenance", "list"),
    ("plugins", "--live"),
)  # fmt: skip


def seconds(command: list[str], env: dict[str, str]) -> float:
    """Wall time of one run. Ends the bench if the command fails."""
    begun = time.perf_counter()
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    took = time.perf_counter() - begun
    if done.returncode or (command != BARE and not done.stdout):
        sys.exit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr or done.stdout}")
    return took


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="5 runs in place of 25")
    runs = 5 if options.parse_args().quick else 25
    print(f"{machine()}; {runs} runs each")
    times: dict[tuple[str, ...], list[float]] = {command: [] for command in COMMANDS}
    bare: list[float] = []
    with (
        tempfile.TemporaryDirectory(prefix="tocsin-bench-") as place,
        Running(Path(place), "[sources.docker]\nenabled = false\n") as running,
    ):
        env = {**os.environ, "TOCSIN_DATA_DIR": str(running.data)}
        for _ in range(runs + 1):  # the first one of each warms the disk's cache
            bare.append(seconds(BARE, env))
            for command, found in times.items():
                found.append(seconds([*TOCSIN, *command], env))
        running.stop()
    plain = statistics.median(bare[1:])
    ratios = {command: statistics.median(found[1:]) / plain for command, found in times.items()}
    print(f"{'python -c import click, attrs':32s} {plain * 1000:6.0f} ms")
    for command, ratio in ratios.items():
        print(f"tocsin {' '.join(command):25s} {ratio * plain * 1000:6.0f} ms, {ratio:.2f} times")
    worst = max(ratios.values())
    line(
        "--help and commands that only ask the API",
        f"<= {BOUND:g} x a Python that imports click and attrs",
        f"{min(ratios.values()):.2f} to {worst:.2f} times its {plain * 1000:.0f} ms",
        holds=worst <= BOUND,
    )


if __name__ == "__main__":
    main()
