"""The receiver of one channel is in trouble: it catches up later, and the others hear in time."""

from __future__ import annotations

from tests.faults.fault import Fault
from tests.faults.script import TARGETS
from tests.faults.world import World


class Receiver500(Fault):
    """The receiver of one channel answers every message with 500."""

    name = "receiver-500"
    deaf = frozenset({"ops"})

    def inject(self, world: World) -> None:
        world.receivers["ops"].answer(500)

    def heal(self, world: World) -> None:
        world.receivers["ops"].answer(200)


class RefusedNotice(Fault):
    """The receiver of one channel permanently refuses every message that names one target; notices
    of two seconds are sent as one message."""

    name = "refused-notice"
    refused = frozenset({("ops", TARGETS[1])})
    hold = "2s"

    def inject(self, world: World) -> None:
        world.receivers["ops"].answer(400, TARGETS[1])

    def heal(self, world: World) -> None:
        world.receivers["ops"].answer(200)
