"""API requests of third-party services have a share of the core's time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from tests.api.conftest import Stack
from tocsin.core.contracts.route import Role
from tocsin.core.runtime.time_share import SLICE, TimeShare


async def test_a_service_whose_share_is_spent_waits_and_nobody_else(
    client: TestClient[Any, Any], stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its requests are answered once it has time again; those of people are answered meanwhile."""
    share = TimeShare(0.1)
    monkeypatch.setattr(
        stack.services, "share_of", lambda name: share if name == "service x" else None
    )
    tokens = {name: stack.tokens.create(name, Role.VIEWER) for name in ("service x", "ann")}

    async def get(name: str) -> int:
        headers = {"Authorization": f"Bearer {tokens[name]}"}
        async with client.get("/api/v1/containers", headers=headers) as answer:
            return answer.status

    assert await get("service x") == 200
    assert share._left < SLICE
    share.spend(3600.0)
    waiting = asyncio.create_task(get("service x"))
    for _ in range(3):
        assert await get("ann") == 200
    assert not waiting.done()
    waiting.cancel()
