"""``/health``: the health of tocsin itself."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from aiohttp import web
from attrs import frozen
from msgspec.json import encode

from tocsin.core.contracts.model import Health
from tocsin.core.contracts.route import Routes
from tocsin.core.hiding import clean
from tocsin.core.http.routing import Call

routes = Routes()


@frozen(kw_only=True)
class PartView:
    """The health of one component."""

    status: Health
    message: str


@frozen(kw_only=True)
class HealthView:
    """The health of tocsin.

    ``status`` is ok; degraded: checks run, but a component has a problem; or failed: checks do not
    run.
    """

    status: Health
    version: str
    started_at: datetime
    components: Mapping[str, PartView]


@routes.get("/health", role=None, errors=(503,))
async def health(call: Call) -> HealthView:
    """Report the health of tocsin itself.

    Needs no token. The status code is 503 if no checks are running.
    """
    parts = call.monitor.health()
    failed = parts["scheduler"].status is Health.FAILED
    troubled = any(p.status in (Health.DEGRADED, Health.FAILED) for p in parts.values())
    view = HealthView(
        status=Health.FAILED if failed else Health.DEGRADED if troubled else Health.OK,
        version=call.monitor.version,
        started_at=call.monitor.started_at,
        components={
            # Anyone can read this without a token, so passwords in URLs and known secrets are
            # removed.
            name: PartView(status=part.status, message=clean(part.message))
            for name, part in sorted(parts.items())
        },
    )
    if failed:
        return web.Response(  # type: ignore[return-value]
            status=503, body=encode(view), content_type="application/json"
        )
    return view
