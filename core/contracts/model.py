"""Targets and what was observed of them: immutable data with small derivations only."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from attrs import Factory, evolve, frozen
from msgspec import Meta

from tocsin.core.contracts.container import Container
from tocsin.core.ids import new_id
from tocsin.core.runtime.shortage import own_shortage


class Status(StrEnum):
    """The status that a check saw.

    Attributes:
        UP: the target works.
        DEGRADED: it works, but not as it should.
        DOWN: it does not work.
        UNKNOWN: tocsin cannot tell; it does not mean ``down``.
    """

    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"
    UNKNOWN = "unknown"


_BADNESS = {Status.UP: 0, Status.UNKNOWN: 1, Status.DEGRADED: 2, Status.DOWN: 3}


def worst(statuses: list[Status]) -> Status:
    """Return the worst status, in the order down, degraded, unknown, up; ``unknown`` for an empty
    list."""
    return max(statuses, key=_BADNESS.__getitem__, default=Status.UNKNOWN)


@frozen(kw_only=True)
class Target:
    """A thing watched: a container, a URL, a database, a backup, a host disk.

    Attributes:
        name: unique among all targets.
        kind: such as ``container``, ``service`` or ``host``.
        critical: whether its alerts are critical.
        depends_on: names of the targets that it needs.
        expected: the normal level of its metrics, by metric name.
        labels: as its source or the configuration gives them.
        service: name of the target of which this one is an instance, if there are several. The
            service decides whether it is down; a dependency on one instance is one on all.
    """

    name: str
    kind: str = "service"
    critical: bool = False
    depends_on: tuple[str, ...] = ()
    expected: Mapping[str, float] = Factory(dict)
    labels: Mapping[str, str] = Factory(dict)
    service: str | None = None


class CheckError(Exception):
    """A check cannot tell anything about its target, for a reason on tocsin's side: a file cannot
    be read, a permission or a program is missing.

    A probe raises it, from ``check`` or ``open``: the result is ``unknown`` with the message. It is
    no fault of the plugin. :meth:`Result.failed` returns the same result.

    Args:
        message: one sentence with the reason and the remedy.
    """


@frozen(kw_only=True)
class Result:
    """What one run of a check saw.

    Attributes:
        status: the status.
        message: one sentence for people.
        latency: seconds that the target took to answer; None: the core measures the run.
        metrics: finite numbers by name, at most 500; a name is in lower case and ends in its unit
            (``_seconds``, ``_bytes``, ``_percent``).
        attributes: further facts; JSON-serialisable, of at most 5,000 values.
        container: facts about a container; set by sources.
    """

    status: Status
    message: str = ""
    latency: float | None = None
    metrics: Mapping[str, float] = Factory(dict)
    attributes: Mapping[str, Any] = Factory(dict)
    container: Container | None = None

    @classmethod
    def up(cls, message: str = "", **fields: Any) -> Result:
        """Return a result that the target works."""
        return cls(status=Status.UP, message=message, **fields)

    @classmethod
    def degraded(cls, message: str, **fields: Any) -> Result:
        """Return a result that the target works, but not as it should."""
        return cls(status=Status.DEGRADED, message=message, **fields)

    @classmethod
    def down(cls, message: str, **fields: Any) -> Result:
        """Return a result that the target does not work."""
        return cls(status=Status.DOWN, message=message, **fields)

    @classmethod
    def failed(cls, error: BaseException, message: str = "", **fields: Any) -> Result:
        """Return the result of an error.

        Args:
            error: the error.
            message: one sentence; empty: the error's own text.
            fields: further fields of the result.

        Returns:
            ``down``; or ``unknown`` where the error shows that tocsin itself lacks something (file
            descriptors, memory, threads, ports), or is a :class:`CheckError`, whose own text is
            then the message.
        """
        if (lack := own_shortage(error)) is not None:
            return cls.unknown(lack, **fields)
        if isinstance(error, CheckError):
            return cls.unknown(str(error) or type(error).__name__, **fields)
        return cls.down(message or str(error) or type(error).__name__, **fields)

    @classmethod
    def unknown(cls, message: str, **fields: Any) -> Result:
        """Return a result that the status is not known; it implies nothing about the target.

        Args:
            message: one sentence with the reason and, if a person can do something, the remedy.
            fields: further fields of the result.
        """
        return cls(status=Status.UNKNOWN, message=message, **fields)

    def with_latency(self, seconds: float) -> Result:
        """Return the result with ``seconds`` as its latency if the probe set none."""
        return self if self.latency is not None else evolve(self, latency=seconds)


@frozen(kw_only=True)
class Observation:
    """A result, with the check that saw it.

    Attributes:
        target: name of the target.
        check: name of the check.
        at: when it was seen, aware UTC.
        result: what was seen.
    """

    target: str
    check: str
    at: datetime
    result: Result

    @property
    def check_id(self) -> str:
        """Return the check's id, ``target/check``."""
        return f"{self.target}/{self.check}"


@frozen(kw_only=True)
class Event:
    """Something that happened to a target.

    Attributes:
        target: name of the target.
        source: name of the source or plugin that reports it.
        action: what happened, in the source's words: ``die``, ``oom``, ``start``.
        at: when it happened, aware UTC.
        attributes: further facts; JSON-serialisable.
        id: identifies the event.
    """

    target: str
    source: str
    action: str
    at: datetime
    attributes: Mapping[str, Any] = Factory(dict)
    id: UUID = Factory(new_id)


@frozen(kw_only=True)
class AuditEntry:
    """A change made by a person.

    Attributes:
        actor: name of the person's token.
        role: role of that token.
        action: what was done, such as ``acknowledge``.
        subject: what it was done to: a name or an id.
        at: when; aware UTC.
        outcome: ``ok``, or what went wrong.
        details: further facts; JSON-compatible.
        id: identifies the entry; a UUIDv7.
    """

    actor: str
    role: str
    action: str
    subject: str
    at: datetime
    outcome: str = "ok"
    details: Mapping[str, Any] = Factory(dict)
    id: UUID = Factory(new_id)


@frozen(kw_only=True)
class LogLine:
    """One line of a target's log.

    Attributes:
        text: the line.
        stream: ``stdout`` or ``stderr``.
        at: when it was written, aware UTC; None: not known.
    """

    text: str
    stream: str = "stdout"
    at: datetime | None = None


@frozen(kw_only=True)
class Heartbeat:
    """A push by a job that a heartbeat check watches.

    Attributes:
        at: when it was received, aware UTC.
        status: what the job reports of itself: ``up`` or ``down``.
        message: one sentence of the job.
        metrics: finite numbers by name.
    """

    at: Annotated[datetime, Meta(tz=True)]
    status: Status = Status.UP
    message: str = ""
    metrics: Mapping[str, float] = Factory(dict)


class Health(StrEnum):
    """The state of a component of tocsin itself.

    Attributes:
        OK: it works.
        DEGRADED: it works in part, or not now.
        FAILED: it does not work, and tocsin cannot do its work without it.
        DISABLED: it is switched off, or not configured.
    """

    OK = "ok"
    DEGRADED = "degraded"
    FAILED = "failed"
    DISABLED = "disabled"


@frozen(kw_only=True)
class ComponentHealth:
    """The state of one component of tocsin, as ``/health`` shows it, and a sentence as reason."""

    status: Health
    message: str = ""
    details: Mapping[str, Any] = Factory(dict)
