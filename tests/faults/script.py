"""What happens to the targets in a run, and when the fault is there: all of it from a seed."""

from __future__ import annotations

import random
from collections.abc import Mapping

from attrs import frozen

TARGETS = tuple(f"t{n}" for n in range(10))
LONG, SHORT = 24.0, 10.0
"""Seconds that the script of a run lasts: usually, and in its short form."""


@frozen(kw_only=True)
class Script:
    """Seconds count from the moment at which tocsin watches and all is well.

    Attributes:
        seed: of this run; ``rng(name)`` gives a generator of its own to whoever needs one.
        seconds: how long it lasts.
        begins: when the fault comes.
        ends: when it goes.
        failures: for each target that fails, since when, and until when (None: it stays so). A
            target fails once at most, so that what has to be told of it is beyond doubt.
    """

    seed: int
    seconds: float
    begins: float
    ends: float
    failures: Mapping[str, tuple[float, float | None]]

    def rng(self, name: str) -> random.Random:
        """A generator that depends on the seed and the name alone."""
        return random.Random(f"{self.seed} {name}")

    @classmethod
    def of(cls, seed: int, *, short: bool = False) -> Script:
        """The script of a seed. The first target never fails; three fail so that the fault is met
        in each way: during it, during it and back, before it and back during it."""
        rng = random.Random(seed)
        seconds = SHORT if short else LONG
        begins = rng.uniform(0.15, 0.25) * seconds
        ends = rng.uniform(0.65, 0.8) * seconds
        third = (ends - begins) / 3
        failures: dict[str, tuple[float, float | None]] = {
            TARGETS[1]: (begins + rng.uniform(0.1, 0.6) * third, None),
            TARGETS[2]: (begins + rng.uniform(0.1, 0.5) * third, begins + 2 * third),
            TARGETS[3]: (rng.uniform(0.2, 0.9) * begins, begins + rng.uniform(1, 2) * third),
        }
        for target in TARGETS[4:]:
            if rng.random() < 0.8:
                since = rng.uniform(0.05, 0.8) * seconds
                until = since + rng.uniform(0.15, 0.4) * seconds
                back = rng.random() < 0.6 and until < 0.95 * seconds
                failures[target] = (since, until if back else None)
        return cls(seed=seed, seconds=seconds, begins=begins, ends=ends, failures=failures)
