"""How often an address may send a token that is refused."""

from __future__ import annotations

from collections import OrderedDict

from attrs import define, field

from tocsin.core.clock import Clock


@define
class FailureLimit:
    """Counts refused tokens per address; past ``limit`` within ``window`` seconds it is too much.

    A good token is never refused for its address: with 256 random bits guessing is hopeless, the
    limit only keeps the noise, and its cost, down.
    """

    clock: Clock
    limit: int = 20
    window: float = 60.0
    addresses: int = 10_000
    _failures: OrderedDict[str, list[float]] = field(factory=OrderedDict)

    def failed(self, address: str) -> float:
        """Count a failure; returns the seconds to wait, 0 while it is not too much."""
        now = self.clock.monotonic()
        times = [t for t in self._failures.pop(address, []) if now - t < self.window]
        times.append(now)
        self._failures[address] = times[-self.limit - 1 :]
        while len(self._failures) > self.addresses:
            self._failures.popitem(last=False)
        return 0.0 if len(times) <= self.limit else self.window - (now - times[0])
