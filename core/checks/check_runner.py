"""One run of one check: the deadline, the retries, and whose fault a failure is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Protocol

from attrs import define, evolve, field

from tocsin.core.clock import Clock
from tocsin.core.contracts.base import Probe
from tocsin.core.contracts.model import Observation, Result, Status, Target
from tocsin.core.plugin.manager import PluginManager
from tocsin.core.plugin.sandbox import Isolation, PluginFault
from tocsin.core.resolver.lookups import lookups_of_check
from tocsin.core.runtime.deadline import standstill
from tocsin.core.runtime.shortage import OUT_OF, own_shortage, present_shortage
from tocsin.core.shapes import fit_result

DEADLINE_GRACE = 1.0
"""Seconds the core waits beyond a probe's own timeout before it cancels the run."""

FAULTS_TO_QUARANTINE = 3
"""Faults in a row after which a check rests."""

DOUBT = 15.0
"""Seconds that doubting a result may take."""

QUARANTINE = (60.0, 3600.0)
"""Seconds of the first rest, doubled each time, and of the longest."""

STANDSTILL = 1.0
"""Seconds for which tocsin may stand still during a run, or a quarter of the timeout: the process
is stopped, the machine suspended, the event loop held."""

STANDSTILLS = 3
"""Times that a run is made at most because tocsin stood still."""

RETRY_PAUSE = 0.2
"""Seconds between two tries of one run."""


class Runnable(Protocol):
    """What the runner asks of a probe."""

    @property
    def timeout(self) -> float:
        """Seconds."""

    @property
    def retries(self) -> int:
        """Further tries before a ``down`` counts."""

    async def check(self, target: Target) -> Result:
        """Look once."""


@define
class _Book:
    """The faults of one check, in a row."""

    faults: int = 0
    overruns: int = 0
    rests: int = 0
    resting_until: float = 0.0
    reason: str = ""


