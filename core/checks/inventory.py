"""The targets and checks that exist: those of the configuration and of the sources, merged.

Sources discover targets; the configuration adds to them and takes precedence. After any change, by
reload or discovery, :meth:`Inventory.refresh` updates one target's checks; equal ones are kept.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from attrs import evolve, frozen

from tocsin.core.checks.bound_checks import BoundChecks
from tocsin.core.checks.check_runner import Runner
from tocsin.core.checks.label_checks import LabelChecks
from tocsin.core.checks.naming import Names, Own
from tocsin.core.checks.scheduler import Scheduler, spread_for
from tocsin.core.checks.slots import CONFIGURATION
from tocsin.core.checks.source_checks import SourceChecks, source_of
from tocsin.core.clock import Clock
from tocsin.core.config.errors import Catalog
from tocsin.core.config.settings import CheckSettings, Settings
from tocsin.core.contracts.model import Target
from tocsin.core.contracts.source import Claim
from tocsin.core.logs import get_logger
from tocsin.core.monitor.events import TargetGone, TargetPut
from tocsin.core.monitor.executor import Executor
from tocsin.core.state import LiveState

log = get_logger(__name__)

STEP = 100
"""Number of targets that are updated for a new configuration before checks may run."""

UNWATCHED = "the configuration no longer watches it"


@frozen
class _Found:
    """A target as its source described it, its name, and the checks that its labels request."""

    source: str
    target: Target
    tables: Mapping[str, Mapping[str, Any]]
    claim: Claim
    name: str
    depends_on: tuple[str, ...]
    refused: tuple[str, ...]
    checks: Mapping[str, CheckSettings]


class Inventory:
    """Updates the live state and the scheduler according to configuration and discovery."""

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
        self.checks = BoundChecks(
            executor=executor, scheduler=scheduler, runner=runner, clock=clock
        )  # fmt: skip
        self._source_checks = SourceChecks(executor, self.checks)
        self._clock = clock
        self._found: dict[Own, _Found] = {}
        self._label_checks = LabelChecks(catalog)
        self._names = Names()
        self._names.configure(settings)

    @property
    def state(self) -> LiveState:
        """The present state of targets and checks."""
        return self.executor.monitor.state

    # Changes of the configuration

    def apply(self, settings: Settings) -> None:
        """Apply a configuration; unchanged checks continue."""
        for _ in self.applying(settings):
            pass

    def retiring(self, settings: Settings) -> Iterator[None]:
        """Remove the targets that a configuration no longer has, in steps, before its other parts
        apply: what mutes their alerts may go with them, and must not end before them."""
        for own in [own for own in self._found if own[0] not in settings.sources]:
            self._forget(own)
        for number, name in enumerate(list(self.state.targets), 1):
            said = settings.targets.get(name)
            if (said is None and self._found_as(name) is None) or (said and not said.enabled):
                self._remove(name, UNWATCHED)
            if number % STEP == 0:
                yield

    def applying(self, settings: Settings) -> Iterator[None]:
        """Apply a configuration in steps of some milliseconds, so that checks run in between.

        It is in force from the first step on, also for what sources find meanwhile.

        Yields:
            None, after each step.
        """
        self.settings = settings
        self._names.configure(settings)
        yield from self.retiring(settings)
        for own, found in list(self._found.items()):
            self._place(own, found.target, found.tables, found.claim)
        for own, found in list(self._found.items()):  # an interval or a plugin may have changed
            self._found[own] = evolve(found, checks=self._build(found))
        wanted = (*settings.targets, *(f.name for f in self._found.values()))
        spread = spread_for(sum(len(t.checks) for t in settings.targets.values()))
        for number, name in enumerate(dict.fromkeys((*self.state.targets, *wanted)), 1):
            self.refresh(name, spread)
            if number % STEP == 0:
                yield

    def refresh(self, name: str, spread: float = 0.0, gone: str = UNWATCHED) -> None:
        """Update one target and its checks. ``spread``: seconds over which first runs are spread;
        ``gone``: the reason if the target no longer exists."""
        said, found = self.settings.targets.get(name), self._found_as(name)
        if (said is None and found is None) or (said is not None and not said.enabled):
            self._remove(name, gone)
            return
        source = source_of(
            self.settings.sources, name, said, None if found is None else found.source
        )
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
            self._source_checks.put(source, name)
        for gone in [c for c in self.state.targets[name].checks if c not in keep]:
            self.checks.remove(name, gone)
        for check in wanted.values():
            configured = said is not None and check.name in said.checks
            owner = CONFIGURATION if configured or found is None else found.source
            self.checks.bind(name, check, spread, owner)

    def _remove(self, name: str, why: str) -> None:
        known = self.state.targets.get(name)
        if known is not None:
            for check in list(known.checks):
                self.checks.remove(name, check)
            self.executor.handle(TargetGone(name, why))

    # Reports of sources

    def discovered(
        self,
        source: str,
        target: Target,
        tables: Mapping[str, Mapping[str, Any]] | None,
        claim: Claim | None = None,
    ) -> None:
        """Add or change a target that a source reports."""
        if source not in self.settings.sources:  # its last words, after a reload removed it
            return
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
        """Name a discovered target and create its checks; return the name if anything changed, else
        None."""
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
                refused = (*refused, f"the label tocsin.depends_on is not used for it; {remedy}")
        found = _Found(own[0], target, tables, claim, name, depends_on, refused, {})
        if known is not None and found == evolve(known, checks={}):
            return None
        self._found[own] = found = evolve(found, checks=self._build(found))
        for other in displaced:  # it got this name by a label, and is renamed
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
        """Rename a target; its source's last result is kept."""
        known = self.state.targets.get(before)
        check = None if known is None else known.checks.get(own[0])
        self._leave(own[0], before, "not found on the engine")
        self.refresh(name)
        if check is not None and check.last is not None:
            self.checks.observe(name, own[0], check.last.result)

    def _leave(self, source: str, name: str, message: str) -> None:
        """Delete what was reported under a name that now means another target, or none."""
        self.checks.remove(name, source)
        self.refresh(name, gone="it has another name now")
        for other in self._names.alone((name,)):
            self._place_again(other)
        if self._names.owner(name) is None:
            self._source_checks.miss(source, name, message)

    def _forget(self, own: Own) -> None:
        del self._found[own]
        self._label_checks.forget(own)
        self._names.take_back(own)

    def _found_as(self, name: str) -> _Found | None:
        own = self._names.owner(name)
        return None if own is None else self._found.get(own)

    def _described(self, found: _Found) -> Target:
        """Return a discovered target, with the names that tocsin has given to targets."""
        others = dict.fromkeys(self._names.of((found.source, own)) for own in found.depends_on)
        depends_on = tuple(other for other in others if other != found.name)
        service = found.target.service and self._names.of((found.source, found.target.service))
        return evolve(found.target, name=found.name, depends_on=depends_on, service=service)

    def name_of(self, source: str, own: str) -> str:
        """Return the name of a target by its source's own name."""
        return self._names.of((source, own))

    def own_name(self, source: str, name: str) -> str:
        """Return a source's own name of a target."""
        own = self._names.owner(name)
        return own[1] if own is not None and own[0] == source else name

    def retired(self, source: str, name: str, message: str) -> None:
        """Remove a target (by its own name) that was removed on purpose; a declared one is down."""
        self._retire([(source, name)], message)

    def _retire(self, gone: list[Own], message: str = "not found on the engine") -> None:
        names = {own: self._names.of(own) for own in gone}
        also = list(names.values())
        for own in [own for own in gone if own in self._found]:
            also += self._found[own].claim.also
            self._forget(own)
            self.refresh(names[own], gone=f"it was {message}")
        for other in self._names.alone(also):  # the configuration may mean it unambiguously now
            self._place_again(other)
        for source, name in [(o[0], n) for o, n in names.items() if not self._names.owner(n)]:
            self._source_checks.miss(source, name, message)

    def synced(self, source: str, names: Collection[str]) -> None:
        """Apply a source's full inventory: targets not in it are removed or, if declared, down."""
        self._retire([own for own in self._found if own[0] == source and own[1] not in names])
        for each in self._label_checks.short_of(source):  # removed targets may have made room
            found = self._found[each]
            checks = self._build(found)
            if checks.keys() != found.checks.keys():
                self._found[each] = evolve(found, checks=checks)
                self.refresh(found.name)
        called = {self.name_of(source, own) for own in names}
        for name, known in self.state.targets.items():
            if known.source == source and known.declared and name not in called:
                self._source_checks.miss(source, name, "not found on the engine")

    def impaired(self, source: str, message: str) -> None:
        """Set all targets of a source to unknown, since it cannot see them."""
        self._source_checks.impaired(source, message)

    def _build(self, found: _Found) -> dict[str, CheckSettings]:
        source, own = self.settings.sources.get(found.source), (found.source, found.target.name)
        return self._label_checks.build(own, found.name, found.tables, found.refused,
                                        source=source, interval=self.settings.interval)  # fmt: skip
