"""A sink that records what a source sends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any

from attrs import define, field

from tocsin.core.contracts.model import Event, Result, Target
from tocsin.core.contracts.source import Claim


@define
class RecordingSink:
    """A sink that records everything in order; see :class:`tocsin.Sink`.

    Attributes:
        targets: the targets that were discovered, by name.
        checks: the tables of checks that came with each target, by its name.
        claims: the claim that came with each target, by its name.
        results: all results of each target, by its name.
        events: what happened.
        gone: targets that were retired, each with the message.
        inventories: the names of each complete inventory.
        troubles: why the source could not see its targets.
    """

    targets: dict[str, Target] = field(factory=dict)
    checks: dict[str, Mapping[str, Mapping[str, Any]]] = field(factory=dict)
    claims: dict[str, Claim] = field(factory=dict)
    results: dict[str, list[Result]] = field(factory=dict)
    events: list[Event] = field(factory=list)
    gone: list[tuple[str, str]] = field(factory=list)
    inventories: list[frozenset[str]] = field(factory=list)
    troubles: list[str] = field(factory=list)

    def discovered(
        self,
        target: Target,
        checks: Mapping[str, Mapping[str, Any]] | None = None,
        claim: Claim | None = None,
    ) -> None:
        """Record a target."""
        self.targets[target.name] = target
        self.checks[target.name] = checks or {}
        self.claims[target.name] = claim or Claim()

    def observed(self, target: str, result: Result, at: datetime | None = None) -> None:
        """Record a result."""
        self.results.setdefault(target, []).append(result)

    def happened(self, event: Event) -> None:
        """Record an event."""
        self.events.append(event)

    def retired(self, target: str, message: str) -> None:
        """Record the end of a target."""
        self.gone.append((target, message))

    def synced(self, targets: Collection[str]) -> None:
        """Record a complete inventory."""
        self.inventories.append(frozenset(targets))

    def impaired(self, message: str) -> None:
        """Record why the source cannot see its targets."""
        self.troubles.append(message)

    def last(self, target: str) -> Result | None:
        """Return the newest result of a target, or None."""
        results = self.results.get(target)
        return results[-1] if results else None

    async def until(self, condition: Callable[[], object], seconds: float = 30) -> None:
        """Wait until a condition is true.

        Args:
            condition: called every 10 ms.
            seconds: how long to wait.

        Raises:
            AssertionError: it is not true by then.
        """
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"the condition was not true within {seconds:g} s")
            await asyncio.sleep(0.01)
