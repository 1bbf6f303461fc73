"""One run of one check: timeout, retries, and whether tocsin itself caused a failure."""

from __future__ import annotations

import asyncio
from functools import partial

from attrs import define, evolve, field

from tocsin.core.checks.probe_faults import ProbeFaults
from tocsin.core.checks.runnable import Confirmer, Runnable
from tocsin.core.clock import Clock
from tocsin.core.contracts.model import Observation, Result, Status, Target
from tocsin.core.plugin.runtimes import OPEN_DEADLINE
from tocsin.core.plugin.sandbox import Isolation, PluginFault
from tocsin.core.resolver.lookups import lookups_of_check
from tocsin.core.runtime.deadline import standstill
from tocsin.core.runtime.shortage import OUT_OF, own_shortage, present_shortage
from tocsin.core.shapes import fit_result

DEADLINE_GRACE = 1.0
"""Seconds added to a probe's own timeout, after which the run is cancelled."""

DOUBT = 15.0
"""Usual maximum time, in seconds, for the review of a ``down`` result."""

STANDSTILL = 1.0
"""Seconds, or a quarter of the timeout if that is less, for which tocsin may stand still during a
run (process stopped, machine suspended, event loop blocked) before its result is discarded."""

STANDSTILLS = 3
"""Maximum number of times that a run is made because tocsin stood still."""

RETRY_PAUSE = 0.2
"""Seconds between two tries of one run."""


@define
class Runner:
    """Runs checks.

    Attributes:
        clock: the time.
        isolation: runs the code of plugins.
        faults: records errors of probes.
        reviewers: confirm or replace a ``down`` result.
        last_shortage: when a check last failed for lack of a resource of this machine (monotonic
            seconds), and which; shortages of the resolver and of descriptors are reported
            elsewhere.
    """

    clock: Clock
    isolation: Isolation
    faults: ProbeFaults
    reviewers: Confirmer | None = None
    last_shortage: tuple[float, str] | None = field(init=False, default=None)

    async def run(
        self,
        target: Target,
        name: str,
        plugin: str,
        check: Runnable,
    ) -> Observation:
        """Run a check once, with retries, and return the observation. Never raises.

        Args:
            target: the target to check.
            name: of the check.
            plugin: that the probe belongs to.
            check: makes the tries.
        """
        key = (plugin, f"{target.name}/{name}")
        if (reason := self.faults.why_resting(key)) is not None:
            return self._seen(target, name, Result.unknown(reason))
        tries = check.retries + 1
        while True:
            tries -= 1
            result = await self._once(key, target, check)
            if tries <= 0 or result.status is not Status.DOWN:
                break
            await asyncio.sleep(RETRY_PAUSE)
        if result.status is Status.DOWN and (lack := present_shortage()) is not None:
            text = f"{lack}, so this result is not valid: {result.message}"
            result = evolve(result, status=Status.UNKNOWN, message=text)
        if result.status is Status.DOWN and self.reviewers is not None:
            result = await self.reviewers.confirm_down(plugin, check, target, name, result)
        if result.status is Status.UNKNOWN and result.message.startswith(OUT_OF):
            self.last_shortage = (self.clock.monotonic(), result.message.partition(", so this")[0])
        return self._seen(target, name, result)

    async def _once(self, key: tuple[str, str], target: Target, check: Runnable) -> Result:
        """Make one try, and repeat it if tocsin stood still meanwhile, which invalidates the result
        and its measurements."""
        for number in range(STANDSTILLS):
            if number:
                await asyncio.sleep(RETRY_PAUSE)
            began = self.clock.monotonic()
            with standstill() as still, lookups_of_check() as lookups:
                result = await self._look(key, target, check)
                lost = still.seconds
            if result.status is Status.DOWN and (lack := lookups.trouble()) is not None:
                result = evolve(result, status=Status.UNKNOWN, message=lack)
            if lost < min(STANDSTILL, check.timeout / 4):
                return result
            if result.status is Status.UP and lost < (self.clock.monotonic() - began) / 2:
                return result
        if result.status in (Status.UP, Status.UNKNOWN):
            return result
        text = f"tocsin stood still for {lost:.0f} s, so this result is not valid: {result.message}"
        return evolve(result, status=Status.UNKNOWN, message=text)

    async def _look(self, key: tuple[str, str], target: Target, check: Runnable) -> Result:
        plugin = key[0]

        found = None
        try:
            if not check.is_open_in(self.isolation.loop_of(plugin)):
                found = await self._open(plugin, check)
            started = self.clock.monotonic()
            if found is None:
                found = await self.isolation.call(
                    plugin, partial(check.look, target), check.timeout + DEADLINE_GRACE
                )
        except PluginFault as fault:
            if (lack := own_shortage(fault)) is not None:
                return Result.unknown(lack)
            if fault.severe:
                self.isolation.reset(plugin, fault)
            self.faults.faulted(key, fault)
            return Result.unknown(f"probe failed: plugin {plugin} {fault}")
        except TimeoutError:
            # The cause may be the probe, but if it is the target, an alert must fire.
            self.faults.overran(key, check.timeout)
            return Result.down(f"no answer within {check.timeout:g} s")
        result, wrong = found
        if wrong is None:
            self.faults.is_right(key)
        else:
            self.faults.is_imperfect(key, wrong)
        return result.with_latency(self.clock.monotonic() - started)

    async def _open(self, plugin: str, check: Runnable) -> tuple[Result, str | None] | None:
        """Open a check; return the result, and what of it was invalid, if there can be no try."""

        async def prepare() -> tuple[Result, str | None] | None:
            result = await check.open()
            return None if result is None else fit_result(result, "open")

        try:
            return await self.isolation.call(plugin, prepare, OPEN_DEADLINE + DEADLINE_GRACE)
        except TimeoutError:
            raise PluginFault("did not end when its opening was cancelled") from None

    def _seen(self, target: Target, name: str, result: Result) -> Observation:
        return Observation(target=target.name, check=name, at=self.clock.now(), result=result)


def patience_with(timeout: float, retries: int) -> float:
    """Return the maximum time of a run, with all its retries, in seconds.

    ``timeout``: of one try, in seconds; ``retries``: number of further tries.
    """
    return (retries + 1) * (timeout + DEADLINE_GRACE + RETRY_PAUSE) + DOUBT
