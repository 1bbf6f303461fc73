"""``/metrics`` for Prometheus: text exposition format 0.0.4.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from tocsin import Request, Route, Routes, SystemView, hookimpl
from tocsin.plugins.operations.exposition import render
from tocsin.plugins.operations.families import Reading, families

tocsin_api = "1"

routes = Routes()


@routes.get("/metrics", media="text/plain; version=0.0.4; charset=utf-8")
async def metrics(request: Request, view: SystemView) -> AsyncIterator[bytes]:
    """Return all metrics in the Prometheus text format."""
    reading = Reading(
        targets=[target async for target in view.targets()],
        alerts=await view.alerts(),
        channels=await view.channels(),
        components=await view.components(),
        plugins=await view.plugins(),
        descriptions=await view.descriptions(),
        statistics=await view.statistics(),
    )
    for text in render(families(reading)):
        # The name of a third-party metric may contain a lone surrogate, which UTF-8 cannot encode.
        yield text.encode("utf-8", "replace")


@hookimpl
def tocsin_routes() -> Sequence[Route]:
    """Provide the route."""
    return routes.routes
