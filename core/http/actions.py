"""What people can do with a target through its source: read its log, inspect it, restart it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import msgspec
from attrs import frozen

from tocsin.core.boundary import cleaned_lines
from tocsin.core.checks.restarts import NotAllowed, TooSoon
from tocsin.core.contracts.base import ActionError
from tocsin.core.hiding import clean_data
from tocsin.core.http.problems import Problem
from tocsin.core.http.routing import Call
from tocsin.core.state import TargetState


@frozen(kw_only=True)
class LogQuery:
    """``lines`` is the number of lines to return, counted from the end of the log."""

    lines: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 100


@frozen(kw_only=True)
class LogView:
    """One line of a log; ``stream`` is stdout or stderr."""

    at: datetime | None
    stream: str
    text: str


@frozen(kw_only=True)
class LogList:
    """Lines of a log, oldest first."""

    items: list[LogView]


@frozen(kw_only=True)
class InspectView:
    """What the source of a target knows of it (of a container: the engine's inspect document), with
    secrets redacted."""

    name: str
    document: Mapping[str, Any]


@frozen(kw_only=True)
class RestartView:
    """The outcome of a restart."""

    name: str
    restarted: bool


async def logs(call: Call, state: TargetState, query: LogQuery) -> LogList:
    """Return the last lines of a target's log, oldest first.

    Raises:
        Problem: 404, it keeps none; 502, they cannot be read.
    """
    try:
        lines = await call.monitor.actions.logs(state.target.name, query.lines)
    except ActionError as error:
        raise _refused(error) from error
    shown = await asyncio.to_thread(cleaned_lines, lines[-query.lines :])
    return LogList(items=[LogView(at=x.at, stream=x.stream, text=x.text) for x in shown])


async def inspect(call: Call, state: TargetState) -> InspectView:
    """Return what the source knows of a target, without secrets.

    Raises:
        Problem: 404, the source cannot do this; 502, it failed.
    """
    name = state.target.name
    try:
        document = await call.monitor.actions.inspect(name)
    except ActionError as error:
        raise _refused(error) from error
    shown = await asyncio.to_thread(clean_data, dict(document), most=2_000_000)
    return InspectView(name=name, document=shown)


async def restart(call: Call, state: TargetState) -> RestartView:
    """Restart a target, and record the attempt in the audit log.

    Raises:
        Problem: 403, it is not allowed; 404, the source cannot do this; 409, too soon; 502, it
            failed.
    """
    name = state.target.name
    role = "none" if call.who is None else call.who.role.value
    try:
        await call.monitor.actions.restart(name, call.actor, role)
    except NotAllowed as error:
        raise Problem(403, str(error)) from error
    except TooSoon as error:
        raise Problem(409, str(error)) from error
    except ActionError as error:
        raise _refused(error) from error
    return RestartView(name=name, restarted=True)


def _refused(error: ActionError) -> Problem:
    return Problem(404 if error.missing else 502, str(error))
