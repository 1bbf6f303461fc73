"""What notifiers are given and what they answer: notices, messages, and the notifier contract."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID

from attrs import Factory, field, frozen

from tocsin.core.units import Seconds
from tocsin.core.verdicts import Severity


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
    resolved. ``affected`` names the targets that depend on this one. ``details`` has what the rule
    found (``exit_code``, ``reason``, ``metric``, ``value`` …). ``reply_to`` is what the notifier
    gave as :attr:`Receipt.reference` for its last message about this alert.
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
    affected: tuple[str, ...] = ()
    details: Mapping[str, Any] = Factory(dict)
    flaps: int = 0
    repeats: int = 0
    critical: bool = False
    target_kind: str = ""
    fallback_for: str | None = None
    """The channel that should have told this and could not."""
    reply_to: str | None = None

    @property
    def title(self) -> str:
        """The alert's name as a heading: ``Container down: web``."""
        words = self.rule.replace("_", " ").replace("-", " ")
        return f"{words[:1].upper()}{words[1:]}: {self.target}"


@frozen(kw_only=True)
class Message:
    """What goes out at once on one channel. ``id`` is kept over retries: receivers that keep it in
    mind see each message once.

    ``digest``: there was more to tell than the channel's limit allows one by one.
    """

    id: UUID
    channel: str
    notices: tuple[Notice, ...]
    created_at: datetime
    digest: bool = False

    @property
    def severity(self) -> Severity:
        """The worst of what still fires; info where all is resolved."""
        open_ones = [n.severity for n in self.notices if n.kind is not Kind.RESOLVED]
        return max(open_ones, key=lambda s: s.rank, default=Severity.INFO)


@frozen(kw_only=True)
class Receipt:
    """What the provider answered, as a sentence; ``reference`` names the message at the provider
    and comes back as :attr:`Notice.reply_to`."""

    answer: str = "accepted"
    reference: str | None = None


class NotifyError(Exception):
    """A message could not be delivered; the text is one clear sentence without secrets.

    Args:
        permanent: trying again is of no use (the recipient does not exist).
        retry_after: seconds for which the provider wants to be left alone.
        disable: the channel as a whole is of no use until the configuration is changed.
    """

    def __init__(
        self,
        message: str,
        *,
        permanent: bool = False,
        retry_after: float | None = None,
        disable: bool = False,
    ) -> None:
        super().__init__(message)
        self.permanent = permanent or disable
        self.retry_after = retry_after
        self.disable = disable


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

    timeout: Seconds = field(default=30.0, validator=_positive)

    @abstractmethod
    async def send(self, message: Message) -> Receipt:
        """Deliver a message. Raises NotifyError; any other exception counts as temporary."""

    async def close(self) -> None:
        """Let go of what the notifier holds; called when its channel ends (reload, stop)."""
