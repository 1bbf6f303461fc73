"""schemathesis against a live server: no violation of our own document on the read endpoints."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_aiohttp import AiohttpServer

from tests.api.conftest import Stack
from tocsin.core.contracts.route import Role
from tocsin.core.http import ApiServer
from tocsin.core.http.failure_limit import FailureLimit

pytestmark = pytest.mark.fuzz


async def test_the_read_endpoints_keep_to_their_document(
    stack: Stack, aiohttp_server: AiohttpServer, tmp_path: Path
) -> None:
    """Generated requests, right and wrong ones, get answers that the document foretells."""
    token = stack.tokens.create("fuzz", Role.ADMIN)
    # It sends wrong tokens by the hundred, and is to see what each of them gets.
    api = ApiServer(stack, FailureLimit(stack.clock, limit=1_000_000))
    server = await aiohttp_server(api.application())
    document = str(server.make_url("/api/v1/openapi.json"))
    command = [
        str(Path(sys.executable).with_name("st")), "run", document,
        "-H", f"Authorization: Bearer {token}", "--include-method", "GET",
        "--exclude-path", "/api/v1/stream", "--max-examples", "15", "--seed", "1",
        "--generation-database", "none", "--request-timeout", "10", "--no-color",
        "--phases", "examples,coverage,fuzzing",
    ]  # fmt: skip
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, timeout=240, cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
