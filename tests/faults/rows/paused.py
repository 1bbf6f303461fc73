"""tocsin itself stands still for a while."""

from __future__ import annotations

import signal

from tests.faults.fault import Fault
from tests.faults.script import TARGETS
from tests.faults.world import World


class Paused(Fault):
    """tocsin is stopped with SIGSTOP while its checks are running, and continued."""

    name = "paused"
    rings = False
    blind = frozenset(TARGETS)

    def inject(self, world: World) -> None:
        world.process.send_signal(signal.SIGSTOP)

    def heal(self, world: World) -> None:
        world.process.send_signal(signal.SIGCONT)
