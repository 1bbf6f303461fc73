"""What notifiers are given and what they answer: notices, messages, and the notifier contract."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Protocol
from uuid import UUID

from attrs import Factory, field, frozen

from tocsin.core.contracts.model import LogLine, Status
from tocsin.core.contracts.rendered import RenderedMessage
from tocsin.core.contracts.rule import Severity
from tocsin.core.ids import new_id
from tocsin.core.units import Seconds


class Kind(StrEnum):
    """What a notice tells."""

    FIRED = "fired"
    REPEATED = "repeated"
    ESCALATED = "escalated"
    FLAPPING = "flapping"
    RESOLVED = "resolved"
    TEST = "test"


@frozen(kw_only=True)
class Notice:
    """One change of one alert, as it is told to people.

    ``id`` is the notice's own and kept over retries; ``alert`` is the alert's. ``at``: when it
    changed, ``since``: when the trouble began (both aware UTC); ``downtime`` in seconds, once
    resolved; ``recovered`` is false where the alert ended without all being seen to be well (its
    target, check or metric is gone), as ``message`` says. ``affected`` names the targets that
    depend on this one. ``details`` has what the rule found (``exit_code``, ``reason``, ``metric``,
    ``value`` …). ``reply_to`` is what the notifier gave as :attr:`Receipt.reference` for its last
    message about this alert. ``logs`` are the target's last lines, as many as
    :attr:`Notifier.log_lines` asks for; ``can_restart``: people may restart the target through
    tocsin.
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
    """The channel that should have told this and could not."""
    reply_to: str | None = None
    logs: tuple[LogLine, ...] = ()
    can_restart: bool = False

    @property
    def title(self) -> str:
        """The alert's name as a heading: ``Container down: web``."""
        words = self.rule.replace("_", " ").replace("-", " ")
        return f"{words[:1].upper()}{words[1:]}: {self.target}"


@frozen(kw_only=True)
class TargetStatus:
    """How one target stands. ``since``: since when the status is what it is, aware UTC."""

    target: str
    kind: str
    status: Status
    message: str = ""
    critical: bool = False
    since: datetime | None = None


@frozen(kw_only=True)
class Message:
    """What goes out at once on one channel. ``id`` is kept over retries: receivers that keep it in
    mind see each message once.

    ``digest``: there was more to tell than the channel's limit allows one by one. ``words`` is all
    of it as the templates put it, to be escaped and sent as it is. ``system``: every target, worst
    first, where :attr:`Notifier.wants_system` asks for it. ``timezone``: of the times that people
    read.
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
        """The ``reply_to`` of all of its notices; None where they have none or not the same one:
        what comes later about any of them then belongs to this message."""
        found = {notice.reply_to for notice in self.notices}
        return found.pop() if len(found) == 1 else None

    @property
    def severity(self) -> Severity:
        """The worst of what still fires; info where all is resolved."""
        open_ones = [n.severity for n in self.notices if n.kind is not Kind.RESOLVED]
        return max(open_ones, key=lambda s: s.rank, default=Severity.INFO)


def test_message(channel: str, now: datetime) -> Message:
    """What a person has a channel send, to see whether it works."""
    notice = Notice(
        id=new_id(), alert=new_id(), kind=Kind.TEST, rule="test", target="tocsin",
        severity=Severity.INFO, message="This is a test of tocsin. Nothing is wrong.", at=now,
        since=now,
    )  # fmt: skip
    return Message(id=new_id(), channel=channel, notices=(notice,), created_at=now)


@frozen(kw_only=True)
class Receipt:
    """What the provider answered, as a sentence; ``reference`` names the message at the provider
    and comes back as :attr:`Notice.reply_to`."""

    answer: str = "accepted"
    reference: str | None = None


class Controls(Protocol):
    """What people may do from within a channel. ``by`` names who does; each is audited.

    Every method raises :class:`ActionError`, a sentence, where it cannot be done.
    """

    async def acknowledge(self, alert: UUID, by: str) -> str:
        """Acknowledge a firing alert; what was done, in a sentence."""

    async def silence(self, alert: UUID, seconds: float, by: str) -> str:
        """Silence an alert's target and rule for a while; what was done, in a sentence."""

    async def logs(self, target: str, lines: int) -> list[LogLine]:
        """The last lines of a target."""

    async def restart(self, target: str, by: str) -> str:
        """Restart a target, where that is allowed; what was done, in a sentence."""


class NotifyError(Exception):
    """A message could not be delivered; the text is one clear sentence without secrets.

    Args:
        permanent: trying again is of no use. A message of several notices is then tried in halves,
            down to the notice that is refused.
        retry_after: seconds for which the provider wants to be left alone.
        disable: the channel as a whole is of no use until the configuration is changed.
        everything: with ``permanent``: any other message would be refused as well (the login is
            wrong, the recipient does not exist), so that halves of it are of no use.
        answered: without ``permanent``: the provider answered that it has not taken the message.
            One that goes on failing while others are taken is then tried in halves, too.
    """

    def __init__(
        self,
        message: str,
        *,
        permanent: bool = False,
        retry_after: float | None = None,
        disable: bool = False,
        everything: bool = False,
        answered: bool = False,
    ) -> None:
        super().__init__(message)
        self.permanent = permanent or disable
        self.everything = everything or disable
        self.answered = answered
        self.retry_after = None if retry_after is None else _patience(retry_after)
        self.disable = disable


LONGEST_REST = 366 * 86400.0
"""Seconds; who asks for more than a year does not mean it."""


def _patience(seconds: float) -> float | None:
    """What a provider asked for, where it is a time that can be waited for."""
    if not isinstance(seconds, int | float) or seconds != seconds:  # not a number
        return None
    return float(min(max(0, seconds), LONGEST_REST))


def _positive(_: object, attribute: Any, value: float) -> None:
    if value <= 0:
        raise ValueError(f"{attribute.name} must be more than 0 s")


@frozen(kw_only=True)
class Notifier(ABC):
    """Tells people. One instance for each channel.

    Attributes:
        timeout: seconds one attempt may take. The core cancels it a little later.
    """

    min_severity: ClassVar[Severity] = Severity.INFO
    """What a channel of this kind is told of, unless it says otherwise."""

    batch: ClassVar[float | None] = None
    """Seconds for which what is not critical is collected; None: no longer than the rest."""

    log_lines: ClassVar[int] = 0
    """How many of a target's last log lines come with its notice."""

    wants_system: ClassVar[bool] = False
    """Whether a message comes with the status of every target."""

    timeout: Seconds = field(default=30.0, validator=_positive)

    @abstractmethod
    async def send(self, message: Message) -> Receipt:
        """Deliver a message. Raises NotifyError. Any other exception counts as temporary, but for
        one that comes again and again: the message is given up then, after about two minutes,
        unless it is an OSError, which is the network's."""

    async def listen(self, controls: Controls) -> None:
        """Two-way notifiers take in here what people answer, until cancelled. An exception ends it;
        the core starts it again after a backoff, or after ``retry_after`` of a NotifyError."""

    async def close(self) -> None:
        """Let go of what the notifier holds; called when its channel ends (reload, stop)."""
