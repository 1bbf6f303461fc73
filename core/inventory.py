"""Which targets and checks there are: the configuration's and the sources', merged.

Sources discover, the configuration refines and wins. Whatever changes, by reload or discovery,
:meth:`Inventory.refresh` brings one target's checks into line and leaves alone what is the same.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from itertools import islice
from typing import Any

from attrs import define, evolve, frozen

from tocsin.core.clock import Clock
from tocsin.core.config import ConfigError, build_check
from tocsin.core.config.checks import broken_check
from tocsin.core.config.errors import Catalog
from tocsin.core.config.label_bounds import LEFT_OUT, UNSAID, out_of_bounds, too_many
from tocsin.core.config.settings import CheckSettings, Settings, SourceSettings, TargetSettings
from tocsin.core.contracts import Probe, PushProbe, Source
from tocsin.core.heartbeats import Heartbeats
from tocsin.core.hiding import clean
from tocsin.core.logs import get_logger
from tocsin.core.model import Beat, Observation, Reason, Result, Target
from tocsin.core.runner import Runner, patience_with
from tocsin.core.scheduler import Scheduler, spread_for
from tocsin.core.slots import CONFIGURATION
from tocsin.core.state import CheckState, LiveState

log = get_logger(__name__)


@frozen
class _Found:
    """A target as its source described it, and the checks its labels asked for."""

    source: str
    target: Target
    tables: Mapping[str, Mapping[str, Any]]
    checks: Mapping[str, CheckSettings]


@define
class _Pushed:
    """A push probe in the shape of a polled one: judges by the last beat."""

    probe: PushProbe
    key: str
    heartbeats: Heartbeats
    again: Callable[[float], None]
    timeout: float = 10.0
    retries: int = 0

    async def check(self, target: Target) -> Result:
        """Judge now, and be called again the moment the verdict can change by silence alone."""
        last, silence = self.heartbeats.last(self.key)
        for limit in (self.probe.period, self.probe.period + self.probe.grace):
            if limit >= silence:
                self.again(limit - silence + 0.001)
                break
        return self.probe.judge(target, last, silence)


class Inventory:
    """Keeps the live state and the scheduler in line with configuration and discovery."""

    def __init__(
        self,
        settings: Settings,
        *,
        state: LiveState,
        scheduler: Scheduler,
        runner: Runner,
        heartbeats: Heartbeats,
        catalog: Catalog,
        record: Callable[[Observation], None],
        clock: Clock,
    ) -> None:
        self.settings = settings
        self.state = state
        self._scheduler = scheduler
        self._runner = runner
        self._heartbeats = heartbeats
        self._catalog = catalog
        self._record = record
        self._clock = clock
        self._found: dict[str, _Found] = {}
        self._asked: Counter[str] = Counter()
        """How many checks labels ask for, by source."""
        self._bound: dict[str, CheckSettings] = {}
        self._keys: dict[str, str] = {}
        """Heartbeat key to check id."""
        self._closing: set[asyncio.Task[None]] = set()

    # What the configuration says

    def apply(self, settings: Settings) -> None:
        """Take over a configuration; what it leaves unchanged goes on undisturbed."""
        self.settings = settings
        for name, found in list(self._found.items()):
            if found.source not in settings.sources:
                self._keep(name, None)
            else:  # an interval or a plugin may have changed
                checks = self._build(found.source, found.target, found.tables)
                self._keep(name, evolve(found, checks=checks))
        wanted = {*settings.targets, *self._found}
        for name in [name for name in self.state.targets if name not in wanted]:
            self._remove(name)
        spread = spread_for(sum(len(t.checks) for t in settings.targets.values()))
        for name in wanted:
            self.refresh(name, spread)

    def refresh(self, name: str, spread: float = 0.0) -> None:
        """Bring one target into line; the first runs of new checks come within ``spread`` s."""
        said, found = self.settings.targets.get(name), self._found.get(name)
        if (said is None and found is None) or (said is not None and not said.enabled):
            self._remove(name)
            return
        source = self._source_of(name, said, found)
        self.state.put(
            merge(name, said, None if found is None else found.target),
            declared=said is not None and not said.automatic,
            source=None if source is None else source.name,
            at=self._clock.now(),
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
        self.state.put_check(
            CheckState(
                target=target,
                name=source.name,
                probe=source.probe_name,
                interval=source.interval,
                polled=False,
                broken=source.broken,
            )
        )
        if source.broken is not None:
            self._tell(target, source.name, Result.unknown(source.broken))

    def _bind(self, target: str, check: CheckSettings, spread: float, owner: str) -> None:
        check_id = f"{target}/{check.name}"
        before = self._bound.get(check_id)
        same_owner = self._scheduler.owner(check_id) in (owner, None)
        if before is not None and _same(before, check) and same_owner:
            return
        if before is not None:
            self._release(check_id, before)
        self._bound[check_id] = check
        state = CheckState(
            target=target,
            name=check.name,
            probe=check.probe_name,
            interval=check.interval,
            broken=None if check.broken is None else clean(check.broken),
        )
        self.state.put_check(state)
        if check.probe is None:
            reason = check.broken or f"no probe called {check.probe_name!r} is installed"
            self._tell(target, check.name, Result.unknown(f"cannot run: {reason}"))
            return
        self._scheduler.put(
            check_id,
            check.interval,
            self._run_of(target, check, check.probe),
            lambda missed: setattr(state, "skipped", state.skipped + missed),
            spread=spread,
            owner=owner,
            patience=patience_with(check.timeout, check.retries),
        )

    def _run_of(
        self, target: str, check: CheckSettings, probe: Probe | PushProbe
    ) -> Callable[[], Awaitable[None]]:
        check_id, plugin = f"{target}/{check.name}", check.plugin or ""
        runnable: Probe | _Pushed
        if isinstance(probe, PushProbe):
            key = probe.key or target
            self._keys[key] = check_id
            self._heartbeats.watch(key)
            runnable = _Pushed(
                probe, key, self._heartbeats, lambda s: self._scheduler.hasten(check_id, s)
            )
        else:
            runnable = probe

        async def run() -> None:
            if known := self.state.targets.get(target):
                await self._runner.run(
                    known.target, check.name, plugin, runnable,
                    # Also where the probe goes on after its cancellation.
                    is_wanted=lambda: self._bound.get(check_id) is check,
                )  # fmt: skip

        return run

    def _remove(self, name: str) -> None:
        known = self.state.targets.get(name)
        if known is not None:
            for check in list(known.checks):
                self._remove_check(name, check)
            self.state.drop(name)

    def _remove_check(self, target: str, name: str) -> None:
        check_id = f"{target}/{name}"
        if (check := self._bound.pop(check_id, None)) is not None:
            self._release(check_id, check)
        self.state.drop_check(target, name)

    def _release(self, check_id: str, check: CheckSettings) -> None:
        self._scheduler.remove(check_id)
        self._runner.forget(check_id)
        self._keys = {key: owner for key, owner in self._keys.items() if owner != check_id}
        if isinstance(check.probe, Probe):
            task = asyncio.ensure_future(self._runner.close(check.plugin or "", check.probe))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    # What the sources say

    def discovered(
        self, source: str, target: Target, tables: Mapping[str, Mapping[str, Any]] | None
    ) -> None:
        """A source sees a target, for the first time or in a new shape."""
        known = self._found.get(target.name)
        if known is not None and known.source != source:
            log.warning(
                "two sources see a target of the same name; the first one keeps it",
                target=target.name, source=source, first=known.source,
            )  # fmt: skip
            return
        tables = tables or {}
        if known is None or (known.target, known.tables) != (target, tables):
            checks = self._build(source, target, tables)
            self._keep(target.name, _Found(source, target, tables, checks))
            self.refresh(target.name)

    def retired(self, source: str, name: str, message: str) -> None:
        """A target was removed on purpose: forget it, or, where it is declared, miss it."""
        found = self._found.get(name)
        if found is not None and found.source == source:
            self._keep(name, None)
            self.refresh(name)
        self._miss(source, name, message)

    def synced(self, source: str, names: Collection[str]) -> None:
        """A source took a full inventory; what it did not see is gone, or missing."""
        for name in [n for n, f in self._found.items() if f.source == source and n not in names]:
            self.retired(source, name, "not found on the engine")
        for name, found in list(self._found.items()):
            if found.source == source and LEFT_OUT in found.checks:  # others may be gone
                checks = self._build(source, found.target, found.tables)
                if checks.keys() != found.checks.keys():
                    self._keep(name, evolve(found, checks=checks))
                    self.refresh(name)
        for name, known in self.state.targets.items():
            if known.source == source and known.declared and name not in names:
                self._miss(source, name, "not found on the engine")

    def impaired(self, source: str, message: str) -> None:
        """A source cannot see: its targets are unknown, whatever they were."""
        for name, known in self.state.targets.items():
            if known.source == source and source in known.checks:
                facts = known.container
                self._tell(
                    name,
                    source,
                    Result.unknown(
                        message,
                        container=None if facts is None else evolve(facts, reason=Reason.UNSEEN),
                    ),
                )

    def beat(self, key: str, beat: Beat) -> str:
        """Take in a heartbeat; returns the id of its check. Raises KeyError for an unknown key."""
        check_id = self._keys[key]
        self._heartbeats.receive(key, beat)
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

    def _build(
        self, source: str, target: Target, tables: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, CheckSettings]:
        settings = self.settings.sources.get(source)
        running = None if settings is None else settings.source
        checks = {}
        bounds, interval = running or UNSAID, self.settings.interval
        taken, beyond = too_many(len(tables), self._room_of(source, target, bounds), source, bounds)
        if beyond is not None:
            checks[LEFT_OUT] = broken_check(LEFT_OUT, "", beyond, {}, interval)
        for name, table in islice(tables.items(), taken):
            if (reason := out_of_bounds(name, table, source, bounds)) is not None:
                checks[name] = broken_check(name, str(table.get("probe")), reason, {}, interval)
                continue
            try:
                checks[name] = build_check(
                    target.name,
                    name,
                    table,
                    self._catalog,
                    interval=self.settings.interval,
                    source=source,
                    allowed=() if running is None else running.label_probes,
                )
            except ConfigError as error:
                log.warning(
                    "a check asked for by labels was left out",
                    target=target.name, check=name, reason=str(error),
                )  # fmt: skip
        return checks

    def _keep(self, name: str, found: _Found | None) -> None:
        """Keep what a source sees, or that it sees it no longer."""
        if (before := self._found.get(name)) is not None:
            self._asked[before.source] -= len(before.checks)
        if found is None:
            self._found.pop(name, None)
        else:
            self._found[name] = found
            self._asked[found.source] += len(found.checks)

    def _room_of(self, source: str, target: Target, bounds: Source) -> int:
        """How many checks labels of a target may ask for, next to those of the source's others."""
        own = self._found.get(target.name)
        others = self._asked[source] - (0 if own is None else len(own.checks))
        return bounds.label_checks_in_all - others

    def _tell(self, target: str, check: str, result: Result) -> None:
        self._record(Observation(target=target, check=check, at=self._clock.now(), result=result))

    def close(self) -> None:
        """Let go of every check."""
        for check_id, check in self._bound.items():
            self._release(check_id, check)
        self._bound.clear()


def _same(before: CheckSettings, after: CheckSettings) -> bool:
    return (before.probe, before.broken, before.interval, before.plugin) == (
        after.probe,
        after.broken,
        after.interval,
        after.plugin,
    )


def merge(name: str, said: TargetSettings | None, found: Target | None) -> Target:
    """One target out of what the configuration says and a source found; the former wins."""
    target = found or Target(name=name)
    if said is None:
        return target
    return Target(
        name=name,
        kind=said.kind if said.kind is not None else target.kind,
        critical=said.critical if said.critical is not None else target.critical,
        depends_on=said.depends_on if said.depends_on is not None else target.depends_on,
        expected={**target.expected, **said.expected},
        labels={**target.labels, **said.labels},
    )
