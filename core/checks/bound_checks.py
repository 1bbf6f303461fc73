"""The checks that run now: each is a probe bound to a target, in the state and in the scheduler."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from attrs import define, field

from tocsin.core.checks.check_runner import Runnable, Runner, patience_with
from tocsin.core.checks.heartbeats import BeatJudge, Heartbeats, Keys
from tocsin.core.checks.label_checks import LABELS
from tocsin.core.checks.polled_check import PolledCheck
from tocsin.core.checks.scheduler import Scheduler
from tocsin.core.checks.slots import CONFIGURATION
from tocsin.core.clock import Clock
from tocsin.core.config.settings import CheckSettings
from tocsin.core.contracts.model import Heartbeat, Observation, Result
from tocsin.core.contracts.probe import Probe, PushProbe
from tocsin.core.hiding import clean
from tocsin.core.logs import get_logger
from tocsin.core.monitor.events import BeatReceived, CheckGone, CheckPut, RunsSkipped
from tocsin.core.monitor.executor import Executor
from tocsin.core.state import CheckState

log = get_logger(__name__)


@define(kw_only=True)
class BoundChecks:
    """Binds checks to targets, replaces and removes them.

    Attributes:
        executor: receives the events about checks, and their results.
        scheduler: decides when a check runs.
        runner: runs it.
        clock: the time.
    """

    executor: Executor
    scheduler: Scheduler
    runner: Runner
    clock: Clock
    _bound: dict[str, CheckSettings] = field(init=False, factory=dict)
    _runnables: dict[str, Runnable] = field(init=False, factory=dict)
    _keys: Keys = field(init=False, factory=Keys)
    _heartbeats: Heartbeats = field(init=False)
    _closing: set[asyncio.Task[None]] = field(init=False, factory=set)

    def __attrs_post_init__(self) -> None:
        self._heartbeats = Heartbeats(self.executor.monitor.state.beats, self.clock)

    def bind(self, target: str, check: CheckSettings, spread: float, owner: str) -> None:
        """Let a check run on a target; one that runs already in the same way is left alone.

        Args:
            target: name of the target.
            check: what to run.
            spread: seconds within which its first run takes place.
            owner: whose share of the scheduler's slots it uses: ``CONFIGURATION`` or a source.
        """
        check_id = f"{target}/{check.name}"
        key = (check.probe.key or target) if isinstance(check.probe, PushProbe) else None
        self._want(check_id, key, configured=owner == CONFIGURATION)
        before = self._bound.get(check_id)
        same_owner = self.scheduler.owner(check_id) in (owner, None)
        if before is not None and before.runs_like(check) and same_owner:
            return
        if before is not None:
            self._release(check_id, before)
        self._bound[check_id] = check
        state = CheckState(
            target=target,
            name=check.name,
            probe=clean(check.probe_name, longest=100),  # a label may contain any text
            interval=check.interval,
            broken=None if check.broken is None else clean(check.broken),
            remark=check.name == LABELS,
        )
        self.executor.handle(CheckPut(state))
        if check.probe is None:
            reason = check.broken or f"no probe called {check.probe_name!r} is installed"
            if state.remark:
                log.warning("labels are ignored", target=target, reason=reason)
            words = reason if state.remark else f"cannot run: {reason}"
            self.observe(target, check.name, Result.unknown(words))
            return
        self.scheduler.put(
            check_id,
            check.interval,
            self._run_of(target, check, check.probe),
            lambda missed: self.executor.handle(RunsSkipped(target, check.name, missed)),
            spread=spread,
            owner=owner,
            patience=patience_with(check.timeout, check.retries),
        )

    def remove(self, target: str, name: str) -> None:
        """Remove a check from the state and the scheduler, where it is there."""
        check_id = f"{target}/{name}"
        if (check := self._bound.pop(check_id, None)) is not None:
            self._release(check_id, check)
            self._want(check_id, None)
        self.executor.handle(CheckGone(target, name))

    def observe(self, target: str, check: str, result: Result) -> None:
        """Take ``result`` as what a check saw now."""
        seen = Observation(target=target, check=check, at=self.clock.now(), result=result)
        self.executor.observe(seen)

    def beat(self, key: str, beat: Heartbeat) -> str:
        """Record a heartbeat.

        Args:
            key: the name in the URL of the heartbeat.
            beat: what the job reported.

        Returns:
            The id of the check that uses the key.

        Raises:
            KeyError: no check uses it.
        """
        check_id = self._keys.owner(key)
        if check_id is None:
            raise KeyError(key)
        self.executor.handle(BeatReceived(key, beat))
        self._heartbeats.receive(key)
        self.scheduler.hasten(check_id, 0)
        return check_id

    def close(self) -> None:
        """Release every check; the state keeps them."""
        for check_id, check in self._bound.items():
            self._release(check_id, check)
        self._bound.clear()

    def _run_of(
        self, target: str, check: CheckSettings, probe: Probe | PushProbe
    ) -> Callable[[], Awaitable[None]]:
        check_id, plugin = f"{target}/{check.name}", check.plugin or ""
        runnable: Runnable
        if isinstance(probe, PushProbe):
            key = probe.key or target
            self._heartbeats.watch(key)
            runnable = BeatJudge(
                probe, check_id, key, self._keys, self._heartbeats,
                lambda s: self.scheduler.hasten(check_id, s),
            )  # fmt: skip
        else:
            runnable = PolledCheck(probe, self.runner.isolation.contexts.of(plugin, check_id))
        self._runnables[check_id] = runnable
        targets = self.executor.monitor.state.targets

        async def run() -> None:
            if known := targets.get(target):
                seen = await self.runner.run(known.target, check.name, plugin, runnable)
                if self._bound.get(check_id) is check:  # it may have been removed meanwhile
                    self.executor.observe(seen)

        return run

    def _want(self, check_id: str, key: str | None, *, configured: bool = False) -> None:
        """Give a check the heartbeats of ``key``, None: of none; checks that gain or lose a key
        are judged again at once."""
        for other in self._keys.want(check_id, key, configured=configured):
            self.scheduler.hasten(other, 0)

    def _release(self, check_id: str, check: CheckSettings) -> None:
        self.scheduler.remove(check_id)
        self.runner.faults.forget(check_id)
        runnable = self._runnables.pop(check_id, None)
        if runnable is not None and runnable.is_used:
            task = asyncio.ensure_future(self.runner.close(check.plugin or "", runnable))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
