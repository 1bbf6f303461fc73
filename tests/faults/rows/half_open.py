"""Connections stay open and carry nothing."""

from __future__ import annotations

import socket
from contextlib import ExitStack

from tests.faults.fault import Fault
from tests.faults.relay import Relay, before_postgres
from tests.faults.world import World

CHANNEL = "ops"


class HalfOpen(Fault):
    """Connections to PostgreSQL and to the receiver of one channel stay open but transfer nothing;
    then they are reset, or stay so for ever, while new connections work."""

    name = "half-open"
    deaf = frozenset({CHANNEL})

    def prepare(self, world: World, stack: ExitStack) -> None:
        receiver = ("127.0.0.1", world.receivers[CHANNEL].port)
        self._relays = [
            before_postgres(world.dsn),
            Relay(lambda: socket.create_connection(receiver)),
        ]
        for relay in self._relays:
            stack.callback(relay.close)
        world.database = f"127.0.0.1:{self._relays[0].port}"
        world.ports[CHANNEL] = self._relays[1].port

    def inject(self, world: World) -> None:
        database, receiver = self._relays
        database.fall_silent()
        receiver.fall_silent(unused=True)  # there may have been nothing to send yet

    def heal(self, world: World) -> None:
        for relay in self._relays:
            relay.carry_again(reset=world.script.rng(self.name).random() < 0.5)
