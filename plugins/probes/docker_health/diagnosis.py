"""The check of the engines by ``tocsin doctor``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tocsin import Context, Finding, Installation
from tocsin.plugins.probes.docker_health.engine import Engine
from tocsin.plugins.probes.docker_health.errors import EngineAway
from tocsin.plugins.probes.docker_health.source import DockerSource


async def check_engines(_: Context, installation: Installation) -> Sequence[Finding]:
    """Check that the engine of every source answers, and lists its containers."""
    sources = installation.parts_of(DockerSource)
    return await asyncio.gather(*(_check(name, source) for name, source in sources.items()))


async def _check(name: str, source: DockerSource) -> Finding:
    engine = Engine(source.client)
    try:
        await engine.connect()
        await engine.call("containers", limit=1)
    except EngineAway as error:
        why = f"the Docker Engine at {source.address} cannot be queried: {error}"
        return Finding.warning(why, subject=name)
    finally:
        engine.close()
    return Finding.ok("the engine answers", subject=name)