@define
class Runner:
    """Runs checks."""

    clock: Clock
    isolation: Isolation
    plugins: PluginManager
    faulted: Callable[[str, str], None] = lambda _plugin, _reason: None
    """Told of each plugin that turns failed, with the reason."""
    doubt: Callable[[str, object, Target, Result], Awaitable[Result]] | None = None
    """Asked what a result that says ``down`` is worth (plugin, probe, target, result)."""
    last_shortage: tuple[float, str] | None = field(init=False, default=None)
    """When a check could not be made for a shortage of tocsin's own (monotonic seconds), and which;
    of the resolver and of descriptors others tell."""
    _books: dict[tuple[str, str], _Book] = field(init=False, factory=dict)

    async def run(
        self,
        target: Target,
        name: str,
        plugin: str,
        probe: Runnable,
    ) -> Observation:
        """What a check sees, run once, retries included. Never raises."""
        key = (plugin, f"{target.name}/{name}")
        book = self._books.get(key)
        if book is not None and self.clock.monotonic() < book.resting_until:
            return self._seen(target, name, Result.unknown(f"probe is quarantined: {book.reason}"))
        tries = probe.retries + 1
        while True:
            tries -= 1
            result = await self._once(key, target, probe)
            if tries <= 0 or result.status is not Status.DOWN:
                break
            await asyncio.sleep(RETRY_PAUSE)
        if result.status is Status.DOWN and (lack := present_shortage()) is not None:
            text = f"{lack}, so this says nothing: {result.message}"
            result = evolve(result, status=Status.UNKNOWN, message=text)
        if result.status is Status.DOWN and self.doubt is not None:
            result = await self.doubt(plugin, probe, target, result)
        if result.status is Status.UNKNOWN and result.message.startswith(OUT_OF):
            self.last_shortage = (self.clock.monotonic(), result.message.partition(", so this")[0])
        return self._seen(target, name, result)

    async def _once(self, key: tuple[str, str], target: Target, probe: Runnable) -> Result:
        """Look, and again where tocsin stood still meanwhile: what it saw then says nothing, and
        what it measured is wrong."""
        for number in range(STANDSTILLS):
            if number:
                await asyncio.sleep(RETRY_PAUSE)
            began = self.clock.monotonic()
            with standstill() as still:
                result = await self._look(key, target, probe)
                lost = still.seconds
            if lost < min(STANDSTILL, probe.timeout / 4):
                return result
            if result.status is Status.UP and lost < (self.clock.monotonic() - began) / 2:
                return result
        if result.status in (Status.UP, Status.UNKNOWN):
            return result
        text = f"tocsin stood still for {lost:.0f} s, so this says nothing: {result.message}"
        return evolve(result, status=Status.UNKNOWN, message=text)

    async def _look(self, key: tuple[str, str], target: Target, probe: Runnable) -> Result:
        with lookups_of_check() as lookups:
            result = await self._guarded(key, target, probe)
        if result.status is Status.DOWN and (lack := lookups.trouble()) is not None:
            return evolve(result, status=Status.UNKNOWN, message=lack)
        return result

    async def _guarded(self, key: tuple[str, str], target: Target, probe: Runnable) -> Result:
        plugin = key[0]
        started = self.clock.monotonic()

        async def look() -> tuple[Result, str | None]:
            return fit_result(await probe.check(target))

        try:
            result, wrong = await self.isolation.call(plugin, look, probe.timeout + DEADLINE_GRACE)
        except PluginFault as fault:
            if (lack := own_shortage(fault)) is not None:
                return Result.unknown(lack)
            return self._fault(key, fault)
        except TimeoutError:
            return self._overrun(key, probe.timeout)
        if wrong is not None:  # named, and run on: what is right about it counts
            self._books[key] = _Book(reason=wrong)
            self._mark(plugin, f"{wrong} (check {key[1]})", None)
        elif self._books.pop(key, None) is not None and not self._has_faults(plugin):
            self.plugins.recover(plugin)
        return result.with_latency(self.clock.monotonic() - started)

    def _fault(self, key: tuple[str, str], fault: PluginFault) -> Result:
        plugin, check_id = key
        book = self._books.setdefault(key, _Book())
        book.faults += 1
        book.reason = str(fault)
        if fault.severe:
            self.isolation.reset(plugin, fault)
        if fault.severe or book.faults >= FAULTS_TO_QUARANTINE:
            rest = min(QUARANTINE[0] * 2**book.rests, QUARANTINE[1])
            book.rests += 1
            book.resting_until = self.clock.monotonic() + rest
            self._mark(plugin, f"{fault} (check {check_id})", self._in(rest))
        else:
            self._mark(plugin, f"{fault} (check {check_id})", None)
        return Result.unknown(f"probe failed: plugin {plugin} {fault}")

    def _overrun(self, key: tuple[str, str], timeout: float) -> Result:
        """A run cancelled at its deadline. Perhaps the target hangs, perhaps the probe does.

        The alarm must ring for the first, so the target counts as down; the plugin is named only
        when it happens again and again, and goes on being run, since it obeys its cancellation.
        """
        plugin, check_id = key
        book = self._books.setdefault(key, _Book())
        book.overruns += 1
        if book.overruns >= FAULTS_TO_QUARANTINE:
            self._mark(
                plugin,
                f"did not end within its timeout of {timeout:g} s, {book.overruns} times in a row "
                f"(check {check_id})",
                None,
            )
        return Result.down(f"no answer within {timeout:g} s")

    def _mark(self, plugin: str, reason: str, retry_at: datetime | None) -> None:
        if self.plugins.fail(plugin, reason, retry_at):
            self.faulted(plugin, reason)

    def _has_faults(self, plugin: str) -> bool:
        return any(owner == plugin for owner, _ in self._books)

    def _in(self, seconds: float) -> datetime:
        return self.clock.now() + timedelta(seconds=seconds)

    def _seen(self, target: Target, name: str, result: Result) -> Observation:
        return Observation(target=target.name, check=name, at=self.clock.now(), result=result)

    async def close(self, plugin: str, probe: Probe) -> None:
        """Let a probe go. What it does wrong at this point hurts nobody."""
        with suppress(PluginFault, TimeoutError):
            await self.isolation.call(plugin, probe.close, DEADLINE_GRACE)

    def forget(self, check_id: str) -> None:
        """Close the book on a check that is gone."""
        for key in [key for key in self._books if key[1] == check_id]:
            del self._books[key]
            if not self._has_faults(key[0]):
                self.plugins.recover(key[0])


def patience_with(timeout: float, retries: int) -> float:
    """Seconds that a run takes at most, with all its tries."""
    return (retries + 1) * (timeout + DEADLINE_GRACE + RETRY_PAUSE) + DOUBT
