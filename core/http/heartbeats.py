"""Heartbeats: jobs report that they ran."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, cast
from urllib.parse import parse_qs

import msgspec
from aiohttp import web
from attrs import Factory, frozen

from tocsin.core.auth import Role
from tocsin.core.contracts.model import Beat, Status
from tocsin.core.encoding import decode_text
from tocsin.core.hiding import clean, visible
from tocsin.core.http.problems import Problem
from tocsin.core.http.routing import Call, Routes, convert_body, decode_json, query_of, read_raw

LONGEST = 500
"""Characters of a message that are kept."""

MOST = 256 * 1024
"""Bytes of a report that are read."""

FORM = "application/x-www-form-urlencoded"

_BETWEEN = r"(?:\s{0,9}[:=]\s{0,9}|[^\r\n]{0,99}\r?\n\r?\n)"
_DOWN = re.compile(
    rf"(?i)\bstatus[\"']?{_BETWEEN}[\"']?(?:down|fail(?:ed|ure)?|error)(?![\w-])".encode()
)
"""What says that a job failed, in a report that is not understood: JSON, a form, parts of one."""

routes = Routes()


class BeatStatus(StrEnum):
    """How the job went."""

    UP = "up"
    DOWN = "down"
    FAILED = "failed"  # as down


_BAD = (BeatStatus.DOWN, BeatStatus.FAILED)


@frozen(kw_only=True)
class BeatQuery:
    """What a job may say without a body."""

    status: BeatStatus = BeatStatus.UP
    message: str = ""

    @classmethod
    def read(cls, given: Mapping[str, str]) -> BeatQuery:
        """The query of a request. One that is wrong is refused, unless it says that the job failed.
        Raises Problem."""
        if _fails(given.get("status")):
            return cls(status=BeatStatus.DOWN, message=given.get("message", ""))
        return cast("BeatQuery", query_of(cls, given))


@frozen(kw_only=True)
class BeatBody:
    """What a job may say, in JSON, as a form or as a text, which is the message; an empty body says
    that all is well."""

    status: BeatStatus = BeatStatus.UP
    message: str = ""
    metrics: Annotated[
        Mapping[Annotated[str, msgspec.Meta(min_length=1, max_length=100)], float],
        msgspec.Meta(max_length=100),
    ] = Factory(dict)

    @classmethod
    async def read(cls, request: web.Request) -> BeatBody:
        """The body of a request. One that is wrong is refused, unless it says that the job failed:
        that is kept whatever else is wrong with it. Raises Problem."""
        raw = b""
        try:
            raw = await read_raw(request, MOST)
            return cls._of(raw, request.content_type)
        except Problem as problem:
            if not _fails(request.query.get("status")) and not _says_down(raw):
                raise
            why = f"the job reported a failure ({problem.detail})"
            message = _message_in(raw) or request.query.get("message") or why
            return cls(status=BeatStatus.DOWN, message=message)

    @classmethod
    def _of(cls, raw: bytes, kind: str) -> BeatBody:
        written = kind.startswith("text/") or kind == FORM
        bare = raw.strip()
        if bare[:1] not in (b"{", b"[") and bare:
            if kind == FORM:
                form = {n: values[-1] for n, values in parse_qs(decode_text(raw)).items()}
                if "status" in form or (form and form.keys() <= {"status", "message"}):
                    # What else it has may be a part of its message, which nobody encoded.
                    given = {n: form[n] for n in ("status", "message") if n in form}
                    if "status" in given:
                        given["status"] = given["status"].strip().lower()
                    return cast("BeatBody", convert_body(cls, given))
            if kind.startswith("multipart/"):
                raise Problem(415, "send JSON, a form without files, or a text")
            if not written and _says_down(raw):
                raise Problem(422, "the report is neither JSON nor a form")
            if written or not _is_json(bare):
                return cls(message=decode_text(raw[: 4 * LONGEST]))
        if len(raw) > MOST:
            raise Problem(413, f"the body is larger than {MOST} bytes")
        return cast("BeatBody", convert_body(cls, decode_json(bare)))


def _fails(status: object) -> bool:
    """Whether a status, however it is written, says that the job failed."""
    text = b"status=" + status.strip().encode() if isinstance(status, str) else b""
    return _DOWN.search(text) is not None


def _says_down(raw: bytes) -> bool:
    """Whether a report that is not understood says that the job failed."""
    try:
        given = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _DOWN.search(raw) is not None
    return isinstance(given, dict) and _fails(given.get("status"))


def _is_json(raw: bytes) -> bool:
    try:
        msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return raw[:1] == b'"'
    return True


def _message_in(raw: bytes) -> str:
    """The message of a report that is wrong elsewhere, if it can be read."""
    try:
        given: Any = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    message = given.get("message") if isinstance(given, dict) else None
    return message if isinstance(message, str) else ""


@frozen(kw_only=True)
class BeatView:
    """The check that took the beat."""

    check: str


@routes.post("/api/v1/heartbeats/{name}", role=Role.OPERATOR, errors=(404,))
async def beat(call: Call, query: BeatQuery, body: BeatBody) -> BeatView:
    """Report that a job ran (or, with status down or failed, that it failed)."""
    failed = query.status in _BAD or body.status in _BAD
    return _take(call, failed, body.message or query.message, body.metrics)


@routes.get("/api/v1/heartbeats/{name}", role=Role.OPERATOR, errors=(404,))
async def ping(call: Call, query: BeatQuery) -> BeatView:
    """Report likewise, for what can only ask for an address."""
    return _take(call, query.status in _BAD, query.message, {})


def _take(call: Call, failed: bool, message: str, metrics: Mapping[str, float]) -> BeatView:
    name = call.path["name"]
    received = Beat(
        at=call.monitor.clock.now(),
        status=Status.DOWN if failed else Status.UP,
        # It ends up on terminals and in messages.
        message=clean(message, longest=LONGEST),
        metrics={visible(key): value for key, value in metrics.items()},
    )
    try:
        return BeatView(check=call.monitor.beat(name, received))
    except KeyError:
        raise Problem(
            404,
            f'no heartbeat check is called {name!r}; declare a check with probe = "heartbeat"',
        ) from None
