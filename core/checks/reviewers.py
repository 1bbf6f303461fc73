"""Reviewers: plugins that examine a ``down`` result before it counts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping

from attrs import define, evolve, field

from tocsin.core.checks.polled_check import PolledCheck
from tocsin.core.checks.runnable import Runnable
from tocsin.core.config.settings import ReviewerSettings
from tocsin.core.contracts.model import Result, Status, Target
from tocsin.core.contracts.probe import Probe
from tocsin.core.contracts.reviewer import ReviewerRuntime, ReviewRequest
from tocsin.core.plugin.runtimes import OPEN_DEADLINE, Runtime
from tocsin.core.plugin.sandbox import Isolation, PluginFault
from tocsin.core.shapes import fit_reason

DEADLINE = 40.0
"""Timeout, in seconds, of a review; then the result stands."""

HOST_DEADLINE = 1.0
"""Timeout, in seconds, of a probe's ``network_host``."""

MOST_HOSTS = 20
"""Hosts of one check that are reviewed."""


@define(eq=False)
class _Active:
    """One reviewer."""

    settings: ReviewerSettings
    plugin: str
    runtime: Runtime[ReviewerRuntime]
    opening: asyncio.Task[None] | None = None

    @property
    def part(self) -> str:
        """The part of the plugin that is at fault if it fails."""
        return f"reviewer {self.settings.name}"


@define
class Reviewers:
    """All reviewers."""

    isolation: Isolation
    _active: dict[str, _Active] = field(init=False, factory=dict)

    async def apply(self, settings: Mapping[str, ReviewerSettings]) -> None:
        """Apply a configuration; unchanged reviewers continue."""
        for name, active in list(self._active.items()):
            if settings.get(name) != active.settings:
                del self._active[name]
                await self._end(active)
        for name, one in sorted(settings.items()):
            if name not in self._active and one.reviewer is not None:
                plugin = one.plugin or ""
                runtime = Runtime(one.reviewer, self.isolation.contexts.of(plugin, name))
                active = self._active[name] = _Active(one, plugin, runtime)
                active.opening = asyncio.create_task(self._open(active), name=f"reviewer {name}")

    async def stop(self) -> None:
        """Close all reviewers."""
        active, self._active = list(self._active.values()), {}
        await asyncio.gather(*map(self._end, active))

    async def confirm_down(
        self, plugin: str, check: Runnable, target: Target, name: str, result: Result
    ) -> Result:
        """Return a ``down`` result, or ``unknown`` if a reviewer says that it is not valid.

        Never raises; the reviewers are asked one after the other, in the order of their names.

        Args:
            plugin: the plugin that the probe belongs to.
            check: the check.
            target: the target that was checked.
            name: name of the check.
            result: the result.
        """
        if not self._active or not isinstance(check, PolledCheck):
            return result
        hosts = await self._hosts(plugin, check.probe, target)
        request = ReviewRequest(target=target, check=name, result=result, hosts=hosts)
        for active in list(self._active.values()):
            if (reason := await self._review(active, request)) is not None:
                text = f"{reason}, so this result is not valid: {result.message}"
                return evolve(result, status=Status.UNKNOWN, message=text)
        return result

    async def _hosts(self, plugin: str, probe: Probe, target: Target) -> tuple[str, ...]:
        if type(probe).network_host is Probe.network_host:
            return ()

        async def ask() -> object:
            return probe.network_host(target)

        with contextlib.suppress(PluginFault, TimeoutError):
            named = await self.isolation.call(plugin, ask, HOST_DEADLINE)
            hosts = named if isinstance(named, tuple) else (named,)
            return tuple(host for host in hosts[:MOST_HOSTS] if isinstance(host, str) and host)
        return ()

    async def _open(self, active: _Active) -> None:
        async def open_it() -> None:
            await active.runtime.get()

        with self._judged(active):
            await self.isolation.call(active.plugin, open_it, OPEN_DEADLINE + 1)

    async def _review(self, active: _Active, request: ReviewRequest) -> str | None:
        async def review() -> str | None:
            return fit_reason(await (await active.runtime.get()).review(request))

        reason = None
        with self._judged(active):
            reason = await self.isolation.call(active.plugin, review, DEADLINE)
        return reason

    @contextlib.contextmanager
    def _judged(self, active: _Active) -> Iterator[None]:
        """Suppress faults of a reviewer, and mark its plugin as failed until it works again."""
        try:
            yield
        except PluginFault as fault:
            self.isolation.breach(active.plugin, active.part, fault)
        except TimeoutError:
            self.isolation.breach(active.plugin, active.part, "did not end in time")
        else:
            self.isolation.works(active.plugin, active.part)

    async def _end(self, active: _Active) -> None:
        if active.opening is not None:
            active.opening.cancel()
            await asyncio.gather(active.opening, return_exceptions=True)
        await self.isolation.close(active.plugin, active.runtime)
        self.isolation.works(active.plugin, active.part)
