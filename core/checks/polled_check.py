"""A probe and its runtime, as the runner and the reviewers use them."""

from __future__ import annotations

import asyncio

from attrs import define, field

from tocsin.core.contracts.context import Context
from tocsin.core.contracts.model import CheckError, Result, Target
from tocsin.core.contracts.probe import Probe, ProbeRuntime
from tocsin.core.hosts.proxies import HostedCheck
from tocsin.core.plugin.runtimes import Runtime
from tocsin.core.shapes import fit_result


@define(eq=False)
class PolledCheck:
    """One check of a probe.

    Attributes:
        probe: its options.
        context: what the core gives to its runtime.
    """

    probe: Probe
    context: Context
    _runtime: Runtime[ProbeRuntime] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._runtime = Runtime(self.probe, self.context)

    @property
    def timeout(self) -> float:
        """Timeout of one try, in seconds."""
        return self.probe.timeout

    @property
    def retries(self) -> int:
        """Number of further tries before a ``down`` counts."""
        return self.probe.retries

    @property
    def is_used(self) -> bool:
        """Return whether it has to be closed."""
        return self._runtime.is_used

    def is_open_in(self, loop: asyncio.AbstractEventLoop | None) -> bool:
        """Return whether a try can be made in a loop without opening the runtime first."""
        return self._runtime.is_open_in(loop) or type(self.probe).open is Probe.open

    async def open(self) -> Result | None:
        """Open the runtime; return the result if it cannot open yet. Runs code of the plugin."""
        try:
            await self._runtime.get()
        except CheckError as error:
            return Result.failed(error)
        return None

    async def look(self, target: Target) -> tuple[Result, str | None]:
        """Make one try; return its result, and what was invalid in it or None. Runs code of the
        plugin."""
        try:
            runtime = await self._runtime.get()
            if isinstance(runtime, HostedCheck):
                return await runtime.look(target)
            return fit_result(await runtime.check(target))
        except CheckError as error:
            return Result.failed(error), None

    async def close(self) -> None:
        """Close the runtime; runs code of the plugin."""
        await self._runtime.close()
