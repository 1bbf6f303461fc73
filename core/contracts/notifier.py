"""The contract of notifiers: how they deliver messages, what they answer, and their errors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol
from uuid import UUID

from attrs import field, frozen

from tocsin.core.contracts.base import Variable
from tocsin.core.contracts.context import Context
from tocsin.core.contracts.message import Message
from tocsin.core.contracts.model import LogLine
from tocsin.core.contracts.rule import Severity
from tocsin.core.units import Seconds


@frozen(kw_only=True)
class Receipt:
    """The provider's answer to a message that it accepted.

    Attributes:
        answer: the answer, as a sentence without secrets.
        reference: the provider's id of the message; given back as :attr:`Notice.reply_to`.
    """

    answer: str = "accepted"
    reference: str | None = None


class Controls(Protocol):
    """What people may do through a channel. ``by`` names the person; every action is audited.

    Every method raises :class:`ActionError`, with a sentence for the person, if the action cannot
    be done.
    """

    async def acknowledge(self, alert: UUID, by: str) -> str:
        """Acknowledge a firing alert. Returns what was done, as a sentence."""

    async def silence(self, alert: UUID, seconds: float, by: str) -> str:
        """Silence the target and rule of an alert for ``seconds``. Returns what was done, as a
        sentence."""

    async def logs(self, target: str, lines: int) -> list[LogLine]:
        """Return the last ``lines`` lines of a target's log, oldest first."""

    async def restart(self, target: str, by: str) -> str:
        """Restart a target, where that is allowed. Returns what was done, as a sentence."""


class NotifyError(Exception):
    """A message could not be delivered; the text is one clear sentence without secrets.

    Args:
        message: the sentence.
        permanent: a retry would fail as well. A message of several notices is then sent in halves,
            until the notice that is refused is found.
        retry_after: seconds for which the provider wants no request.
        disable: the channel cannot work until the configuration is changed.
        everything: with ``permanent``: any other message would be refused as well (wrong login,
            unknown recipient), so that halves are not tried.
        answered: without ``permanent``: the provider answered that it did not take the message, so
            that a part of it cannot arrive twice. If it keeps failing while other messages are
            taken, it is sent in halves, too.
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
"""Seconds; a longer ``retry_after`` is shortened to this, since it is probably an error."""


def _patience(seconds: float) -> float | None:
    """Return a provider's delay in seconds, at most LONGEST_REST; None if it is no number."""
    if not isinstance(seconds, int | float) or seconds != seconds:  # not a number
        return None
    return float(min(max(0, seconds), LONGEST_REST))


def _positive(_: object, attribute: Any, value: float) -> None:
    if value <= 0:
        raise ValueError(f"{attribute.name} must be more than 0 s")


class NotifierRuntime(ABC):
    """What delivers the messages of one channel, and keeps what lasts between them."""

    __slots__ = ()

    @abstractmethod
    async def send(self, message: Message) -> Receipt:
        """Deliver a message.

        Raises:
            NotifyError: it was not delivered. Any other exception counts as a temporary fault of
                the notifier; if it comes at every retry, the message is given up after about two
                minutes. An OSError counts as a fault of the network, and is retried longer.
        """

    async def listen(self, controls: Controls) -> None:
        """Receive people's commands until cancelled; for notifiers that can also receive. It is
        cancelled when its channel ends (reload, stop), and has two seconds to end.

        Args:
            controls: performs the commands.

        Raises:
            NotifyError: the provider does not answer. The core calls the method again after a
                delay, or after its ``retry_after``. Any other exception, and a return, count as a
                fault of the plugin; the method is called again, too.
        """

    async def close(self) -> None:
        """Release the runtime's resources; called when its channel ends (reload, stop)."""


@frozen(kw_only=True)
class Notifier(NotifierRuntime):
    """The options of a channel, which delivers messages to people.

    A notifier without state defines :meth:`send`. One that keeps anything between messages defines
    :meth:`open`.

    Attributes:
        min_severity: class variable; default of the channel's option: the lowest severity of alerts
            that the channel gets.
        batch: class variable; default of the channel's option: seconds for which notices that are
            not critical are collected into one message; None: as long as critical ones.
        log_lines: class variable; how many of a target's last log lines come with a notice.
        wants_system: class variable; whether messages come with the status of every target.
        environment: class variable; by option, the environment variable that gives it to the
            channel of the notifier's own name. If all required options have one, this channel
            exists without configuration where these variables are set.
        templates: class variable; texts of messages of its channels, which replace those of rules
            and tocsin's own, by name: ``alert``, ``resolved``, ``ended``, ``flapping``, ``digest``,
            ``test``, or as in :attr:`Rule.templates`. A file of the user, ``NAME.txt``, replaces
            one.
        timeout: seconds that one attempt may take. The core cancels it one second later.
    """

    min_severity: ClassVar[Severity] = Severity.INFO
    batch: ClassVar[float | None] = None
    log_lines: ClassVar[int] = 0
    wants_system: ClassVar[bool] = False
    environment: ClassVar[Mapping[str, Variable]] = {}
    templates: ClassVar[Mapping[str, str]] = {}

    timeout: Seconds = field(default=30.0, validator=_positive)

    async def open(self, context: Context) -> NotifierRuntime:
        """Return what delivers; without a definition of its own, the notifier itself.

        Called before the first message, and again at the next attempt if it raises.

        Args:
            context: what the core gives to the runtime.
        """
        return self

    async def send(self, message: Message) -> Receipt:
        """Deliver a message; see :meth:`NotifierRuntime.send`."""
        raise NotImplementedError(f"{type(self).__name__} defines neither send nor open")
