"""The core's end of a source: validates what a source reports, and passes it on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any

from attrs import define, evolve, field

from tocsin.core.checks.intake import Intake
from tocsin.core.checks.inventory import Inventory
from tocsin.core.clock import Clock
from tocsin.core.contracts.model import (
    Event,
    Observation,
    Result,
    Target,
)
from tocsin.core.contracts.source import Claim
from tocsin.core.hiding import clean
from tocsin.core.logs import get_logger
from tocsin.core.plugin.sandbox import describe
from tocsin.core.shapes import (
    fit_discovered,
    fit_happened,
    fit_observed,
    fit_retired,
    fit_synced,
)

log = get_logger(__name__)

MOST_FOUND = 20_000
"""Maximum number of targets of one source."""


@define(eq=False)
class SourceSink:
    """The core's end of one run of a source; may be called from any thread (see
    ``contracts.Sink``). Calls from another thread go through ``intake``, which is bounded.

    ``blame`` is called with each fault of the source, as a clause.
    """

    name: str
    inventory: Inventory
    clock: Clock
    intake: Intake
    recovered: Callable[[], object]
    """Called when the source works again, which ends the faults of its plugin."""
    blame: Callable[[str], object]
    kind: str = "container"
    """Kind of the targets that it finds."""
    home: int = field(factory=threading.get_ident)
    seen: bool = False
    """Whether an inventory has succeeded since the start."""
    trouble: str | None = None
    """Why the source cannot see its targets, or None."""
    names: set[str] = field(factory=set)
    """Its own names of the targets that it has found."""

    def _post(self, function: Callable[..., object], *args: Any) -> None:
        if threading.get_ident() == self.home:
            self._contained(function, *args)
        else:
            self.intake.put(self._contained, function, *args)

    def _contained(self, function: Callable[..., object], *args: Any) -> None:
        """Call a function; an error in what is reported of one target affects no other target."""
        try:
            function(*args)
        except Exception as error:  # noqa: BLE001 - reported as a fault of the source
            self.blame(f"reported something invalid ({function.__name__.strip('_')}): "
                       f"{describe(error)}")  # fmt: skip

    def _take(
        self, function: Callable[..., object], fitted: tuple[tuple[Any, ...] | None, list[str]]
    ) -> None:
        """Pass on the valid part of a report, and blame the plugin for the rest.

        It is validated in the source's thread, since reading it may run the source's code.
        """
        arguments, wrong = fitted
        for clause in wrong:
            self._post(self.blame, clause)
        if arguments is not None:
            self._post(function, *arguments)

    def discovered(
        self,
        target: Target,
        checks: Mapping[str, Mapping[str, Any]] | None = None,
        claim: Claim | None = None,
    ) -> None:
        """See ``contracts.Sink.discovered``."""
        self._take(self._discovered, fit_discovered(target, checks, claim))

    def _discovered(
        self,
        target: Target,
        checks: Mapping[str, Mapping[str, Any]] | None,
        claim: Claim | None,
    ) -> None:
        if target.name not in self.names:
            if len(self.names) >= MOST_FOUND:
                self.blame(f"has found more than {MOST_FOUND} targets; others are not watched")
                return
            self.names.add(target.name)
        try:
            self.inventory.discovered(self.name, target, checks, claim)
        except Exception as error:  # noqa: BLE001 - the target is watched without its labels
            bare = Target(name=target.name, kind=self.kind)
            reason = f"its source's description of it is invalid: {describe(error)}"
            self.inventory.discovered(self.name, bare, None, Claim(refused=(reason,)))

    def observed(self, target: str, result: Result, at: datetime | None = None) -> None:
        """See ``contracts.Sink.observed``."""
        now = self.clock.now()
        when = now if at is None else at
        self._take(self._observed, fit_observed(target, result, when, now))

    def _observed(self, own: str, result: Result, at: datetime) -> None:
        target = self.inventory.name_of(self.name, own)
        seen = Observation(target=target, check=self.name, at=at, result=result)
        self.inventory.executor.observe(seen)

    def happened(self, event: Event) -> None:
        """See ``contracts.Sink.happened``."""
        self._take(self._happened, fit_happened(event, self.clock.now()))

    def _happened(self, event: Event) -> None:
        target = self.inventory.name_of(self.name, event.target)
        self.inventory.executor.happened(evolve(event, target=target))

    def retired(self, target: str, message: str) -> None:
        """See ``contracts.Sink.retired``."""
        self._take(self._retired, fit_retired(target, message))

    def _retired(self, own: str, message: str) -> None:
        self.names.discard(own)
        self.inventory.retired(self.name, own, clean(message))

    def synced(self, targets: Collection[str], is_whole: bool = True) -> None:
        """See ``contracts.Sink.synced``.

        Args:
            targets: the names.
            is_whole: whether none was left out as invalid before.
        """
        self._take(self._synced, fit_synced(targets, is_whole))

    def impaired(self, message: str) -> None:
        """See ``contracts.Sink.impaired``."""
        self._post(self._impaired, clean(str(message)))

    def _synced(self, targets: frozenset[str], is_whole: bool) -> None:
        if self.trouble is not None and self.seen:
            log.info("a source works again", source=self.name, targets=len(targets))
        self.seen, self.trouble = True, None
        self.names &= targets
        if is_whole:
            self.recovered()
        self.inventory.synced(self.name, targets)

    def _impaired(self, message: str) -> None:
        if self.trouble is None:
            level = log.warning if self.seen else log.info
            level("a source cannot see its targets", source=self.name, reason=message)
        self.trouble = message
        self.inventory.impaired(self.name, message)
