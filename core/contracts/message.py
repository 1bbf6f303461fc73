"""The messages that notifiers deliver: notices of alerts, and the status of targets."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from attrs import Factory, frozen

from tocsin.core.contracts.model import LogLine, Status
from tocsin.core.contracts.rendered import RenderedMessage
from tocsin.core.contracts.rule import Severity
from tocsin.core.ids import new_id


class Kind(StrEnum):
    """What happened to the alert of a notice.

    Attributes:
        FIRED: it began.
        REPEATED: it still fires; a reminder.
        ESCALATED: it still fires, and became more severe.
        FLAPPING: it began and ended several times in a short time.
        RESOLVED: it ended.
        TEST: nothing; a person tests the channel.
    """

    FIRED = "fired"
    REPEATED = "repeated"
    ESCALATED = "escalated"
    FLAPPING = "flapping"
    RESOLVED = "resolved"
    TEST = "test"


@frozen(kw_only=True)
class Notice:
    """One change of one alert, of which people are notified.

    Attributes:
        id: of the notice; the same at every retry.
        alert: id of the alert.
        kind: what happened to the alert.
        rule: name of the alert's rule.
        target: name of the alert's target.
        severity: present severity of the alert.
        message: the rule's message, one sentence; for an end: why the alert ended.
        at: when the alert changed, aware UTC.
        since: when the trouble began, aware UTC.
        downtime: seconds from ``since`` to the end; None while it lasts.
        recovered: for an end: whether the target was observed to be well. False: the target, check
            or metric no longer exists.
        affected: names of the targets that depend on this one.
        details: what the rule found (``exit_code``, ``reason``, ``metric``, ``value`` …).
        flaps: how often the alert fired again soon after its end.
        repeats: how many reminders were sent.
        critical: whether the target is critical.
        target_kind: kind of the target.
        fallback_for: name of the channel that should have sent this and could not; None: this one.
        reply_to: the :attr:`Receipt.reference` of the channel's last message about this alert.
        logs: the target's last log lines, as many as :attr:`Notifier.log_lines` asks for.
        can_restart: whether people may restart the target through tocsin.
        has_logs: whether people can read the target's log through tocsin.
    """

    id: UUID
    alert: UUID
    kind: Kind
    rule: str
    target: str
    severity: Severity
    message: str
    at: datetime
    since: datetime
    downtime: float | None = None
    recovered: bool = True
    affected: tuple[str, ...] = ()
    details: Mapping[str, Any] = Factory(dict)
    flaps: int = 0
    repeats: int = 0
    critical: bool = False
    target_kind: str = ""
    fallback_for: str | None = None
    reply_to: str | None = None
    logs: tuple[LogLine, ...] = ()
    can_restart: bool = False
    has_logs: bool = False

    @property
    def title(self) -> str:
        """Return the alert's name as a heading: ``Container down: web``."""
        words = self.rule.replace("_", " ").replace("-", " ")
        return f"{words[:1].upper()}{words[1:]}: {self.target}"


@frozen(kw_only=True)
class TargetStatus:
    """The status of one target.

    Attributes:
        target: name of the target.
        kind: its kind.
        status: the worst status of its checks.
        message: the message of the check that is worst.
        critical: whether its alerts are critical.
        since: when it got this status, aware UTC; None: not known.
    """

    target: str
    kind: str
    status: Status
    message: str = ""
    critical: bool = False
    since: datetime | None = None


@frozen(kw_only=True)
class Message:
    """One message of one channel.

    Attributes:
        id: the same at every retry, so that a receiver can discard duplicates.
        channel: name of the channel.
        notices: what the message is about; at least one.
        created_at: when the message was formed, aware UTC.
        digest: whether it collects notices that the channel's rate limit had held back.
        words: the whole message as the templates rendered it; to be escaped and sent as it is.
        system: every target, worst first; empty unless :attr:`Notifier.wants_system`.
        timezone: IANA name of the time zone of times that people read.
    """

    id: UUID
    channel: str
    notices: tuple[Notice, ...]
    created_at: datetime
    digest: bool = False
    words: RenderedMessage = Factory(lambda: RenderedMessage(title=""))
    system: tuple[TargetStatus, ...] = ()
    timezone: str = "UTC"

    @property
    def thread(self) -> str | None:
        """Return the ``reply_to`` that all notices share; None where they share none: later
        messages about these alerts then refer to this message."""
        found = {notice.reply_to for notice in self.notices}
        return found.pop() if len(found) == 1 else None

    @property
    def severity(self) -> Severity:
        """Return the highest severity of the alerts that still fire; info where all have ended."""
        open_ones = [n.severity for n in self.notices if n.kind is not Kind.RESOLVED]
        return max(open_ones, key=lambda s: s.rank, default=Severity.INFO)


def test_message(channel: str, now: datetime) -> Message:
    """Return the message that a test of a channel sends.

    Args:
        channel: name of the channel.
        now: aware UTC.
    """
    notice = Notice(
        id=new_id(), alert=new_id(), kind=Kind.TEST, rule="test", target="tocsin",
        severity=Severity.INFO, message="This is a test of tocsin. Nothing is wrong.", at=now,
        since=now,
    )  # fmt: skip
    return Message(id=new_id(), channel=channel, notices=(notice,), created_at=now)
