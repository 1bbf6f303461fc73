"""What a query of history really reads, told by the plans of the server."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from tocsin.plugins.history.connection import Connection
from tocsin.plugins.history.store import Store


class Explaining:
    """A connection that keeps the plan of each query it is asked, with the very parameters."""

    def __init__(self, connection: Connection, plans: list[Any]) -> None:
        self._connection = connection
        self._plans = plans

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def fetch(self, query: str, *arguments: Any) -> Any:
        """Explain, then do."""
        text = await self._connection.fetchval(
            f"EXPLAIN (ANALYZE, FORMAT JSON) {query}", *arguments
        )
        self._plans.append(msgspec.json.decode(text)[0]["Plan"])
        return await self._connection.fetch(query, *arguments)


class Plans:
    """The plans of what a store is asked."""

    def __init__(self, store: Store) -> None:
        self.plans: list[Any] = []
        take = store._readers._take

        async def explaining() -> Any:
            return Explaining(await take(), self.plans)

        store._readers._take = explaining  # type: ignore[method-assign]

    def read(self) -> set[str]:
        """The partitions that were really scanned since the last call; a scan that was planned and
        never begun reads nothing."""
        found: set[str] = set()
        for plan in self.plans:
            _collect(plan, found)
        self.plans.clear()
        return found


def _collect(plan: dict[str, Any], found: set[str]) -> None:
    table = plan.get("Relation Name", "")
    if re.search(r"_2\d{5,7}$", table) and plan["Actual Loops"]:
        found.add(table)
    for child in plan.get("Plans", ()):
        _collect(child, found)
