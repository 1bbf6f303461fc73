"""A limit on how often an address may send an invalid token."""

from __future__ import annotations

from collections import OrderedDict

from attrs import define, field

from tocsin.core.clock import Clock


@define
class FailureLimit:
    """Counts requests with an invalid token, or none, by address.

    A valid token is accepted even from an address over the limit. Guessing a token of 256 random
    bits is infeasible anyway; the limit only reduces log lines and load.

    Attributes:
        clock: the clock.
        limit: failures of an address within ``window`` that are tolerated.
        window: length of the time window, in seconds.
        addresses: most addresses that are remembered.
    """

    clock: Clock
    limit: int = 20
    window: float = 60.0
    addresses: int = 10_000
    _failures: OrderedDict[str, list[float]] = field(factory=OrderedDict)

    def failed(self, address: str) -> float:
        """Count a failure.

        Returns:
            Seconds until the address may try again; 0 if it is within the limit.
        """
        now = self.clock.monotonic()
        times = [t for t in self._failures.pop(address, []) if now - t < self.window]
        times.append(now)
        self._failures[address] = times[-self.limit - 1 :]
        while len(self._failures) > self.addresses:
            self._failures.popitem(last=False)
        return 0.0 if len(times) <= self.limit else self.window - (now - times[0])
