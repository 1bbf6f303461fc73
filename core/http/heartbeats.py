"""Heartbeats: jobs report that they ran or failed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import parse_qs

import msgspec
from aiohttp import web
from attrs import Factory, frozen

from tocsin.core.contracts.model import Heartbeat, Status
from tocsin.core.contracts.route import Role, Routes
from tocsin.core.encoding import decode_text
from tocsin.core.hiding import clean, visible
from tocsin.core.http.decoding import convert_body, decode_json, query_of, read_raw
from tocsin.core.http.problems import Problem
from tocsin.core.http.routing import Call

LONGEST = 500
"""Longest message that is kept, in characters."""

MOST = 256 * 1024
"""Most bytes that are read of a report."""

FORM = "application/x-www-form-urlencoded"

_BETWEEN = r"(?:\s{0,9}[:=]\s{0,9}|[^\r\n]{0,99}\r?\n\r?\n)"
_DOWN = re.compile(
    rf"(?i)\bstatus[\"']?{_BETWEEN}[\"']?(?:down|fail(?:ed|ure)?|error)(?![\w-])".encode()
)
"""Finds a failure status in a report that cannot be parsed, be it JSON, a form or multipart."""

routes = Routes()


class BeatStatus(StrEnum):
    """The outcome of the job."""

    UP = "up"
    DOWN = "down"
    FAILED = "failed"  # same as down


_BAD = (BeatStatus.DOWN, BeatStatus.FAILED)


@frozen(kw_only=True)
class BeatQuery:
    """A report without a body gives status and message as query parameters."""

    status: BeatStatus = BeatStatus.UP
    message: str = ""

    @classmethod
    def read(cls, given: Mapping[str, str]) -> BeatQuery:
        """Parse the query. A malformed one is rejected, unless it reports that the job failed.

        Raises:
            Problem: the query is malformed and reports no failure.
        """
        if _fails(given.get("status")):
            return cls(status=BeatStatus.DOWN, message=given.get("message", ""))
        return query_of(cls, given)


@frozen(kw_only=True)
class BeatBody:
    """A report as JSON, as a form, or as plain text, which is then the message.

    An empty body reports success.
    """

    status: BeatStatus = BeatStatus.UP
    message: str = ""
    metrics: Annotated[
        Mapping[Annotated[str, msgspec.Meta(min_length=1, max_length=100)], float],
        msgspec.Meta(max_length=100),
    ] = Factory(dict)

    @classmethod
    async def read(cls, request: web.Request) -> BeatBody:
        """Parse the body. A malformed one is rejected, unless it reports that the job failed.

        A failure must not be lost because the rest of its report is malformed.

        Raises:
            Problem: the body is malformed and reports no failure.
        """
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
        """Parse a body according to its first character and its content type."""
        written = kind.startswith("text/") or kind == FORM
        bare = raw.strip()
        if bare[:1] not in (b"{", b"[") and bare:
            if kind == FORM:
                form = {n: values[-1] for n, values in parse_qs(decode_text(raw)).items()}
                if "status" in form or (form and form.keys() <= {"status", "message"}):
                    # Other fields may be parts of a message that was sent without URL encoding.
                    given = {n: form[n] for n in ("status", "message") if n in form}
                    if "status" in given:
                        given["status"] = given["status"].strip().lower()
                    return convert_body(cls, given)
            if kind.startswith("multipart/"):
                raise Problem(415, "send JSON, a form without files, or a text")
            if not written and _says_down(raw):
                raise Problem(422, "the report is neither JSON nor a form")
            if written or not _is_json(bare):
                return cls(message=decode_text(raw[: 4 * LONGEST]))
        if len(raw) > MOST:
            raise Problem(413, f"the body is larger than {MOST} bytes")
        return convert_body(cls, decode_json(bare))


def _fails(status: object) -> bool:
    """Return whether a status reports a failure, in any of its spellings."""
    text = b"status=" + status.strip().encode() if isinstance(status, str) else b""
    return _DOWN.search(text) is not None


def _says_down(raw: bytes) -> bool:
    """Return whether a report that was rejected contains a failure status."""
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
    """Return the message of a rejected report if it can be parsed, else ""."""
    try:
        given: Any = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    message = given.get("message") if isinstance(given, dict) else None
    return message if isinstance(message, str) else ""


@frozen(kw_only=True)
class BeatView:
    """The check that received the heartbeat."""

    check: str


@routes.post("/api/v1/heartbeats/{name}", role=Role.OPERATOR, errors=(404,))
async def beat(call: Call, query: BeatQuery, body: BeatBody) -> BeatView:
    """Report that a job ran, or, with status down or failed, that it failed."""
    failed = query.status in _BAD or body.status in _BAD
    return await _take(call, failed, body.message or query.message, body.metrics)


@routes.get("/api/v1/heartbeats/{name}", role=Role.OPERATOR, errors=(404,))
async def ping(call: Call, query: BeatQuery) -> BeatView:
    """Report a heartbeat by GET, for clients that can only request a URL."""
    return await _take(call, query.status in _BAD, query.message, {})


async def _take(call: Call, failed: bool, message: str, metrics: Mapping[str, float]) -> BeatView:
    name = call.path["name"]
    received = Heartbeat(
        at=call.monitor.clock.now(),
        status=Status.DOWN if failed else Status.UP,
        # The message is shown on terminals and sent in notifications.
        message=clean(message, longest=LONGEST),
        metrics={visible(key): value for key, value in metrics.items()},
    )
    try:
        check = call.monitor.beat(name, received)
    except KeyError:
        raise Problem(
            404,
            f"no check expects heartbeats under the name {name!r}: use the 'key' of the check or, "
            'without one, the name of its target; such a check is declared with probe = "heartbeat"'
            " or another push probe",
        ) from None
    await call.monitor.alerting.executor.committed()
    return BeatView(check=check)
