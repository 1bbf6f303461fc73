"""Reading resource counters of many containers at once."""

from __future__ import annotations

import asyncio
from typing import Any

from tocsin.plugins.probes.docker_health import stats
from tocsin.plugins.probes.docker_health.containers import Known
from tocsin.plugins.probes.docker_health.engine import Engine, part
from tocsin.plugins.probes.docker_health.errors import EngineAway


class Sampler:
    """Reads counters and stores the computed usage in each container's record."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def read(self, chosen: list[Known]) -> None:
        """Read the counters of several containers and update their usage.

        All cgroup files are read in one call; the engine's API is queried, concurrently, for the
        containers whose files cannot be read.
        """
        wanted = [(k.id, k.pid, _own_network(k.document)) for k in chosen]
        readings = await self._engine.run(
            lambda: [stats.read_cgroup(*item) if item[1] else None for item in wanted]
        )
        missing = [k for k, reading in zip(chosen, readings, strict=True) if reading is None]
        for known, reading in zip(chosen, readings, strict=True):
            self._take(known, reading)
        await asyncio.gather(*(self._read_by_api(known) for known in missing))

    async def _read_by_api(self, known: Known) -> None:
        try:
            api = self._engine.api
            # Before API 1.41 there is no one-shot: the call then takes a second, on a pool thread.
            modern = api is not None and tuple(map(int, api.api_version.split("."))) >= (1, 41)
            once = {"one_shot": True} if modern else {}
            document = await self._engine.about("stats", known.id, stream=False, **once)
            self._take(known, stats.from_api(document))
        except EngineAway:
            raise
        except Exception:  # noqa: BLE001 - no answer, or an unexpected one
            known.usage = None  # do not show an outdated value

    @staticmethod
    def _take(known: Known, reading: stats.Reading | None) -> None:
        if reading is not None:
            known.usage = stats.usage(known.reading, reading)
            known.reading = reading


def _own_network(document: dict[str, Any]) -> bool:
    mode = str(part(document, "HostConfig").get("NetworkMode", ""))
    return mode not in ("none", "host") and not mode.startswith("container:")
