"""The built-in history passes the suite of all histories."""

from __future__ import annotations

from tocsin import Secret
from tocsin.plugins.history import PostgresHistory
from tocsin.testing import check_history_conformance


async def test_it_keeps_to_the_contract(database: str) -> None:
    """It passes the suite of all histories."""
    await check_history_conformance(PostgresHistory(url=Secret(database)))
