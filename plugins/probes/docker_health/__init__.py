"""The docker-health source: every container of a Docker Engine, event-driven.

Reading order: ``source`` (options), ``watch`` (one connection's life), ``engine`` (the SDK kept
off the event loop), ``inspecting`` (asking about one container), ``inventory`` (about all),
``containers`` (who is who, over redeploys), ``redeploys`` (ends held back, targets that retire),
``reasons``, ``facts`` and ``output`` (pure: what an inspect document means), ``stats`` and
``sampling`` (CPU, memory, network), ``telling``, ``labels`` and ``addresses``, ``actions`` and
``tail``.
"""

from __future__ import annotations

from tocsin import Source, hookimpl
from tocsin.plugins.probes.docker_health.source import DockerSource


@hookimpl
def tocsin_sources() -> dict[str, type[Source]]:
    """Announce the source."""
    return {"docker-health": DockerSource}
