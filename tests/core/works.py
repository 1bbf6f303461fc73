"""Work for the scheduler, made of a function."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from attrs import define


@define(eq=False)
class Doing:
    """Work whose runs call a function; another function gets the numbers of runs left out."""

    function: Callable[[], Awaitable[None]]
    skipped: Callable[[int], object] = lambda _: None

    async def run(self) -> None:
        await self.function()

    def skip(self, missed: int) -> None:
        self.skipped(missed)
