"""Heartbeats: jobs report that they ran."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

import msgspec
from attrs import Factory, frozen

from tocsin.core.api.problems import Problem
from tocsin.core.api.routing import Call, Routes
from tocsin.core.auth import Role
from tocsin.core.hiding import clean, visible
from tocsin.core.model import Beat, Status

routes = Routes()


class BeatStatus(StrEnum):
    """How the job went."""

    UP = "up"
    DOWN = "down"


@frozen(kw_only=True)
class BeatBody:
    """What a job may say; an empty body says that all is well."""

    status: BeatStatus = BeatStatus.UP
    message: Annotated[str, msgspec.Meta(max_length=500)] = ""
    metrics: Annotated[
        Mapping[Annotated[str, msgspec.Meta(min_length=1, max_length=100)], float],
        msgspec.Meta(max_length=100),
    ] = Factory(dict)


@frozen(kw_only=True)
class BeatView:
    """The check that took the beat."""

    check: str


@routes.post("/api/v1/heartbeats/{name}", role=Role.OPERATOR, errors=(404,))
async def beat(call: Call, body: BeatBody) -> BeatView:
    """Report that a job ran (or, with status down, that it failed)."""
    name = call.path["name"]
    received = Beat(
        at=call.monitor.clock.now(),
        status=Status(body.status.value),
        # It ends up on terminals and in messages.
        message=clean(body.message),
        metrics={visible(key): value for key, value in body.metrics.items()},
    )
    try:
        return BeatView(check=call.monitor.beat(name, received))
    except KeyError:
        raise Problem(
            404,
            f'no heartbeat check is called {name!r}; declare a check with probe = "heartbeat"',
        ) from None
