"""A notifier that records messages in place of delivering them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from attrs import frozen

from tocsin.core.contracts.base import private
from tocsin.core.contracts.message import Message, Notice
from tocsin.core.contracts.notifier import Notifier, NotifyError, Receipt


@frozen(kw_only=True)
class RecordingNotifier(Notifier):
    """A notifier that keeps every message in memory; it fails or hangs as the test asks for.

    Attributes:
        label: any text, to distinguish two notifiers.
        attempts: every attempt, in order; a retry is the same message again.
        delivered: the messages that were delivered, in order.
        failures: errors that the next attempts raise, one each; see :meth:`fail`.
        refused: by target: the error that each attempt raises whose message has a notification
            about it.
        hang: while it is set, attempts hang until they are cancelled.
    """

    label: str = ""
    attempts: list[Message] = private(factory=list)
    delivered: list[Message] = private(factory=list)
    failures: deque[Exception] = private(factory=deque)
    refused: dict[str, Exception] = private(factory=dict)
    hang: asyncio.Event = private(factory=asyncio.Event)

    async def send(self, message: Message) -> Receipt:
        """Record a message, or raise what the test asked for."""
        self.attempts.append(message)
        if self.hang.is_set():
            await asyncio.Event().wait()
        if self.failures:
            raise self.failures.popleft()
        for notice in message.notices:
            if notice.target in self.refused:
                raise self.refused[notice.target]
        self.delivered.append(message)
        return Receipt(answer="remembered", reference=f"{len(self.delivered)}")

    def fail(self, *errors: Exception | str) -> None:
        """Make the next attempts fail; a text stands for a temporary error."""
        self.failures.extend(NotifyError(e) if isinstance(e, str) else e for e in errors)

    @property
    def notices(self) -> list[Notice]:
        """Return every notification that was delivered."""
        return [notice for message in self.delivered for notice in message.notices]

    def notified(self, kind: str | None = None) -> list[tuple[str, str, str]]:
        """Return kind, rule and target of each delivered notification, of one kind or of all."""
        return [
            (notice.kind.value, notice.rule, notice.target)
            for notice in self.notices
            if kind is None or notice.kind.value == kind
        ]

    async def until(self, condition: Callable[[], object], seconds: float = 30) -> None:
        """Wait until a condition is true.

        Args:
            condition: called every 10 ms.
            seconds: how long to wait.

        Raises:
            AssertionError: it is not true by then.
        """
        deadline = asyncio.get_running_loop().time() + seconds
        while not condition():
            if asyncio.get_running_loop().time() > deadline:
                raise AssertionError(
                    f"the condition was not true within {seconds:g} s: {self.notified()}"
                )
            await asyncio.sleep(0.01)
