"""tocsin itself is killed."""

from __future__ import annotations

import time
from functools import partial

from tests.faults.fault import Fault, Step
from tests.faults.records import read_lines
from tests.faults.world import World


class Killed(Fault):
    """tocsin is killed with SIGKILL several times, at random or on the heels of a change, now and
    then while it starts, and started again after a while."""

    name = "killed"

    def steps(self, world: World) -> list[Step]:
        rng = world.script.rng(self.name)
        steps: list[Step] = []
        at, last = rng.uniform(0.05, 0.3) * world.script.seconds, 0.7 * world.script.seconds
        while at < last:
            # Two in three where most is under way: journaled, held, sent, not marked yet.
            on_heels = partial(self._kill_after_change, world, rng.uniform(0, 0.5))
            steps.append((at, on_heels if rng.random() < 2 / 3 else world.kill))
            at += rng.uniform(0, 1.5)
            steps.append((at, world.restart))
            # One in four does not live to see everything.
            at += rng.uniform(0.1, 2) if rng.random() < 0.25 else rng.uniform(2.5, 6)
        return steps

    def _kill_after_change(self, world: World, delay: float) -> None:
        """Kill so many seconds after a target has answered something new, if one does soon."""

        def states() -> dict[str, bool]:
            return {line["target"]: line["up"] for line in read_lines(world.targets.ledger)}

        before, patience = states(), time.monotonic() + 3
        while states() == before and time.monotonic() < patience:
            time.sleep(0.01)
        time.sleep(delay)
        world.kill()
