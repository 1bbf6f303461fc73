"""The checks that run now: each is a probe bound to a target, in the state and in the scheduler."""

from __future__ import annotations

import asyncio

from attrs import define, field

from tocsin.core.checks.check_runner import Runner, patience_with
from tocsin.core.checks.heartbeats import BeatJudge, Heartbeats, Keys
from tocsin.core.checks.label_checks import LABELS
from tocsin.core.checks.polled_check import PolledCheck
from tocsin.core.checks.runnable import Runnable
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


@define(eq=False)
class BoundCheck:
    """A check of a target, which the scheduler runs.

    Attributes:
        target: name of the target.
        settings: of the check.
        runner: makes its runs.
        executor: receives what they see.
        runnable: what a run does; None if the check cannot run.
    """

    target: str
    settings: CheckSettings
    runner: Runner
    executor: Executor
    runnable: Runnable | None = None
    _is_bound: bool = field(init=False, default=True)

    async def run(self) -> None:
        """Run the check once, and report what it saw."""
        known = self.executor.monitor.state.targets.get(self.target)
        if known is None or self.runnable is None:
            return
        settings = self.settings
        seen = await self.runner.run(
            known.target, settings.name, settings.plugin or "", self.runnable
        )
        if self._is_bound:  # it may have been removed meanwhile
            self.executor.observe(seen)

    def skip(self, missed: int) -> None:
        """Report runs that were left out."""
        self.executor.handle(RunsSkipped(self.target, self.settings.name, missed))

    def release(self) -> Runnable | None:
        """Drop what a run that is under way still sees; return what has to be closed."""
        self._is_bound = False
        return self.runnable if self.runnable is not None and self.runnable.is_used else None


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
    _bound: dict[str, BoundCheck] = field(init=False, factory=dict)
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
        if before is not None and before.settings.runs_like(check) and same_owner:
            return
        if before is not None:
            self._release(check_id, before)
        bound = self._bound[check_id] = BoundCheck(target, check, self.runner, self.executor)
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
        bound.runnable = self._runnable(check_id, target, check, check.probe)
        self.scheduler.put(
            check_id,
            check.interval,
            bound,
            spread=spread,
            owner=owner,
            patience=patience_with(check.timeout, check.retries),
        )

    def remove(self, target: str, name: str) -> None:
        """Remove a check from the state and the scheduler, where it is there."""
        check_id = f"{target}/{name}"
        if (bound := self._bound.pop(check_id, None)) is not None:
            self._release(check_id, bound)
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
        for check_id, bound in self._bound.items():
            self._release(check_id, bound)
        self._bound.clear()

    def _runnable(
        self, check_id: str, target: str, check: CheckSettings, probe: Probe | PushProbe
    ) -> Runnable:
        if not isinstance(probe, PushProbe):
            contexts = self.runner.isolation.contexts
            return PolledCheck(probe, contexts.of(check.plugin or "", check_id))
        key = probe.key or target
        self._heartbeats.watch(key)
        return BeatJudge(
            probe, check_id, key, self._keys, self._heartbeats,
            lambda s: self.scheduler.hasten(check_id, s),
        )  # fmt: skip

    def _want(self, check_id: str, key: str | None, *, configured: bool = False) -> None:
        """Give a check the heartbeats of ``key``, None: of none; checks that gain or lose a key
        are judged again at once."""
        for other in self._keys.want(check_id, key, configured=configured):
            self.scheduler.hasten(other, 0)

    def _release(self, check_id: str, bound: BoundCheck) -> None:
        self.scheduler.remove(check_id)
        self.runner.faults.forget(check_id)
        if (used := bound.release()) is not None:
            isolation, plugin = self.runner.isolation, bound.settings.plugin or ""
            task = asyncio.ensure_future(isolation.close(plugin, used))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
