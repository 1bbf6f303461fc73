"""Which targets and checks there are: the configuration's and the sources', merged.

Sources discover, the configuration refines and wins. Whatever changes, by reload or discovery,
:meth:`Inventory.refresh` brings one target's checks into line and leaves alone what is the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

from attrs import evolve, frozen

from tocsin.core.checks.check_runner import Runner, patience_with
from tocsin.core.checks.heartbeats import BeatJudge, Heartbeats, Keys
from tocsin.core.checks.label_checks import LABELS, LabelChecks
from tocsin.core.checks.naming import Names, Own
from tocsin.core.checks.scheduler import Scheduler, spread_for
from tocsin.core.checks.slots import CONFIGURATION
from tocsin.core.clock import Clock
from tocsin.core.config.errors import Catalog
from tocsin.core.config.settings import CheckSettings, Settings, SourceSettings, TargetSettings
from tocsin.core.contracts.base import Claim, Probe, PushProbe
from tocsin.core.contracts.model import Heartbeat, Observation, Reason, Result, Target
from tocsin.core.hiding import clean
from tocsin.core.logs import get_logger
from tocsin.core.monitor.events import (
    BeatReceived,
    CheckGone,
    CheckPut,
    RunsSkipped,
    TargetGone,
    TargetPut,
)
from tocsin.core.monitor.executor import Executor
from tocsin.core.state import CheckState, LiveState

log = get_logger(__name__)

UNWATCHED = "the configuration watches it no more"


@frozen
class _Found:
    """A target as its source described it, what it is called here, and what its labels come to."""

    source: str
    target: Target
    tables: Mapping[str, Mapping[str, Any]]
    claim: Claim
    name: str
    depends_on: tuple[str, ...]
    refused: tuple[str, ...]
    checks: Mapping[str, CheckSettings]


class Inventory:
    """Keeps the live state and the scheduler in line with configuration and discovery."""

    def __init__(
        self,
        settings: Settings,
        *,
        executor: Executor,
        scheduler: Scheduler,
        runner: Runner,
        catalog: Catalog,
        clock: Clock,
    ) -> None:
        self.settings = settings
        self.executor = executor
        self._scheduler = scheduler
        self._runner = runner
        self._heartbeats = Heartbeats(executor.monitor.state.beats, clock)
        self._clock = clock
        self._found: dict[Own, _Found] = {}
        self._label_checks = LabelChecks(catalog)
        self._names = Names()
        self._names.configure(settings)
        self._bound: dict[str, CheckSettings] = {}
        self._keys = Keys()
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def state(self) -> LiveState:
        """What is known now of targets and checks."""
        return self.executor.monitor.state

    # What the configuration says

    def apply(self, settings: Settings) -> None:
        """Take over a configuration; what it leaves unchanged goes on undisturbed."""
        self.settings = settings
        self._names.configure(settings)
        for own in [own for own in self._found if own[0] not in settings.sources]:
            self._forget(own)
        for own, found in list(self._found.items()):
            self._place(own, found.target, found.tables, found.claim)
        for own, found in list(self._found.items()):  # an interval or a plugin may have changed
            self._found[own] = evolve(found, checks=self._build(found))
        wanted = dict.fromkeys((*settings.targets, *(f.name for f in self._found.values())))
        for name in [name for name in self.state.targets if name not in wanted]:
            self._remove(name, UNWATCHED)
        spread = spread_for(sum(len(t.checks) for t in settings.targets.values()))
        for name in wanted:
            self.refresh(name, spread)

    def refresh(self, name: str, spread: float = 0.0, gone: str = UNWATCHED) -> None:
        """Bring one target into line, new checks within ``spread`` s; ``gone``: why it may go."""
        said, found = self.settings.targets.get(name), self._found_as(name)
        if (said is None and found is None) or (said is not None and not said.enabled):
            self._remove(name, gone)
            return
        source = self._source_of(name, said, found)
        described = Target(name=name) if found is None else self._described(found)
        self.executor.handle(
            TargetPut(
                described if said is None else said.refine(described),
                source=None if source is None else source.name,
                declared=said is not None and not said.automatic,
            )
        )
        wanted = {**(found.checks if found else {}), **(said.checks if said else {})}
        keep = set(wanted)
        if source is not None:
            keep.add(source.name)
            self._watch_by(source, name)
        for gone in [c for c in self.state.targets[name].checks if c not in keep]:
            self._remove_check(name, gone)
        for check in wanted.values():
            configured = said is not None and check.name in said.checks
            owner = CONFIGURATION if configured or found is None else found.source
            self._bind(name, check, spread, owner)

    def _source_of(
        self, name: str, said: TargetSettings | None, found: _Found | None
    ) -> SourceSettings | None:
        """The source that sees a target, or is expected to."""
        sources = self.settings.sources
        if found is not None:
            return sources.get(found.source)
        if said is None or said.kind is None:
            return None
        if said.source is not None:
            return sources.get(said.source)
        able = [s for s in sources.values() if s.target_kind == said.kind]
        suffix = name.rpartition("@")[2]
        return next((s for s in able if s.name == suffix), able[0] if able else None)

    def _watch_by(self, source: SourceSettings, target: str) -> None:
        known = self.state.targets[target].checks.get(source.name)
        if known is not None and (known.interval, known.broken) == (source.interval, source.broken):
            return
        made = CheckState(
            target=target,
            name=source.name,
            probe=source.probe_name,
            interval=source.interval,
            polled=False,
            broken=source.broken,
        )
        self.executor.handle(CheckPut(made))
        if source.broken is not None:
            self._tell(target, source.name, Result.unknown(source.broken))

    def _bind(self, target: str, check: CheckSettings, spread: float, owner: str) -> None:
        check_id = f"{target}/{check.name}"
        key = (check.probe.key or target) if isinstance(check.probe, PushProbe) else None
        self._want(check_id, key, configured=owner == CONFIGURATION)
        before = self._bound.get(check_id)
        same_owner = self._scheduler.owner(check_id) in (owner, None)
        if before is not None and before.runs_like(check) and same_owner:
            return
        if before is not None:
            self._release(check_id, before)
        self._bound[check_id] = check
        state = CheckState(
            target=target,
            name=check.name,
            probe=clean(check.probe_name, longest=100),  # a label may say anything
            interval=check.interval,
            broken=None if check.broken is None else clean(check.broken),
            remark=check.name == LABELS,
        )
        self.executor.handle(CheckPut(state))
        if check.probe is None:
            reason = check.broken or f"no probe called {check.probe_name!r} is installed"
            if state.remark:
                log.warning("labels are not heeded", target=target, reason=reason)
            words = reason if state.remark else f"cannot run: {reason}"
            self._tell(target, check.name, Result.unknown(words))
            return
        self._scheduler.put(
            check_id,
            check.interval,
            self._run_of(target, check, check.probe),
            lambda missed: self.executor.handle(RunsSkipped(target, check.name, missed)),
            spread=spread,
            owner=owner,
            patience=patience_with(check.timeout, check.retries),
        )

    def _run_of(
        self, target: str, check: CheckSettings, probe: Probe | PushProbe
    ) -> Callable[[], Awaitable[None]]:
        check_id, plugin = f"{target}/{check.name}", check.plugin or ""
        runnable: Probe | BeatJudge
        if isinstance(probe, PushProbe):
            key = probe.key or target
            self._heartbeats.watch(key)
            runnable = BeatJudge(
                probe, check_id, key, self._keys, self._heartbeats,
                lambda s: self._scheduler.hasten(check_id, s),
            )  # fmt: skip
        else:
            runnable = probe

        async def run() -> None:
            if known := self.state.targets.get(target):
                seen = await self._runner.run(known.target, check.name, plugin, runnable)
                if self._bound.get(check_id) is check:  # it may have been taken away meanwhile
                    self.executor.observe(seen)

        return run

    def _remove(self, name: str, why: str) -> None:
        known = self.state.targets.get(name)
        if known is not None:
            for check in list(known.checks):
                self._remove_check(name, check)
            self.executor.handle(TargetGone(name, why))

    def _remove_check(self, target: str, name: str) -> None:
        check_id = f"{target}/{name}"
        if (check := self._bound.pop(check_id, None)) is not None:
            self._release(check_id, check)
            self._want(check_id, None)
        self.executor.handle(CheckGone(target, name))

    def _want(self, check_id: str, key: str | None, *, configured: bool = False) -> None:
        """A check wants the beats of a key, or none; whom that gives or takes them judges anew."""
        for other in self._keys.want(check_id, key, configured=configured):
            self._scheduler.hasten(other, 0)

    def _release(self, check_id: str, check: CheckSettings) -> None:
        self._scheduler.remove(check_id)
        self._runner.faults.forget(check_id)
        if isinstance(check.probe, Probe):
            task = asyncio.ensure_future(self._runner.close(check.plugin or "", check.probe))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    # What the sources say

    def discovered(
        self,
        source: str,
        target: Target,
        tables: Mapping[str, Mapping[str, Any]] | None,
        claim: Claim | None = None,
    ) -> None:
        """A source sees a target, for the first time or in a new shape."""
        name = self._place((source, target.name), target, tables or {}, claim or Claim())
        if name is not None:
            self.refresh(name)

    def _place(
        self,
        own: Own,
        target: Target,
        tables: Mapping[str, Mapping[str, Any]],
        claim: Claim,
    ) -> str | None:
        """Give what a source found its name, and build its checks. Returns the name where there is
        anything new."""
        known = self._found.get(own)
        displaced = self._names.displaced(own, claim)
        name, why = self._names.give(own, claim)
        refused = claim.refused if why is None else (why, *claim.refused)
        depends_on = target.depends_on
        said = self.settings.targets.get(name)
        if claim.depends_on and said is not None and not self._names.accepts(name, claim):
            depends_on = ()
            if target.depends_on and said.depends_on is None:
                remedy = f"depends_on or match in [targets.{name}] does"
                refused = (*refused, f"the label tocsin.depends_on adds nothing to it; {remedy}")
        found = _Found(own[0], target, tables, claim, name, depends_on, refused, {})
        if known is not None and found == evolve(known, checks={}):
            return None
        self._found[own] = found = evolve(found, checks=self._build(found))
        for other in displaced:  # it was called so by a label, and has to make way
            self._place_again(other)
        if known is not None and known.name != name:
            self._move(own, known.name, name)
        if name != own[1] or (known is not None and known.name != name):
            for each in [f for f in self._found.values() if own[1] in f.target.depends_on]:
                if each is not found:
                    self.refresh(each.name)
        return name

    def _place_again(self, own: Own) -> None:
        its = self._found[own]
        if (new := self._place(own, its.target, its.tables, its.claim)) is not None:
            self.refresh(new)

    def _move(self, own: Own, before: str, name: str) -> None:
        """A target is called by another name: what its source saw of it goes along."""
        known = self.state.targets.get(before)
        check = None if known is None else known.checks.get(own[0])
        self._leave(own[0], before, "not found on the engine")
        self.refresh(name)
        if check is not None and check.last is not None:
            self._tell(name, own[0], check.last.result)

    def _leave(self, source: str, name: str, message: str) -> None:
        """A name stands for something else now, or for nothing: forget what was seen under it."""
        self._remove_check(name, source)
        self.refresh(name, gone="it goes by another name now")
        for other in self._names.alone((name,)):
            self._place_again(other)
        if self._names.owner(name) is None:
            self._miss(source, name, message)

    def _forget(self, own: Own) -> None:
        del self._found[own]
        self._label_checks.forget(own)
        self._names.take_back(own)

    def _found_as(self, name: str) -> _Found | None:
        own = self._names.owner(name)
        return None if own is None else self._found.get(own)

    def _described(self, found: _Found) -> Target:
        """What a source found, by the names that targets have here."""
        others = dict.fromkeys(self._names.of((found.source, own)) for own in found.depends_on)
        depends_on = tuple(other for other in others if other != found.name)
        service = found.target.service and self._names.of((found.source, found.target.service))
        return evolve(found.target, name=found.name, depends_on=depends_on, service=service)

    def name_of(self, source: str, own: str) -> str:
        """What the target is called that a source knows by its own name."""
        return self._names.of((source, own))

    def own_name(self, source: str, name: str) -> str:
        """What a source itself calls a target."""
        own = self._names.owner(name)
        return own[1] if own is not None and own[0] == source else name

    def retired(self, source: str, name: str, message: str) -> None:
        """A target, by its own name, was removed on purpose: forget it; or miss it, if declared."""
        self._retire([(source, name)], message)

    def _retire(self, gone: list[Own], message: str = "not found on the engine") -> None:
        names = {own: self._names.of(own) for own in gone}
        also = list(names.values())
        for own in [own for own in gone if own in self._found]:
            also += self._found[own].claim.also
            self._forget(own)
            self.refresh(names[own], gone=f"it was {message}")
        for other in self._names.alone(also):  # it may be meant alone now
            self._place_again(other)
        for source, name in [(o[0], n) for o, n in names.items() if not self._names.owner(n)]:
            self._miss(source, name, message)

    def synced(self, source: str, names: Collection[str]) -> None:
        """A source took a full inventory; what it did not see is gone, or missing."""
        self._retire([own for own in self._found if own[0] == source and own[1] not in names])
        for each in self._label_checks.short_of(source):  # others may be gone
            found = self._found[each]
            checks = self._build(found)
            if checks.keys() != found.checks.keys():
                self._found[each] = evolve(found, checks=checks)
                self.refresh(found.name)
        called = {self.name_of(source, own) for own in names}
        for name, known in self.state.targets.items():
            if known.source == source and known.declared and name not in called:
                self._miss(source, name, "not found on the engine")

    def impaired(self, source: str, message: str) -> None:
        """A source cannot see: its targets are unknown, whatever they were."""
        for name, known in self.state.targets.items():
            if known.source == source and source in known.checks:
                facts = known.container and evolve(known.container, reason=Reason.UNSEEN)
                self._tell(name, source, Result.unknown(message, container=facts))

    def beat(self, key: str, beat: Heartbeat) -> str:
        """Take in a heartbeat; returns the id of its check. Raises KeyError for an unknown key."""
        check_id = self._keys.owner(key)
        if check_id is None:
            raise KeyError(key)
        self.executor.handle(BeatReceived(key, beat))
        self._heartbeats.receive(key)
        self._scheduler.hasten(check_id, 0)
        return check_id

    def _miss(self, source: str, name: str, message: str) -> None:
        known = self.state.targets.get(name)
        if known is None or source not in known.checks:
            return
        last = known.checks[source].last
        if last is None or last.result.attributes.get("reason") != Reason.MISSING:
            text = f"missing: declared in the configuration, {message}"
            self._tell(name, source, Result.down(text, attributes={"reason": Reason.MISSING}))

    def _build(self, found: _Found) -> dict[str, CheckSettings]:
        source, own = self.settings.sources.get(found.source), (found.source, found.target.name)
        return self._label_checks.build(own, found.name, found.tables, found.refused,
                                        source=source, interval=self.settings.interval)  # fmt: skip

    def _tell(self, target: str, check: str, result: Result) -> None:
        seen = Observation(target=target, check=check, at=self._clock.now(), result=result)
        self.executor.observe(seen)

    def close(self) -> None:
        """Let go of every check."""
        for check_id, check in self._bound.items():
            self._release(check_id, check)
        self._bound.clear()
