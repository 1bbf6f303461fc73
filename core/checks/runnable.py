"""What the runner needs of a check, and of whoever confirms that a target is down."""

from __future__ import annotations

import asyncio
from typing import Protocol

from tocsin.core.contracts.model import Result, Target
from tocsin.core.plugin.sandbox import Used


class Runnable(Used, Protocol):
    """The part of a check that the runner uses."""

    @property
    def timeout(self) -> float:
        """Timeout of one try, in seconds."""

    @property
    def retries(self) -> int:
        """Number of further tries before a ``down`` counts."""

    def is_open_in(self, loop: asyncio.AbstractEventLoop | None) -> bool:
        """Return whether a try can be made in a loop without :meth:`open`."""

    async def open(self) -> Result | None:
        """Prepare for the first try; return the result if there can be none."""

    async def look(self, target: Target) -> tuple[Result, str | None]:
        """Make one try; return its result, and what was invalid in it or None."""


class Confirmer(Protocol):
    """Confirms results: see :class:`tocsin.core.checks.reviewers.Reviewers`."""

    async def confirm_down(
        self, plugin: str, check: Runnable, target: Target, name: str, result: Result
    ) -> Result:
        """Return a ``down`` result, or what replaces it."""
